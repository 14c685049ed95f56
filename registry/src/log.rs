//! The durable log: what was said in a topic lately, each message with its number, so that whoever missed some
//! can read them, or is told that they are gone.
//!
//! An append stores a message and tells of it in one step. Offsets grow by one per topic. A position is an
//! offset in an epoch; [`judge`] says whether a position that somebody holds still means anything. Nothing is
//! ever taken for continuous that may not be. No keys are made for topics in which nobody has said anything:
//! their epoch is the moment at which somebody looked, see [`epoch`].

pub mod epoch;
mod settings;

use std::ops::RangeInclusive;

use async_trait::async_trait;
use bytes::Bytes;
use signalbox_protocol::control::{Discontinuity, Position};
use signalbox_protocol::{Agent, Tenant, Topic};

pub use self::epoch::judge;
pub use self::settings::{LogSettings, Retention, Strict};
use crate::Error;
use crate::directory::NodeSet;

/// So many ids of a topic are known at least, if they come faster than its messages expire.
pub(crate) const IDS_MAX: usize = 10_000;

/// A topic in which nobody ever says anything: it tells which life of what is stored this is.
const WITNESS: &str = "signalbox:nothing";

/// First and last of some parts of what is stored that follow each other.
pub type Parts = RangeInclusive<u16>;

/// To whom a topic leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// A group topic: in the same step the message is published to all nodes that follow it.
    Followers,
    /// A point topic: in the same step the nodes are looked up that hold it. The appender posts to them.
    Holders,
}

/// A message for one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The customer.
    pub tenant: Tenant,
    /// Where it goes.
    pub topic: Topic,
    /// What that topic is.
    pub audience: Audience,
    /// Who says it.
    pub source: Agent,
    /// Its id. The same source's id is stored once, for at least as long as the topic keeps messages.
    pub id: String,
    /// The message: one envelope in JSON, without `topic` and `offset`.
    pub body: Bytes,
}

/// What came of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The message's place; of a repeated one, the place of the first.
    pub position: Position,
    /// It had been stored before; nothing was stored or published now.
    pub duplicate: bool,
    /// The nodes that hold a point topic, also when the message had been stored before: whoever appended that one
    /// may have died before it posted.
    pub holders: NodeSet,
}

/// A message as it is told: published by the step that stored it, or posted to whoever holds the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The customer.
    pub tenant: Tenant,
    /// The topic that has the log.
    pub topic: Topic,
    /// The message's place in it.
    pub position: Position,
    /// The message, as it was appended. See `signalbox_protocol::envelope::write_placed`.
    pub body: Bytes,
}

/// How much one answer may hold; at least one entry, however large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most entries.
    pub entries_max: usize,
    /// Most bytes of bodies.
    pub bytes_max: usize,
}

/// What follows a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// Nothing is missing between the position and the first entry, nor between the entries.
    Page(Page),
    /// Something may be missing.
    Broken {
        /// Why.
        reason: Discontinuity,
        /// Where to go on from.
        head: Position,
    },
}

/// A run of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The offset of the first entry; each following one is one greater.
    pub first: u64,
    /// The messages, as they were appended.
    pub bodies: Vec<Bytes>,
    /// Where the log ends. If that lies behind the last entry, there is more to read.
    pub head: Position,
}

impl Page {
    /// Nothing follows a position.
    pub(crate) fn empty(after: &Position, head: Position) -> Self {
        Self { first: after.offset + 1, bodies: Vec::new(), head }
    }

    /// The entries with their offsets.
    pub fn entries(&self) -> impl Iterator<Item = (u64, &Bytes)> {
        (self.first..).zip(&self.bodies)
    }

    /// The position behind the last entry: where the next page begins.
    pub fn end(&self) -> Position {
        let offset = self.first + self.bodies.len() as u64 - 1;
        Position { epoch: self.head.epoch.clone(), offset }
    }
}

/// The logs of all topics.
#[async_trait]
pub trait Log: Send + Sync + std::fmt::Debug {
    /// Stores a message and tells of it. Appends to one topic that are made one after the other are stored in
    /// that order. Asking again with the same source and id is safe at any time.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it was not stored, and will not be. [`Error::OutcomeUnknown`]: it may have been.
    async fn append(&self, entry: &Entry) -> Result<Appended, Error>;

    /// What follows a position. Whoever asks has made sure before that it hears of what is appended
    /// from now on.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn read(
        &self,
        tenant: &Tenant,
        topic: &Topic,
        after: &Position,
        limits: Limits,
    ) -> Result<Read, Error>;

    /// Where topics end now, in the order asked. A topic in which nobody has said anything has offset 0 and an
    /// epoch that holds when the first message comes. What somebody follows is to be asked for at least
    /// every hour: so its log is not forgotten.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn heads(&self, topics: &[(Tenant, Topic)]) -> Result<Vec<Position>, Error>;

    /// Of how many parts what is stored consists, each of which may be lost without the others.
    fn parts(&self) -> u16 {
        1
    }

    /// Which part a topic is in, from 0.
    fn part_of(&self, _tenant: &Tenant, _topic: &Topic) -> u16 {
        0
    }

    /// Where topics end in which nobody has said anything, for all parts, in their order.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: not all parts can be asked.
    async fn nothing(&self) -> Result<Vec<(Parts, Position)>, Error> {
        nothing_in_one_part(self).await
    }

    /// Begins another epoch of a log that contradicts itself, unless somebody has since `seen`. Answers
    /// where the topic ends.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::OutcomeUnknown`].
    async fn new_epoch(&self, tenant: &Tenant, topic: &Topic, seen: &str) -> Result<Position, Error>;
}

/// Where topics end in which nobody has said anything, if what is stored is lost or kept as one.
pub(crate) async fn nothing_in_one_part(log: &(impl Log + ?Sized)) -> Result<Vec<(Parts, Position)>, Error> {
    let witness = Topic::try_new(WITNESS).expect("a constant topic");
    let tenant = Tenant::try_new("default").expect("a constant tenant");
    let heads = log.heads(&[(tenant, witness)]).await?;
    Ok(heads.into_iter().map(|head| (0..=0, head)).collect())
}
