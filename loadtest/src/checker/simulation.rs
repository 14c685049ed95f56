//! Made-up clusters, right ones and broken ones, and what their clients see of them.
//!
//! Time is a number. Questions and answers take a random while, some are lost, and a question that was
//! given up may still arrive. A server acts in two moments: it looks, and later it acts; a right one decides
//! by what it finds when it acts.

mod boardings;
mod fleet;
mod lock_clients;
mod lock_server;
mod locks;
mod vehicles;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::dice::Dice;

/// What will happen, in the order of time.
struct Agenda<E> {
    now_ns: u64,
    moments: BinaryHeap<Reverse<(u64, usize)>>,
    events: Vec<Option<E>>,
}

impl<E> Agenda<E> {
    fn new() -> Self {
        Self { now_ns: 0, moments: BinaryHeap::new(), events: Vec::new() }
    }

    fn after(&mut self, wait_ns: u64, event: E) {
        self.moments.push(Reverse((self.now_ns + wait_ns, self.events.len())));
        self.events.push(Some(event));
    }

    /// The next event; it is then that moment.
    fn next(&mut self) -> Option<E> {
        let Reverse((at_ns, number)) = self.moments.pop()?;
        self.now_ns = at_ns;
        self.events[number].take()
    }
}

/// How long messages take, and how many are lost.
#[derive(Debug, Clone, Copy)]
struct Network {
    delay_ns_max: u64,
    loss_percent: u64,
}

impl Network {
    /// How long a message takes; `None` if it is lost. One in a hundred takes very long.
    fn delay(&self, dice: &mut Dice) -> Option<u64> {
        let delay = 1 + dice.below(self.delay_ns_max);
        let slow = if dice.percent(1) { 50 } else { 1 };
        (!dice.percent(self.loss_percent)).then_some(delay * slow)
    }
}
