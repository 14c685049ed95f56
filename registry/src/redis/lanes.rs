//! What goes out: one lane per destination, in which parcels gather while a PUBLISH is under way.
//!
//! A lane with something in it has one flush task, which publishes batch after batch and ends when the lane
//! is empty; so batches to one destination never overtake each other, and those to others don't wait. A busy lane
//! holds each batch back for a moment, see `gather`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

use super::RedisConfig;
use super::bus::Tally;
use super::call::read;
use super::follow::Followed;
use super::gather::Gather;
use super::road::Road;
use super::store::Store;
use crate::bus::batch::{Address, Batch, Header, encoded_bytes_max};
use crate::{Destination, Error, Parcel, ThisNode};

/// A lane that had nothing to do for so long is forgotten; the next one is another stream.
const IDLE: Duration = Duration::from_secs(60);

/// What came of a batch, for those who wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// So many other nodes got it.
    Taken(u64),
    /// It was not sent.
    NotSent,
    /// It may have been sent.
    Unknown,
}

/// A batch in its lane, and who waits for it.
#[derive(Debug)]
struct Pending {
    batch: Batch,
    waiting: Vec<oneshot::Sender<Outcome>>,
}

#[derive(Debug)]
struct Lane {
    /// Grows with every lane of this process, so that a lane forgotten and made again is never older.
    stream: u64,
    /// Of the next batch.
    sequence: u64,
    queue: VecDeque<Pending>,
    /// Bytes in the queue and under way.
    bytes: usize,
    flushing: bool,
    gather: Gather,
    idle_since: Instant,
}

/// All lanes of a node.
#[derive(Debug)]
pub(super) struct Lanes {
    node: Arc<ThisNode>,
    store: Arc<Store>,
    followed: Arc<Followed>,
    tally: Arc<Tally>,
    tracker: TaskTracker,
    lanes: DashMap<Destination, Lane>,
    next_stream: AtomicU64,
    bytes: AtomicUsize,
    bytes_max: usize,
    lane_bytes_max: usize,
    /// So long at most a batch is held back.
    gather: Duration,
}

impl Lanes {
    pub(super) fn new(
        config: &RedisConfig,
        node: Arc<ThisNode>,
        store: Arc<Store>,
        followed: Arc<Followed>,
        tracker: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            node,
            store,
            tally: Arc::clone(followed.tally()),
            followed,
            tracker,
            lanes: DashMap::new(),
            next_stream: AtomicU64::new(1),
            bytes: AtomicUsize::new(0),
            bytes_max: config.bus_bytes_max,
            lane_bytes_max: config.bus_destination_bytes_max,
            gather: config.bus_gather,
        })
    }

    /// Queues a parcel; `waiting` hears what came of its batch.
    pub(super) fn post(
        self: &Arc<Self>,
        to: &Destination,
        parcel: &Parcel,
        waiting: Option<oneshot::Sender<Outcome>>,
    ) -> Result<(), Error> {
        if matches!(to, Destination::Node(node) if node == self.node.id()) {
            self.tally.dropped(1);
            waiting.map(|waiting| waiting.send(Outcome::Taken(0)));
            return Ok(());
        }
        if !self.link(to).is_up(self.store.slot_of(|| self.channel(to))) {
            self.tally.dropped(1);
            return Err(Error::Unavailable(None));
        }
        let mut lane = match self.lanes.get_mut(to) {
            Some(lane) => lane,
            None => self.lanes.entry(to.clone()).or_insert_with(|| self.new_lane()),
        };
        let length = encoded_bytes_max(parcel);
        let lane_full = lane.bytes > 0 && lane.bytes + length > self.lane_bytes_max;
        if lane_full || self.bytes.load(Ordering::Relaxed) + length > self.bytes_max {
            drop(lane);
            self.tally.dropped(1);
            return Err(Error::BusFull { to: self.channel(to) });
        }
        let more = lane.push(parcel, waiting, |stream, sequence| self.header(to, stream, sequence));
        // Before the lane is let go, and with it a flush that takes them off again.
        self.bytes.fetch_add(more, Ordering::Relaxed);
        let begin = !std::mem::replace(&mut lane.flushing, true);
        drop(lane);
        if begin {
            self.tracker.spawn(Arc::clone(self).flush(to.clone()));
        }
        Ok(())
    }

    /// Forgets lanes that had nothing to do for long.
    pub(super) fn prune(&self) {
        self.lanes.retain(|_, lane| lane.flushing || lane.idle_since.elapsed() < IDLE);
    }

    /// Bytes queued and under way.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed) as u64
    }

    /// The name of a destination's channel.
    pub(super) fn channel(&self, to: &Destination) -> String {
        match to {
            Destination::Node(node) => self.store.keys.node(node),
            Destination::Group(tenant, topic) => self.store.keys.channel(tenant, topic),
        }
    }

    fn link(&self, to: &Destination) -> Road<'_> {
        self.store.links.of(to)
    }

    fn new_lane(&self) -> Lane {
        let now = Instant::now();
        Lane {
            stream: self.next_stream.fetch_add(1, Ordering::Relaxed),
            sequence: 0,
            queue: VecDeque::new(),
            bytes: 0,
            flushing: false,
            gather: Gather::new(now),
            idle_since: now,
        }
    }

    fn header(&self, to: &Destination, stream: u64, sequence: u64) -> Header {
        let to = match to {
            Destination::Node(_) => Address::Node,
            Destination::Group(tenant, topic) => Address::Group(tenant.clone(), topic.clone()),
        };
        let (node, generation) = (self.node.id().clone(), self.node.generation());
        Header { node, generation, stream, sequence, to }
    }

    /// Publishes batch after batch until the lane is empty.
    async fn flush(self: Arc<Self>, to: Destination) {
        loop {
            if let Some(until) = self.gathers_until(&to) {
                sleep_until(until).await;
            }
            let Some(pending) = self.next(&to) else { break };
            let outcome = self.publish(&to, &pending.batch).await;
            self.settle(&to, pending, outcome);
            if outcome == Outcome::NotSent {
                // The link is down. What waits would fail the same way, only later.
                for pending in self.take_queue(&to) {
                    self.settle(&to, pending, outcome);
                }
            }
        }
    }

    /// Until when the next batch of a busy lane gathers. A full one goes at once; an empty lane need not wait to end.
    fn gathers_until(&self, to: &Destination) -> Option<Instant> {
        let lane = self.lanes.get(to)?;
        if lane.queue.len() == 1 { lane.gather.until(self.gather) } else { None }
    }

    /// Takes the next batch; with none left the flush is over, under the same lock.
    fn next(&self, to: &Destination) -> Option<Pending> {
        let mut lane = self.lanes.get_mut(to)?;
        let (next, now) = (lane.queue.pop_front(), Instant::now());
        match &next {
            Some(next) => lane.gather.sent(next.batch.parcels(), now),
            None => (lane.flushing, lane.idle_since) = (false, now),
        }
        next
    }

    fn take_queue(&self, to: &Destination) -> VecDeque<Pending> {
        self.lanes.get_mut(to).map(|mut lane| std::mem::take(&mut lane.queue)).unwrap_or_default()
    }

    async fn publish(&self, to: &Destination, batch: &Batch) -> Outcome {
        let call = self.store.publish(&self.channel(to), batch.bytes());
        let receivers = self.link(to).write_one(call).await;
        match receivers.and_then(|receivers| read::<u64>(receivers, "number of receivers")) {
            Ok(receivers) => Outcome::Taken(receivers.saturating_sub(u64::from(self.is_heard_here(to)))),
            Err(Error::OutcomeUnknown(_)) => Outcome::Unknown,
            Err(_) => Outcome::NotSent,
        }
    }

    /// Whether this node is among the receivers; it drops what it sent itself.
    fn is_heard_here(&self, to: &Destination) -> bool {
        matches!(to, Destination::Group(tenant, topic) if self.followed.stands(tenant, topic))
    }

    fn settle(&self, to: &Destination, pending: Pending, outcome: Outcome) {
        let Pending { batch, waiting } = pending;
        let length = batch.bytes().len();
        if let Some(mut lane) = self.lanes.get_mut(to) {
            lane.bytes -= length;
        }
        self.bytes.fetch_sub(length, Ordering::Relaxed);
        match outcome {
            Outcome::Taken(receivers) => {
                self.tally.sent(&batch);
                if receivers == 0 && matches!(to, Destination::Node(_)) {
                    self.tally.dropped(batch.parcels());
                }
            }
            Outcome::NotSent | Outcome::Unknown => self.tally.dropped(batch.parcels()),
        }
        for waiting in waiting {
            // Whoever no longer waits does not want to know.
            let _ = waiting.send(outcome);
        }
    }
}

impl Lane {
    /// Appends a parcel to the last batch or to a new one; how many bytes that took.
    fn push(
        &mut self,
        parcel: &Parcel,
        waiting: Option<oneshot::Sender<Outcome>>,
        header: impl FnOnce(u64, u64) -> Header,
    ) -> usize {
        let mut before = 0;
        match self.queue.back() {
            Some(last) if last.batch.has_room_for(parcel) => before = last.batch.bytes().len(),
            _ => {
                let batch = Batch::new(&header(self.stream, self.sequence));
                self.sequence += 1;
                self.queue.push_back(Pending { batch, waiting: Vec::new() });
            }
        }
        let last = self.queue.back_mut().expect("there is one, or one was just pushed");
        last.batch.push(parcel);
        last.waiting.extend(waiting);
        let more = last.batch.bytes().len() - before;
        self.bytes += more;
        more
    }
}
