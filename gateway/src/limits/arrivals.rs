//! How fast newcomers may come from one address. Whoever is broken off for what it sends can come again at once: this
//! is what bounds the cost of that.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Limit;
use crate::admission::Bucket;

/// So many seconds' worth may come at once: behind one address may be a depot whose line was down.
const BURST_SECONDS: u32 = 10;
/// Addresses that are remembered before those at rest are forgotten.
const ADDRESSES_KEPT: usize = 1_024;

/// Who came lately; empty where it is off.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// From one address; 0: any number.
    per_second: u32,
    began: Instant,
    addresses: Mutex<Addresses>,
}

#[derive(Debug)]
struct Addresses {
    buckets: HashMap<IpAddr, Bucket>,
    /// At so many of them those at rest are forgotten.
    sweep_at: usize,
}

impl Arrivals {
    pub(super) fn new(per_second: u32) -> Self {
        let addresses = Mutex::new(Addresses { buckets: HashMap::new(), sweep_at: ADDRESSES_KEPT });
        Self { per_second, began: Instant::now(), addresses }
    }

    pub(super) fn is_off(&self) -> bool {
        self.per_second == 0
    }

    /// Counts one more from this address, unless it is one too many.
    pub(super) fn arrive(&self, address: IpAddr) -> Result<(), Limit> {
        if self.is_off() {
            return Ok(());
        }
        let now = self.began.elapsed();
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if !addresses.buckets.contains_key(&address) {
            addresses.sweep(now);
        }
        let burst = self.per_second.saturating_mul(BURST_SECONDS);
        let bucket = addresses.buckets.entry(address).or_insert_with(|| Bucket::new(self.per_second, burst));
        if bucket.take(now) { Ok(()) } else { Err(Limit::AddressConnects) }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.addresses.lock().unwrap().buckets.len()
    }
}

impl Addresses {
    fn sweep(&mut self, now: Duration) {
        if self.buckets.len() >= self.sweep_at {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            self.sweep_at = ADDRESSES_KEPT.max(2 * self.buckets.len());
        }
    }
}
