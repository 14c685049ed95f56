//! What the receivers of a run saw together. One thread owns all of them, so this is a plain cell.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use signalbox_client::Closed;
use tokio::time::Instant;

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
        recent
    }

    /// All latencies of the measured part.
    pub(crate) fn latencies(&mut self) -> &Latencies {
        self.turn_over();
        &self.latencies
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
mod tests {
    use super::*;
    use signalbox_client::protocol::Target;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn hear(observed: &mut Observed, receiver: usize, text: &str) -> bool {
        observed.heard(receiver, text.as_bytes(), Instant::now())
    }

    fn message(number: u64, due: Duration) -> String {
        let tick = Tick { from: 0, number, due_ns: due.as_nanos() as u64 };
        tick.message(&Target::Default, 100)
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_due_in_the_measured_part_is_measured() {
        let timeline = Timeline::starting_now(seconds(2), seconds(10));
        let observed = Observed::new(timeline, 1, 1);
        for number in 0..15 {
            tokio::time::advance(seconds(1)).await;
            let mut observed = observed.borrow_mut();
            observed.sent(0, seconds(number));
            assert!(hear(&mut observed, 0, &message(number, seconds(number))));
        }
        let mut observed = observed.borrow_mut();
        assert_eq!((observed.delivered(), observed.sent_in_all()), (15, 15));
        assert_eq!(observed.send_lags().count(), 10);
        assert_eq!(observed.latencies().count(), 10);
        assert!(observed.latencies().quantile(0.5).abs_diff(seconds(1)) < Duration::from_millis(2));
        assert!(observed.findings(|receiver| receiver).is_clean());
    }

    #[tokio::test(start_paused = true)]
    async fn who_hears_several_senders_misses_what_one_of_them_lost() {
        let timeline = Timeline::starting_now(seconds(0), seconds(10));
        let observed = Observed::by_sender(timeline, 2, 2);
        let mut observed = observed.borrow_mut();
        let said = |from, number| Tick { from, number, due_ns: 0 }.message(&Target::Default, 100);
        for sender in [0, 1] {
            observed.sent(sender, seconds(0));
            observed.sent(sender, seconds(0));
        }
        for (receiver, from, number) in [(0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 1, 1)] {
            assert!(hear(&mut observed, receiver, &said(from, number)));
        }
        assert!(observed.findings_by_sender(|receiver, _| receiver == 0).duplicated == 1);
        let findings = observed.findings_by_sender(|receiver, sender| receiver == 0 || sender == 1);
        assert_eq!((findings.lost, findings.duplicated, findings.reordered), (1, 0, 0));
        assert!(!hear(&mut observed, 0, &said(7, 0)), "there is no such sender");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_delivery_is_an_error_and_what_never_came_is_lost() {
        let timeline = Timeline::starting_now(seconds(0), seconds(10));
        let observed = Observed::new(timeline, 1, 3);
        let mut observed = observed.borrow_mut();
        for number in 0..4 {
            observed.sent(0, seconds(number));
            hear(&mut observed, 0, &message(number, seconds(0)));
        }
        hear(&mut observed, 1, &message(2, seconds(0)));
        let findings = observed.findings(|_| 0);
        assert_eq!((findings.lost, findings.duplicated), (3 + 4, 0));
        assert!(observed.errors().is_none());
        assert!(!hear(&mut observed, 1, r#"{"type":"system:error","data":{"code":"not_found"}}"#));
        assert!(!hear(&mut observed, 1, "garbage"));
        assert_eq!(
            observed.errors().map(|(count, first)| (count, first.contains("not_found"))),
            Some((2, true))
        );
    }
}
