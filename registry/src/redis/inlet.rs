//! What comes in: the subscriber connection's driver hands each message here, and here it is decoded,
//! judged and handed to the listener, all in the driver's task and without waiting for anything.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use redis::aio::{AsyncPushSender, SendError};
use redis::{PushInfo, PushKind, Value};
use signalbox_protocol::NodeId;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::warn;

use super::bus::Tally;
use super::follow::Group;
use super::lock::Core as Locks;
use crate::bus::Break;
use crate::bus::announce::{self, Announcement};
use crate::bus::batch::{Address, Header, Malformed, decode, header, is_from};
use crate::bus::logged;
use crate::bus::streams::{Streams, Verdict};
use crate::bus::wake::{self, Wake};
use crate::mutex::lock;
use crate::{BusListener, Logged};

/// Whether what a server sends arrives.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// When the newest probe that came back was sent: microseconds since the inlet began, 0 for none.
    probe: AtomicU64,
    /// A probe came back.
    pub(super) probed: Notify,
    /// Channels that this node is about to follow no longer.
    leaving: Mutex<HashSet<String>>,
    /// The server has ended a subscription by itself.
    pub(super) thrown_out: Notify,
}

impl Pulse {
    /// What an earlier connection was told is over.
    pub(super) fn begin_anew(&self) {
        lock(&self.leaving).clear();
        let _ = self.thrown_out.notified().now_or_never();
    }

    /// These are about to be unsubscribed.
    pub(super) fn leaving(&self, channels: &[String]) {
        lock(&self.leaving).extend(channels.iter().cloned());
    }

    fn left(&self, channel: &str) {
        if !lock(&self.leaving).remove(channel) {
            self.thrown_out.notify_one();
        }
    }
}

/// The receiving end of a node's bus.
pub(super) struct Inlet {
    node: NodeId,
    listener: OnceLock<Arc<dyn BusListener>>,
    /// Whose waiters are woken.
    locks: OnceLock<Arc<Locks>>,
    streams: Mutex<Streams>,
    tally: Arc<Tally>,
    born: Instant,
    /// One line of the log per life for batches that nobody can read; the counter tells the rest.
    warned: OnceLock<()>,
}

impl fmt::Debug for Inlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inlet").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Inlet {
    pub(super) fn new(node: NodeId, tally: Arc<Tally>) -> Arc<Self> {
        Arc::new(Self {
            node,
            listener: OnceLock::new(),
            locks: OnceLock::new(),
            streams: Mutex::default(),
            tally,
            born: Instant::now(),
            warned: OnceLock::new(),
        })
    }

    pub(super) fn attach(&self, listener: Arc<dyn BusListener>) {
        assert!(self.listener.set(listener).is_ok(), "a listener is attached once");
    }

    /// Tells where wakes go.
    pub(super) fn attach_locks(&self, locks: Arc<Locks>) {
        assert!(self.locks.set(locks).is_ok(), "a node has one table of waiters");
    }

    /// A probe to be sent now; its number tells when that was.
    pub(super) fn new_probe(&self) -> Header {
        let number = u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        let to = Address::Probe(number);
        Header { node: self.node.clone(), generation: 0, stream: 0, sequence: 0, to }
    }

    /// When the newest probe that came back by a server was sent.
    pub(super) fn newest_probe(&self, by: &Pulse) -> Option<Instant> {
        match by.probe.load(Ordering::Acquire) {
            0 => None,
            micros => Some(self.born + Duration::from_micros(micros)),
        }
    }

    /// The subscription is being built anew: what is missing from here on is told by one break, at the end.
    pub(super) fn begin_anew(&self) {
        lock(&self.streams).begin_anew();
    }

    /// The subscription was down and is back.
    pub(super) fn reconnected(&self) {
        self.tell(Break::Reconnected);
    }

    /// A group is no longer followed.
    pub(super) fn forget(&self, (tenant, topic): &Group) {
        lock(&self.streams).forget(tenant, topic);
    }

    fn tell(&self, what: Break) {
        if let Some(listener) = self.listener.get() {
            listener.on_break(what);
        }
    }

    /// What came by any channel; its first byte tells what it is.
    fn take(&self, bytes: &Bytes, by: &Pulse) {
        match bytes.first() {
            Some(&announce::VERSION) => self.take_announcement(bytes),
            Some(&logged::VERSION) => self.take_logged(bytes),
            Some(&wake::VERSION) => self.take_wake(bytes),
            _ => self.take_batch(bytes, by),
        }
    }

    fn take_announcement(&self, bytes: &Bytes) {
        match Announcement::decode(bytes) {
            Ok(announcement) => {
                self.tally.announced();
                if let Some(listener) = self.listener.get() {
                    listener.on_announcement(announcement);
                }
            }
            Err(error) => self.unreadable(&error),
        }
    }

    fn take_logged(&self, bytes: &Bytes) {
        match Logged::decode(bytes) {
            Ok(logged) => {
                self.tally.announced();
                if let Some(listener) = self.listener.get() {
                    listener.on_logged(logged);
                }
            }
            Err(error) => self.unreadable(&error),
        }
    }

    fn take_wake(&self, bytes: &Bytes) {
        match (Wake::decode(bytes), self.locks.get()) {
            (Ok(wake), Some(locks)) => locks.wake(wake),
            (Ok(_), None) => {}
            (Err(error), _) => self.unreadable(&error),
        }
    }

    fn unreadable(&self, error: &Malformed) {
        self.tally.malformed();
        self.warned.get_or_init(|| warn!(%error, "the bus carried something that can't be read"));
    }

    fn take_batch(&self, batch: &Bytes, by: &Pulse) {
        if is_from(batch, &self.node) {
            // A probe, or what this node sent to a group that it follows itself.
            if let Ok(Header { to: Address::Probe(number), .. }) = header(batch) {
                by.probe.fetch_max(number, Ordering::AcqRel);
                self.tally.probed(self.born.elapsed().saturating_sub(Duration::from_micros(number)));
                by.probed.notify_waiters();
            }
            return;
        }
        let (header, parcels) = match decode(batch) {
            Ok(read) => read,
            Err(error) => return self.unreadable(&error),
        };
        let verdict = lock(&self.streams).observe(&header);
        let missing = match verdict {
            Verdict::Late => return self.tally.late(),
            Verdict::Fresh { missing } => missing,
        };
        self.tally.received(parcels.len() as u64, missing);
        if missing > 0 {
            self.tell(Break::Gap { from: header.node.clone(), batches: missing });
        }
        if let Some(listener) = self.listener.get() {
            for parcel in parcels {
                listener.on_parcel(&header.node, parcel);
            }
        }
    }
}

/// The inlet as the driver of a server's connection sees it.
pub(super) struct Funnel {
    inlet: Arc<Inlet>,
    pulse: Arc<Pulse>,
}

impl Funnel {
    pub(super) fn new(inlet: Arc<Inlet>, pulse: Arc<Pulse>) -> Self {
        Self { inlet, pulse }
    }
}

impl AsyncPushSender for Funnel {
    fn send(&self, info: PushInfo) -> Result<(), SendError> {
        let mut data = info.data.into_iter();
        match (info.kind, data.next(), data.next()) {
            (PushKind::Message | PushKind::SMessage, _, Some(Value::BulkString(batch))) => {
                self.inlet.take(&Bytes::from(batch), &self.pulse);
            }
            (PushKind::SUnsubscribe, Some(channel), _) => {
                self.pulse.left(&redis::from_redis_value::<String>(channel).unwrap_or_default());
            }
            _ => {}
        }
        Ok(())
    }
}
