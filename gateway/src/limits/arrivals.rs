//! How fast newcomers may come from one address. Whoever is broken off for what it sends can come again at once: this
//! is what bounds the cost of that.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::Limit;
use super::buckets::Buckets;

/// So many seconds' worth may come at once: behind one address may be a depot whose line was down.
const BURST_SECONDS: u32 = 10;

/// Who came lately; empty where it is off.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// From one address; 0: any number.
    per_second: u32,
    began: Instant,
    addresses: Mutex<Buckets<IpAddr>>,
}

impl Arrivals {
    pub(super) fn new(per_second: u32) -> Self {
        let addresses = Mutex::new(Buckets::new(per_second, per_second.saturating_mul(BURST_SECONDS)));
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
        addresses.take(address, now).map_err(|_wait| Limit::AddressConnects)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.addresses.lock().unwrap().len()
    }
}
