//! The servers that a node talks to, and the way of each call to the one that has its key.
//!
//! A single Redis, and one behind sentinels, is one [`Shard`] that has every slot. In a Cluster there are several, and a
//! [`Map`] of the slots that `topology` keeps. A pipeline is divided by shard: each shard's calls keep their order,
//! those of different shards run at the same time.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use redis::Value;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::call::Call;
use super::endpoint::Endpoint;
use super::fault::{Redirect, of_question};
use super::link::{Link, checked};
use super::pool::{PoolBounds, Pools};
use crate::Error;
use crate::measured::Measured;
use crate::mutex::lock;
use crate::slot::SLOTS;

/// A slot that nobody is known to have.
const NOBODY: u16 = u16::MAX;
/// A call is sent on so often; each time it was not done where it came from.
const HOPS_MAX: usize = 3;

/// One master, as a node uses it.
pub(super) struct Shard {
    pub(super) endpoint: Endpoint,
    links: Vec<Arc<Link>>,
    pub(super) pools: Pools,
    /// Ends what runs for it.
    pub(super) stop: CancellationToken,
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard").field("address", &self.endpoint.latest()).finish_non_exhaustive()
    }
}

impl Shard {
    pub(super) fn links(&self) -> &[Arc<Link>] {
        &self.links
    }
}

/// First and last of some slots that follow each other.
pub(super) type SlotRange = (u16, u16);

/// Which shard has which slot.
#[derive(Debug, Default)]
pub(super) struct Map {
    pub(super) shards: Vec<Arc<Shard>>,
    /// Where each slot is in `shards`; empty if there is one shard, which has all.
    slots: Vec<u16>,
}

impl Map {
    /// The slots of each shard, as first and last.
    pub(super) fn of_slots(shards: Vec<(Arc<Shard>, Vec<SlotRange>)>) -> Self {
        let mut slots = vec![NOBODY; SLOTS];
        for (number, (_, ranges)) in shards.iter().enumerate() {
            for (first, last) in ranges {
                let range = usize::from(*first)..=usize::from(*last).min(SLOTS - 1);
                slots.get_mut(range).into_iter().flatten().for_each(|slot| *slot = number as u16);
            }
        }
        Self { shards: shards.into_iter().map(|(shard, _)| shard).collect(), slots }
    }

    /// Whether it says the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let same = |(one, other)| Arc::ptr_eq(one, other);
        self.slots == other.slots
            && self.shards.len() == other.shards.len()
            && self.shards.iter().zip(&other.shards).all(same)
    }

    /// Where in `shards` a slot is.
    pub(super) fn place_of(&self, slot: u16) -> Option<usize> {
        let place =
            if self.slots.is_empty() { 0 } else { usize::from(self.slots[usize::from(slot) % SLOTS]) };
        (place < self.shards.len()).then_some(place)
    }

    /// Which shard has a slot.
    pub(super) fn shard_of(&self, slot: u16) -> Option<&Arc<Shard>> {
        self.place_of(slot).map(|place| &self.shards[place])
    }

    /// The calls of each shard, by their places among `calls`. Those without a key go with the first that has one.
    pub(super) fn divide(&self, calls: &[Call]) -> Result<BTreeMap<usize, Vec<usize>>, Error> {
        let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let any = if self.slots.is_empty() { None } else { calls.iter().find_map(Call::slot) };
        for (place, call) in calls.iter().enumerate() {
            let slot = if self.slots.is_empty() { Some(0) } else { call.slot().or(any) };
            let shard = slot.map_or((!self.shards.is_empty()).then_some(0), |slot| self.place_of(slot));
            parts.entry(shard.ok_or(Error::Unavailable(None))?).or_default().push(place);
        }
        Ok(parts)
    }
}

/// All servers of a node.
#[derive(Debug)]
pub(super) struct Links {
    per_shard: usize,
    command_timeout: Duration,
    map: watch::Sender<Arc<Map>>,
    reach: Arc<Reach>,
    measured: Arc<Measured>,
    /// Somebody was sent elsewhere, or found nobody: the map should be looked at.
    pub(super) stale: Notify,
}

impl Links {
    pub(super) fn new(per_shard: usize, command_timeout: Duration, measured: &Arc<Measured>) -> Self {
        Self {
            per_shard: per_shard.max(1),
            command_timeout,
            map: watch::Sender::default(),
            reach: Arc::default(),
            measured: Arc::clone(measured),
            stale: Notify::new(),
        }
    }

    /// A shard whose links are not kept up yet.
    pub(super) fn new_shard(
        &self,
        endpoint: Endpoint,
        pools: PoolBounds,
        stop: CancellationToken,
    ) -> Arc<Shard> {
        let measured = &self.measured;
        let link =
            |number| Link::new(number, self.command_timeout, Arc::clone(&self.reach), Arc::clone(measured));
        let links = (0..self.per_shard).map(link).collect();
        Arc::new(Shard { links, pools: Pools::new(pools, endpoint.clone()), endpoint, stop })
    }

    /// One server has everything.
    pub(super) fn only(&self, shard: Arc<Shard>) {
        self.put(Map { shards: vec![shard], slots: Vec::new() });
    }

    /// From now on it is so.
    pub(super) fn put(&self, map: Map) {
        let links = map.shards.iter().flat_map(|shard| &shard.links).map(Arc::downgrade).collect();
        self.map.send_replace(Arc::new(map));
        self.reach.watch(links);
    }

    pub(super) fn map(&self) -> Arc<Map> {
        Arc::clone(&self.map.borrow())
    }

    /// The map, as it changes.
    pub(super) fn maps(&self) -> watch::Receiver<Arc<Map>> {
        self.map.subscribe()
    }

    /// A server says that a slot is elsewhere.
    pub(super) fn moved(&self, redirect: &Redirect) {
        self.stale.notify_one();
        self.map.send_if_modified(|map| {
            let Some(to) = map.shards.iter().position(|shard| shard.is_at(&redirect.to)) else {
                return false;
            };
            let mut slots = map.slots.clone();
            let Some(slot) = slots.get_mut(usize::from(redirect.slot)) else { return false };
            *slot = to as u16;
            *map = Arc::new(Map { shards: map.shards.clone(), slots });
            true
        });
    }

    /// The way of everything about `name`: always the same links.
    pub(super) fn of(&self, name: impl Hash) -> Road<'_> {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Road { links: self, number: (hasher.finish() % self.per_shard as u64) as usize }
    }

    /// The way of what concerns all.
    pub(super) fn first(&self) -> Road<'_> {
        Road { links: self, number: 0 }
    }

    /// Whether all links are up, as it changes.
    pub(super) fn reachable(&self) -> watch::Receiver<bool> {
        self.reach.reachable.subscribe()
    }
}

impl Shard {
    fn is_at(&self, address: &Address) -> bool {
        self.endpoint.latest().as_ref() == Some(address)
    }
}

/// A way to all servers, by one link of each. Commands that need an order among them go the same way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Road<'a> {
    links: &'a Links,
    number: usize,
}

impl Road<'_> {
    pub(super) fn number(self) -> usize {
        self.number
    }

    /// Whether the server that has this key, or this channel, can be asked.
    pub(super) fn is_up(self, slot: u16) -> bool {
        self.links.map.borrow().shard_of(slot).is_some_and(|shard| shard.links[self.number].is_up())
    }

    /// Carries out commands that change something, one round trip for all. Those of one server run in this order,
    /// but not as one step; a refusal is the answer.
    pub(super) async fn write(self, calls: &[Call]) -> Result<Vec<Value>, Error> {
        let map = self.links.map();
        if let ([shard], true) = (&*map.shards, map.slots.is_empty()) {
            return shard.links[self.number].write(calls).await;
        }
        let parts = map.divide(calls).inspect_err(|_| self.links.stale.notify_one())?;
        let asked = parts.iter().map(|(shard, places)| {
            let of_shard: Vec<_> = places.iter().map(|place| calls[*place].clone()).collect();
            self.part(&map.shards[*shard], of_shard)
        });
        merge(parts.values().zip(join_all(asked).await), calls.len())
    }

    /// Carries out commands that change nothing.
    pub(super) async fn read(self, calls: &[Call]) -> Result<Vec<Value>, Error> {
        self.write(calls).await.map_err(of_question)
    }

    /// Carries out one command that changes something.
    pub(super) async fn write_one(self, call: Call) -> Result<Value, Error> {
        let answers = self.write(std::slice::from_ref(&call)).await?;
        answers.into_iter().next().ok_or(Error::Unreadable { what: "answer" })
    }

    /// The calls of one shard, sent on if that no longer has a slot.
    async fn part(self, shard: &Shard, calls: Vec<Call>) -> Result<Vec<Value>, Error> {
        let mut answers = shard.links[self.number].raw(&calls).await?;
        for (call, answer) in calls.iter().zip(&mut answers) {
            for _ in 0..HOPS_MAX {
                let Some(redirect) = Redirect::of(answer) else { break };
                let followed = self.follow(call, &redirect).await;
                // The others may have been done.
                *answer = if calls.len() > 1 { followed.map_err(half_done)? } else { followed? };
            }
        }
        Ok(answers)
    }

    async fn follow(self, call: &Call, redirect: &Redirect) -> Result<Value, Error> {
        if !redirect.is_for_once {
            self.links.moved(redirect);
        }
        let map = self.links.map();
        let Some(shard) = map.shards.iter().find(|shard| shard.is_at(&redirect.to)) else {
            self.links.stale.notify_one();
            return Err(Error::Unavailable(None));
        };
        let link = &shard.links[self.number];
        if redirect.is_for_once {
            return link.ask(call).await;
        }
        let answers = link.raw(std::slice::from_ref(call)).await?;
        answers.into_iter().next().ok_or(Error::Unreadable { what: "answer" })
    }
}

/// Whether a part was done that nothing is said of.
fn half_done(error: Error) -> Error {
    match error {
        Error::Unavailable(source) => Error::OutcomeUnknown(source),
        error => error,
    }
}

/// Puts the answers of several shards together. What was done by one and not by another is unknown to who asked.
fn merge<'a>(
    parts: impl Iterator<Item = (&'a Vec<usize>, Result<Vec<Value>, Error>)>,
    count: usize,
) -> Result<Vec<Value>, Error> {
    let (mut answers, mut done, mut failed) = (vec![Value::Nil; count], false, None);
    for (places, answered) in parts {
        match answered {
            Ok(values) => {
                for (place, value) in places.iter().zip(values) {
                    match checked(value) {
                        Ok(value) => (answers[*place], done) = (value, true),
                        Err(error) => failed = Some(worse(failed.take(), error)),
                    }
                }
            }
            Err(error) => failed = Some(worse(failed.take(), error)),
        }
    }
    match failed {
        None => Ok(answers),
        Some(Error::Unavailable(source)) if done => Err(Error::OutcomeUnknown(source)),
        Some(error) => Err(error),
    }
}

/// The one of two failures that promises less.
fn worse(one: Option<Error>, other: Error) -> Error {
    match (one, other) {
        (Some(one @ Error::OutcomeUnknown(_)), _) => one,
        (_, other @ Error::OutcomeUnknown(_)) => other,
        (Some(one @ Error::Refused(_)), Error::Unavailable(_)) => one,
        (_, other) => other,
    }
}

/// Whether all links of all shards are up.
#[derive(Debug, Default)]
pub(super) struct Reach {
    links: Mutex<Vec<Weak<Link>>>,
    reachable: watch::Sender<bool>,
}

impl Reach {
    fn watch(&self, links: Vec<Weak<Link>>) {
        *lock(&self.links) = links;
        self.look();
    }

    /// A link went up or down.
    pub(super) fn look(&self) {
        let links = lock(&self.links);
        let reachable =
            !links.is_empty() && links.iter().all(|link| link.upgrade().is_some_and(|link| link.is_up()));
        self.reachable.send_if_modified(|now| std::mem::replace(now, reachable) != reachable);
    }
}
