//! What a client missed of its topics, read from their logs into its outbox, a page at a time, as there is room.
//!
//! Polled by the connection's own task, before anything else is read from the client. A topic is done when the client
//! is where the other followers of this node are: from then on it gets what they get. Exists only while something
//! is to be caught up with.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use signalbox_protocol::control::{Position, Positions};
use signalbox_protocol::{Tenant, Topic};
use signalbox_registry::Error;
use signalbox_registry::log::{Limits, Log, Read};
use tokio::time::{Sleep, sleep};

use super::answer;
use super::frame::placed;
use crate::hub::Connection;
use crate::node::Node;

/// What is read at once.
const PAGE: Limits = Limits { entries_max: 64, bytes_max: 64 * 1_024 };
/// How long a client that said it would resume is waited for.
pub(super) const RESUME_WITHIN: Duration = Duration::from_secs(5);
/// How long the log is left alone that could not be read, at least.
const PAUSE: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct CatchUp {
    places: VecDeque<Place>,
    /// What was read of the first place and is not in the outbox yet, each with how many messages it is.
    frames: VecDeque<(Bytes, u64)>,
    reading: Option<BoxFuture<'static, Result<Read, Error>>>,
    pause: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
struct Place {
    topic: Topic,
    /// What was read last.
    cursor: Position,
    /// That was the end of the log.
    at_end: bool,
}

impl std::fmt::Debug for CatchUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatchUp").field("places", &self.places).finish_non_exhaustive()
    }
}

impl CatchUp {
    /// Nothing to catch up with.
    pub(super) fn new() -> Self {
        Self { places: VecDeque::new(), frames: VecDeque::new(), reading: None, pause: None }
    }

    /// Goes on from these places; for a client that wants to resume first, not before it did or its time is over.
    pub(super) fn starting(positions: Positions, resumes: bool) -> Self {
        let places = positions.into_iter().map(|(topic, cursor)| Place { topic, cursor, at_end: false });
        let pause = resumes.then(|| Box::pin(sleep(RESUME_WITHIN)));
        Self { places: places.collect(), pause, ..Self::new() }
    }

    /// What the client has of a topic that it is catching up with.
    pub(super) fn position_of(&self, topic: &Topic) -> Option<Position> {
        let place = self.places.iter().position(|place| place.topic == *topic)?;
        let Position { epoch, offset } = self.places[place].cursor.clone();
        let waiting = if place == 0 { self.frames.iter().map(|(_, messages)| messages).sum() } else { 0 };
        Some(Position { epoch, offset: offset - waiting })
    }

    /// Goes on from another place of the topic than before.
    pub(super) fn go_on(&mut self, topic: &Topic, cursor: Position) {
        self.leave(topic);
        self.places.push_back(Place { topic: topic.clone(), cursor, at_end: false });
    }

    /// The topic was left.
    pub(super) fn leave(&mut self, topic: &Topic) {
        if self.places.front().is_some_and(|place| place.topic == *topic) {
            self.frames.clear();
            self.reading = None;
        }
        self.places.retain(|place| place.topic != *topic);
    }

    /// The client has said from where it resumes.
    pub(super) fn wait_no_longer(&mut self) {
        self.pause = None;
    }

    /// Reads on as long as there is room. Ready: there is nothing left to catch up with.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        node: &Arc<Node>,
        connection: &Connection,
    ) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            // The task is woken when the socket has taken what is queued.
            ready!(self.push(node, connection));
            if let Some(reading) = &mut self.reading {
                let read = ready!(reading.as_mut().poll(cx));
                self.reading = None;
                self.take(read, node);
                continue;
            }
            let Some(place) = self.places.front_mut() else { return Poll::Ready(()) };
            if node.tails.catch_up(connection, &place.topic, &place.cursor, place.at_end) {
                self.places.pop_front();
            } else {
                let (log, tenant) = (Arc::clone(node.tails.log()), connection.profile().tenant.clone());
                self.reading = Some(Box::pin(read(log, tenant, place.topic.clone(), place.cursor.clone())));
            }
        }
    }

    fn push(&mut self, node: &Node, connection: &Connection) -> Poll<()> {
        while let Some((frame, messages)) = self.frames.pop_front() {
            if let Err(frame) = connection.outbox().offer(frame) {
                self.frames.push_front((frame, messages));
                return Poll::Pending;
            }
            node.metrics.log.replayed.inc_by(messages);
        }
        Poll::Ready(())
    }

    fn take(&mut self, read: Result<Read, Error>, node: &Node) {
        let Some(place) = self.places.front_mut() else { return };
        match read {
            Ok(Read::Page(page)) => {
                let entries = page.entries().map(|(offset, body)| (placed(&place.topic, offset, body), 1));
                self.frames.extend(entries);
                place.cursor = page.end();
                place.at_end = place.cursor.offset >= page.head.offset;
            }
            Ok(Read::Broken { reason, head }) => {
                node.metrics.log.count_break(reason);
                self.frames.push_back((answer::broken(&place.topic, reason, &head), 0));
                place.cursor = head;
                place.at_end = true;
            }
            Err(error) => {
                tracing::debug!(%error, topic = %place.topic, "a log could not be read; it is tried again");
                self.pause = Some(Box::pin(sleep(PAUSE.mul_f64(1.0 + 2.0 * fastrand::f64()))));
            }
        }
    }
}

async fn read(log: Arc<dyn Log>, tenant: Tenant, topic: Topic, after: Position) -> Result<Read, Error> {
    log.read(&tenant, &topic, &after, PAGE).await
}
