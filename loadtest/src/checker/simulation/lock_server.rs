//! A lock server in a box, with any flaw that a test wants.

use std::collections::HashMap;

use crate::dice::Dice;

/// How a lock server is wrong; the default is right.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flaws {
    /// It decides by what it saw a moment before.
    pub(super) get_then_set: bool,
    /// A release deletes whatever lock there is.
    pub(super) delete_unchecked: bool,
    /// A renewal extends whatever lock there is.
    pub(super) renew_unchecked: bool,
    /// Locks expire after half of their time.
    pub(super) expires_early: bool,
    pub(super) fences: Fences,
}

/// Where fences come from.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Fences {
    /// A counter that only ever grows.
    #[default]
    Grow,
    /// There are none.
    Missing,
    /// A counter that goes with the lock.
    StartAgain,
    /// A clock that is coarser than grants are far apart.
    CoarseClock,
    /// A counter of each client's own node.
    OfTheClient,
}

#[derive(Debug)]
pub(super) struct LockServer {
    flaws: Flaws,
    ttl_ns: u64,
    locks: HashMap<u32, Held>,
    counters: HashMap<u32, u64>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    request: u64,
    fence: u64,
    expires_ns: u64,
}

/// Whose lock of what is meant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) client: u32,
    pub(super) resource: u32,
    pub(super) request: u64,
    /// 0 before it is granted.
    pub(super) fence: u64,
}

impl LockServer {
    pub(super) fn new(flaws: Flaws, ttl_ms: u32) -> Self {
        let ttl_ns = u64::from(ttl_ms) * 1_000_000;
        Self { flaws, ttl_ns, locks: HashMap::new(), counters: HashMap::new() }
    }

    /// Whether a resource is free now.
    pub(super) fn looks_free(&self, now_ns: u64, resource: u32) -> bool {
        self.held(now_ns, resource).is_none()
    }

    /// Answers the fence, unless another holds it. `looked_free` is what it saw a moment before.
    pub(super) fn acquire(
        &mut self,
        now_ns: u64,
        claim: Claim,
        looked_free: bool,
        dice: &mut Dice,
    ) -> Option<u64> {
        let held = self.held(now_ns, claim.resource);
        if let Some(held) = held.filter(|held| held.request == claim.request) {
            return Some(held.fence);
        }
        let free = if self.flaws.get_then_set { looked_free } else { held.is_none() };
        if !free {
            return None;
        }
        let fence = self.next_fence(now_ns, claim);
        let expires_ns = now_ns + self.lasts(dice);
        self.locks.insert(claim.resource, Held { request: claim.request, fence, expires_ns });
        Some(fence)
    }

    /// Whether the time to live begins anew.
    pub(super) fn renew(&mut self, now_ns: u64, claim: Claim, dice: &mut Dice) -> bool {
        let expires_ns = now_ns + self.lasts(dice);
        let unchecked = self.flaws.renew_unchecked;
        let held = self.held(now_ns, claim.resource).filter(|held| unchecked || held.is(claim));
        if let Some(held) = held {
            self.locks.insert(claim.resource, Held { expires_ns, ..held });
        }
        held.is_some()
    }

    /// Whether it was given back.
    pub(super) fn release(&mut self, now_ns: u64, claim: Claim) -> bool {
        let unchecked = self.flaws.delete_unchecked;
        let held = self.held(now_ns, claim.resource).filter(|held| unchecked || held.is(claim));
        held.is_some_and(|_| self.locks.remove(&claim.resource).is_some())
    }

    fn held(&self, now_ns: u64, resource: u32) -> Option<Held> {
        self.locks.get(&resource).copied().filter(|held| now_ns < held.expires_ns)
    }

    /// How long a lock lasts, by a clock that is not ours: a millisecond and a thousandth less at worst.
    fn lasts(&self, dice: &mut Dice) -> u64 {
        let ttl_ns = if self.flaws.expires_early { self.ttl_ns / 2 } else { self.ttl_ns };
        ttl_ns - dice.below(1_000_000 + ttl_ns / 1_000)
    }

    fn next_fence(&mut self, now_ns: u64, claim: Claim) -> u64 {
        let counter = match self.flaws.fences {
            Fences::Grow => self.counters.entry(claim.resource),
            Fences::OfTheClient => self.counters.entry(claim.client),
            Fences::Missing => return 0,
            Fences::StartAgain => return 1,
            Fences::CoarseClock => return now_ns / 5_000_000,
        };
        let counter = counter.or_default();
        *counter += 1;
        *counter
    }
}

impl Held {
    fn is(&self, claim: Claim) -> bool {
        (self.request, self.fence) == (claim.request, claim.fence)
    }
}
