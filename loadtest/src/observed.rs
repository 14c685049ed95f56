//! What the receivers of a run saw together. One thread owns all of them, so this is a plain cell.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use signalbox_client::Closed;
use tokio::time::Instant;

use crate::hiccups::Undisturbed;
use crate::latency::Latencies;
use crate::meter::Watched;
use crate::plant::{Flaw, Plant};
use crate::sequence::{Findings, Stream};
use crate::tick::Tick;

/// Shared by the tasks of a run.
pub(crate) type Shared = Rc<RefCell<Observed>>;

/// When a run began and which part of it is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeline {
    pub(crate) began: Instant,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// What the receivers of a run saw together, and what its senders did.
#[derive(Debug)]
pub(crate) struct Observed {
    timeline: Timeline,
    /// One for each receiver, which hears one sender; or one for each sender of each receiver.
    streams: Vec<Stream>,
    by_sender: bool,
    /// Messages sent by each sender.
    sent: Vec<u64>,
    delivered: u64,
    latencies: Latencies,
    /// Of the time since the last progress.
    recent: Latencies,
    /// If the machine is watched.
    undisturbed: Option<Undisturbed>,
    send_lags: Latencies,
    errors: u64,
    first_error: Option<String>,
    plant: Plant,
}

impl Timeline {
    pub(crate) fn starting_now(warm_up: Duration, measured: Duration) -> Self {
        Self { began: Instant::now(), warm_up, measured }
    }

    /// When the measured part begins.
    pub(crate) fn measured_from(&self) -> Instant {
        self.began + self.warm_up
    }

    /// When nothing more is sent.
    pub(crate) fn end(&self) -> Duration {
        self.warm_up + self.measured
    }

    /// Whether what was due then counts.
    pub(crate) fn measures(&self, due: Duration) -> bool {
        (self.warm_up..self.end()).contains(&due)
    }
}

impl Observed {
    /// Each receiver hears one sender.
    pub(crate) fn new(timeline: Timeline, senders: usize, receivers: usize) -> Shared {
        Self::with_streams(timeline, senders, vec![Stream::default(); receivers], false)
    }

    /// Each receiver hears some of the senders.
    pub(crate) fn by_sender(timeline: Timeline, senders: usize, receivers: usize) -> Shared {
        Self::with_streams(timeline, senders, vec![Stream::default(); receivers * senders], true)
    }

    fn with_streams(timeline: Timeline, senders: usize, streams: Vec<Stream>, by_sender: bool) -> Shared {
        Rc::new(RefCell::new(Self {
            timeline,
            streams,
            by_sender,
            sent: vec![0; senders],
            delivered: 0,
            latencies: Latencies::default(),
            recent: Latencies::default(),
            undisturbed: None,
            send_lags: Latencies::default(),
            errors: 0,
            first_error: None,
            plant: Plant::default(),
        }))
    }

    /// From now on something is wrong on purpose.
    pub(crate) fn plant(&mut self, flaw: Option<Flaw>) {
        self.plant = Plant::new(flaw);
    }

    /// From now on latencies are kept without the messages that met a hiccup too; the hiccups are in this file.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn leave_out(&mut self, hiccups: Option<&Path>) -> io::Result<()> {
        let began = self.timeline.began;
        self.undisturbed = hiccups.map(|path| Undisturbed::open(path, began)).transpose()?;
        Ok(())
    }

    /// A receiver got a text at that moment; answers whether it was a delivery.
    pub(crate) fn heard(&mut self, receiver: usize, text: &[u8], at: Instant) -> bool {
        let Some(tick) = Tick::of(text) else {
            self.error(&String::from_utf8_lossy(text));
            return false;
        };
        let place = if self.by_sender { receiver * self.sent.len() + tick.from as usize } else { receiver };
        let Some(stream) = self.streams.get_mut(place) else {
            self.error(&String::from_utf8_lossy(text));
            return false;
        };
        for number in self.plant.pass(place, tick.number).into_iter().flatten() {
            stream.note(number);
            self.delivered += 1;
        }
        let due = tick.due();
        if self.timeline.measures(due) {
            self.recent.record((at - self.timeline.began).saturating_sub(due));
            if let Some(undisturbed) = &mut self.undisturbed {
                undisturbed.heard(self.timeline.began + due, at);
            }
        }
        true
    }

    /// A sender sent what was due at `due` after the beginning; answers nothing.
    pub(crate) fn sent(&mut self, sender: usize, due: Duration) {
        self.sent[sender] += 1;
        if self.timeline.measures(due) {
            self.send_lags.record(self.timeline.began.elapsed().saturating_sub(due));
        }
    }

    /// Something came that was not asked for, or did not work.
    pub(crate) fn error(&mut self, text: &str) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| text.chars().take(300).collect());
    }

    /// A connection ended before the run did.
    pub(crate) fn broke(&mut self, closed: &Closed) {
        self.error(&closed.to_string());
    }

    /// How many messages were delivered so far.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// How many streams something was received of.
    pub(crate) fn reached(&self) -> u64 {
        self.streams.iter().filter(|stream| stream.received() > 0).count() as u64
    }

    /// How many messages were sent so far.
    pub(crate) fn sent_in_all(&self) -> u64 {
        self.sent.iter().sum()
    }

    /// The latencies since the last call, which count for the whole from now on.
    pub(crate) fn turn_over(&mut self) -> Latencies {
        let recent = self.recent.clone();
        self.latencies.merge(&recent);
        self.recent.clear();
        if let Some(Err(error)) = self.undisturbed.as_mut().map(Undisturbed::settle) {
            self.error(&format!("the hiccups can't be read: {error}"));
        }
        recent
    }

    /// All latencies of the measured part.
    pub(crate) fn latencies(&mut self) -> &Latencies {
        self.turn_over();
        &self.latencies
    }

    /// Those of the messages that met no hiccup, if the machine was watched.
    pub(crate) fn undisturbed(&mut self) -> Option<Latencies> {
        match self.undisturbed.as_mut()?.latencies() {
            Ok(latencies) => Some(latencies.clone()),
            Err(error) => {
                self.error(&format!("the hiccups can't be read: {error}"));
                None
            }
        }
    }

    /// How late the measured messages were sent.
    pub(crate) fn send_lags(&self) -> &Latencies {
        &self.send_lags
    }

    /// What is wrong, if receiver r heard the sender `sender_of(r)`.
    pub(crate) fn findings(&self, sender_of: impl Fn(usize) -> usize) -> Findings {
        let mut findings = Findings::default();
        for (receiver, stream) in self.streams.iter().enumerate() {
            findings += stream.findings(self.sent[sender_of(receiver)]);
        }
        findings
    }

    /// What is wrong, if receivers heard the senders of whom `hears` says so, and nobody else.
    pub(crate) fn findings_by_sender(&self, hears: impl Fn(usize, usize) -> bool) -> Findings {
        let mut findings = Findings::default();
        for (place, stream) in self.streams.iter().enumerate() {
            let (receiver, sender) = (place / self.sent.len(), place % self.sent.len());
            if hears(receiver, sender) {
                findings += stream.findings(self.sent[sender]);
            } else {
                // What came all the same is counted as if it had come twice.
                findings.duplicated += stream.received();
            }
        }
        findings
    }

    /// How many errors there were, and the first.
    pub(crate) fn errors(&self) -> Option<(u64, &str)> {
        self.first_error.as_deref().map(|first| (self.errors, first))
    }
}

impl Watched for RefCell<Observed> {
    fn done(&self) -> u64 {
        self.borrow().delivered()
    }

    fn turn_over(&self) -> Latencies {
        self.borrow_mut().turn_over()
    }
}

#[cfg(test)]
mod tests;
