//! Which server has which slot. One server alone has all of them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::address::Address;
use super::call::Call;
use super::fault::Redirect;
use super::shards::Shard;
use crate::Error;
use crate::slot::SLOTS;

/// A slot that nobody is known to have.
const NOBODY: u16 = u16::MAX;

/// First and last of some slots that follow each other.
pub(super) type SlotRange = (u16, u16);

/// Which shard has which slot.
#[derive(Debug, Default)]
pub(super) struct Map {
    shards: Vec<Arc<Shard>>,
    /// Where each slot is in `shards`; empty if there is one shard, which has all.
    slots: Vec<u16>,
}

impl Map {
    /// One shard has every slot.
    pub(super) fn of_one(shard: Arc<Shard>) -> Self {
        Self { shards: vec![shard], slots: Vec::new() }
    }

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

    /// All of them.
    pub(super) fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    /// The one that has every slot.
    pub(super) fn only(&self) -> Option<&Shard> {
        self.shards.first().filter(|_| self.slots.is_empty()).map(Arc::as_ref)
    }

    /// The shard whose server is at this address.
    pub(super) fn at(&self, address: &Address) -> Option<&Shard> {
        self.shards.iter().find(|shard| shard.is_at(address)).map(Arc::as_ref)
    }

    /// The same, with a slot where its server says; none if it knows no such server.
    pub(super) fn with_moved(&self, redirect: &Redirect) -> Option<Self> {
        let to = self.shards.iter().position(|shard| shard.is_at(&redirect.to))?;
        let mut slots = self.slots.clone();
        *slots.get_mut(usize::from(redirect.slot))? = to as u16;
        Some(Self { shards: self.shards.clone(), slots })
    }

    /// All slots in their order, with where in `shards` they are; none if not all are known.
    pub(super) fn ranges(&self) -> Option<Vec<(RangeInclusive<u16>, usize)>> {
        let mut ranges: Vec<(RangeInclusive<u16>, usize)> = Vec::new();
        for slot in 0..SLOTS as u16 {
            let place = self.place_of(slot)?;
            match ranges.last_mut() {
                Some((slots, last)) if *last == place => *slots = *slots.start()..=slot,
                _ => ranges.push((slot..=slot, place)),
            }
        }
        Some(ranges)
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
