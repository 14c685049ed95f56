//! The tasks of a run: connecting, sending what is due, receiving, and waiting for the last message.

mod callers;
mod window;

use std::io;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use signalbox_client::protocol::Target;
use signalbox_client::{Closed, Frame, Wire, WireConfig};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub(crate) use self::window::Window;
use crate::listener::{Listener, ReadBuffer};
use crate::observed::{Shared, Timeline};
use crate::pace::{Pacer, Schedule};
use crate::report::progress;
use crate::tick::Tick;

/// Messages that may be due at one sender and not yet sent.
pub(crate) const DUE_MAX: usize = 4_096;

/// Messages that are still under way when sending ends come within this time of each other.
const QUIET: Duration = Duration::from_secs(2);

/// Opens connections, `at_once` at a time, in the order of `configs`; tells how long each took.
pub(crate) async fn connect_all(
    configs: Vec<WireConfig>,
    at_once: usize,
    mut took: impl FnMut(Duration),
) -> anyhow::Result<Vec<Wire>> {
    let total = configs.len();
    let mut wires = Vec::with_capacity(total);
    let mut connecting = stream::iter(configs)
        .map(async |config| {
            let start = Instant::now();
            let (wire, _) = Wire::connect(&config).await.with_context(|| config.url.clone())?;
            anyhow::Ok((wire, start.elapsed()))
        })
        .buffered(at_once.max(1));
    while let Some((wire, elapsed)) = connecting.try_next().await? {
        took(elapsed);
        wires.push(wire);
        if wires.len() % 100 == 0 {
            progress(&format!("{} of {total} connected", wires.len()));
        }
    }
    Ok(wires)
}

/// The tasks of a run. They end when it is told to stop, each with a goodbye to its node.
#[derive(Debug)]
pub(crate) struct Traffic {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    observed: Shared,
    timeline: Timeline,
    payload_bytes: usize,
    read_buffer: ReadBuffer,
}

impl Traffic {
    pub(crate) fn new(observed: Shared, timeline: Timeline, payload_bytes: usize) -> Self {
        let stop = CancellationToken::new();
        let (tasks, read_buffer) = (JoinSet::new(), ReadBuffer::default());
        Self { tasks, stop, observed, timeline, payload_bytes, read_buffer }
    }

    /// Receives on `wire`; each delivery makes room in `window`.
    pub(crate) fn receive(&mut self, receiver: usize, wire: Wire, window: Option<Rc<Window>>) {
        let (stop, observed) = (self.stop.clone(), Rc::clone(&self.observed));
        let mut listener = Listener::new(wire, &self.read_buffer);
        self.tasks.spawn_local(async move {
            let hear = |text: &[u8], at| {
                let delivered = observed.borrow_mut().heard(receiver, text, at);
                if let (true, Some(window)) = (delivered, &window) {
                    window.give_back();
                }
            };
            end_of(stop.run_until_cancelled(listener.listen(hear)).await, &observed);
            listener.close().await;
        });
    }

    /// Sends to `target`, as fast as `window` allows, until the run ends.
    pub(crate) fn send_at_full_speed(
        &mut self,
        number: usize,
        wire: Wire,
        target: Target,
        window: Rc<Window>,
    ) {
        let mut sender = self.sender(wire, vec![(number, target)]);
        let (stop, timeline) = (self.stop.clone(), self.timeline);
        self.tasks.spawn_local(async move {
            let sending = async {
                loop {
                    while sender.wire.has_room() && timeline.began.elapsed() < timeline.end() && window.take()
                    {
                        sender.queue(timeline.began.elapsed())?;
                    }
                    sender.wire.flush().await?;
                    tokio::select! {
                        frame = sender.wire.next() => sender.unasked(&frame?),
                        () = window.changed.notified() => {}
                    }
                }
            };
            let end = stop.run_until_cancelled(sending).await;
            sender.close(end).await;
        });
    }

    /// Sends to `target` whatever [`Traffic::pace`] says is due.
    pub(crate) fn send_when_due(
        &mut self,
        number: usize,
        wire: Wire,
        target: Target,
    ) -> mpsc::Sender<Duration> {
        self.send_in_turn(wire, vec![(number, target)])
    }

    /// The same to each of several targets in turn. To each it counts by itself, and speaks as the sender of that number.
    pub(crate) fn send_in_turn(
        &mut self,
        wire: Wire,
        targets: Vec<(usize, Target)>,
    ) -> mpsc::Sender<Duration> {
        let (due_sender, mut due_messages) = mpsc::channel(DUE_MAX);
        let mut sender = self.sender(wire, targets);
        let stop = self.stop.clone();
        self.tasks.spawn_local(async move {
            let sending = async {
                loop {
                    tokio::select! {
                        Some(due) = due_messages.recv() => {
                            sender.queue(due)?;
                            while sender.wire.has_room() && let Ok(due) = due_messages.try_recv() {
                                sender.queue(due)?;
                            }
                            sender.wire.flush().await?;
                        }
                        frame = sender.wire.next() => sender.unasked(&frame?),
                    }
                }
            };
            let end = stop.run_until_cancelled(sending).await;
            sender.close(end).await;
        });
        due_sender
    }

    fn sender(&self, wire: Wire, targets: Vec<(usize, Target)>) -> Sender {
        let (observed, payload_bytes) = (Rc::clone(&self.observed), self.payload_bytes);
        Sender { wire, targets, payload_bytes, observed, sent: 0 }
    }

    /// Tells each sender in turn when its next message is due, until the run ends.
    pub(crate) async fn pace(
        timeline: Timeline,
        schedule: Schedule,
        senders: Vec<mpsc::Sender<Duration>>,
    ) -> io::Result<()> {
        let mut pacer = Pacer::new()?;
        for number in 0..schedule.arrivals_before(timeline.end()) {
            let due = schedule.due(number);
            pacer.until(timeline.began + due).await?;
            let sender = &senders[number as usize % senders.len()];
            if sender.send(due).await.is_err() {
                return Err(io::Error::other("a sender lost its connection"));
            }
        }
        Ok(())
    }

    /// Waits until `expected` messages were delivered, or nothing comes any more; then ends all tasks.
    pub(crate) async fn finish(mut self, expected: impl Fn(u64) -> u64) {
        let mut last = (self.observed.borrow().delivered(), Instant::now());
        loop {
            let (delivered, sent) = {
                let observed = self.observed.borrow();
                (observed.delivered(), observed.sent_in_all())
            };
            if delivered != last.0 {
                last = (delivered, Instant::now());
            }
            if delivered >= expected(sent) || last.1.elapsed() > QUIET {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        progress("");
    }
}

/// One client that sends.
#[derive(Debug)]
struct Sender {
    wire: Wire,
    /// Each with the number of the sender as which it speaks to it; at least one.
    targets: Vec<(usize, Target)>,
    payload_bytes: usize,
    observed: Shared,
    sent: u64,
}

impl Sender {
    /// Queues its next message, which was due then.
    fn queue(&mut self, due: Duration) -> Result<(), Closed> {
        let due_ns = u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
        let targets = self.targets.len() as u64;
        let (from, target) = &self.targets[(self.sent % targets) as usize];
        let tick = Tick { from: *from as u32, number: self.sent / targets, due_ns };
        self.wire.queue(tick.message(target, self.payload_bytes))?;
        self.sent += 1;
        self.observed.borrow_mut().sent(*from, due);
        Ok(())
    }

    /// It asked for nothing: whatever is said to it is an error.
    fn unasked(&self, frame: &Frame) {
        match frame {
            Frame::Text(text) => self.observed.borrow_mut().error(text),
            Frame::Heartbeat | Frame::Binary(_) => {}
        }
    }

    async fn close(self, end: Option<Result<(), Closed>>) {
        end_of(end, &self.observed);
        self.wire.close().await;
    }
}

/// A task that was not stopped lost its connection.
fn end_of<T>(result: Option<Result<T, Closed>>, observed: &Shared) {
    if let Some(Err(closed)) = result {
        observed.borrow_mut().broke(&closed);
    }
}
