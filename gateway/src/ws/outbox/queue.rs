//! The queue of an outbox: in order, bounded, and without memory while it is empty.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::{Bounds, Keep, Pushed, Taken};
use crate::metrics::{Class, Volumes};
use crate::ws::frame;

/// From this many queued messages on, an ephemeral message replaces an older one of its conflation key.
/// Below it a client is merely a moment behind, and gets everything.
pub(super) const PRESSURE_MESSAGES: usize = 32;

/// Number of the first item; below it is room for what is put in front.
const FIRST_NUMBER: u64 = 1 << 32;

#[derive(Debug, Default)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    /// Number of the item at the front; numbers never repeat.
    front: u64,
    /// Items that were taken out of the middle and still stand in `items`, empty.
    removed: usize,
    pub(super) bytes: usize,
    /// Conflation key -> number of its newest item; exists only under pressure.
    #[expect(clippy::box_collection, reason = "forty bytes less in every idle connection")]
    newest: Option<Box<HashMap<u64, u64>>>,
    /// Nobody takes anything out any more.
    pub(super) ended: bool,
    pub(super) ping: bool,
    pub(super) pong: Option<Bytes>,
}

#[derive(Debug)]
struct Item {
    frame: Bytes,
    keep: Keep,
}

impl Item {
    fn class(&self) -> Class {
        match self.keep {
            Keep::Ephemeral { .. } => Class::Ephemeral,
            Keep::Stored => Class::Durable,
            Keep::Always => Class::Control,
        }
    }
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { front: FIRST_NUMBER, ..Self::default() }
    }

    /// Puts a frame before all others, whatever the bounds say.
    pub(super) fn push_front(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.newest = None;
        self.front -= 1;
        self.items.push_front(Item { frame, keep: Keep::Always });
    }

    pub(super) fn push(&mut self, frame: Bytes, keep: Keep, bounds: Bounds) -> Pushed {
        if self.ended {
            return Pushed::Closing;
        }
        let conflated = self.conflate(keep);
        let mut displaced = 0;
        while !self.fits(frame.len(), bounds) {
            if !self.drop_oldest_ephemeral() {
                return match keep {
                    Keep::Ephemeral { .. } => Pushed::Dropped,
                    Keep::Always | Keep::Stored => Pushed::Overflow,
                };
            }
            displaced += 1;
        }
        self.append(frame, keep);
        match (conflated, displaced) {
            (true, 0) => Pushed::Conflated,
            (false, 0) => Pushed::Queued,
            (conflated, displaced) => Pushed::Displaced(displaced + u32::from(conflated)),
        }
    }

    pub(super) fn fits(&self, bytes: usize, bounds: Bounds) -> bool {
        let messages = self.len();
        messages == 0 || (messages < bounds.messages_max && self.bytes + bytes <= bounds.bytes_max)
    }

    pub(super) fn len(&self) -> usize {
        self.items.len() - self.removed
    }

    /// Drops everything; how many messages that were.
    pub(super) fn clear(&mut self) -> usize {
        let dropped = self.len();
        self.items = VecDeque::new();
        self.removed = 0;
        self.bytes = 0;
        self.newest = None;
        dropped
    }

    pub(super) fn append(&mut self, frame: Bytes, keep: Keep) {
        if let (Some(newest), Keep::Ephemeral { conflation: conflation @ 1.. }) = (&mut self.newest, keep) {
            newest.insert(conflation, self.front + self.items.len() as u64);
        }
        self.bytes += frame.len();
        if self.items.capacity() == 0 {
            // Most wait alone, and so small a piece is the allocator's cheapest.
            self.items.reserve_exact(1);
        }
        self.items.push_back(Item { frame, keep });
    }

    /// Removes the queued message that the one to come replaces.
    fn conflate(&mut self, keep: Keep) -> bool {
        let Keep::Ephemeral { conflation: conflation @ 1.. } = keep else { return false };
        if self.items.len() < PRESSURE_MESSAGES {
            return false;
        }
        if self.newest.is_none() {
            self.newest = Some(Box::new(self.index()));
        }
        let number = self.newest.as_mut().and_then(|newest| newest.remove(&conflation));
        let Some(number) = number else { return false };
        // An item that was written meanwhile lies before the front.
        let place = number.checked_sub(self.front).and_then(|place| usize::try_from(place).ok());
        place.is_some_and(|place| self.remove(place))
    }

    fn index(&self) -> HashMap<u64, u64> {
        let numbered = (self.front..).zip(&self.items);
        numbered
            .filter_map(|(number, item)| match item.keep {
                Keep::Ephemeral { conflation: conflation @ 1.. } => Some((conflation, number)),
                Keep::Ephemeral { .. } | Keep::Always | Keep::Stored => None,
            })
            .collect()
    }

    fn drop_oldest_ephemeral(&mut self) -> bool {
        let droppable = |item: &Item| matches!(item.keep, Keep::Ephemeral { .. }) && !item.frame.is_empty();
        self.items.iter().position(droppable).is_some_and(|place| self.remove(place))
    }

    fn remove(&mut self, place: usize) -> bool {
        let Some(item) = self.items.get_mut(place).filter(|item| !item.frame.is_empty()) else {
            return false;
        };
        self.bytes -= item.frame.len();
        item.frame = Bytes::new();
        self.removed += 1;
        self.compact();
        true
    }

    /// Forgets removed items: those at the front at once, those in the middle when they are the majority.
    fn compact(&mut self) {
        while self.items.front().is_some_and(|item| item.frame.is_empty()) {
            self.items.pop_front();
            self.front += 1;
            self.removed -= 1;
        }
        if self.removed > PRESSURE_MESSAGES + self.items.len() / 2 {
            self.items.retain(|item| !item.frame.is_empty());
            self.removed = 0;
            self.newest = None;
        }
    }

    pub(super) fn take(&mut self, batch: &mut Vec<Bytes>, frames_max: usize, bytes_max: usize) -> Taken {
        batch.extend(self.pong.take());
        if std::mem::take(&mut self.ping) {
            batch.push(frame::ping());
        }
        let mut bytes = 0;
        let mut messages = Volumes::default();
        while batch.len() < frames_max && bytes < bytes_max {
            let Some(item) = self.items.pop_front() else { break };
            self.front += 1;
            if item.frame.is_empty() {
                self.removed -= 1;
                continue;
            }
            bytes += item.frame.len();
            messages.add(item.class(), item.frame.len());
            batch.push(item.frame);
        }
        self.bytes -= bytes;
        if self.items.is_empty() {
            self.items = VecDeque::new();
            self.newest = None;
        }
        Taken { messages, is_last: self.items.is_empty() }
    }
}
