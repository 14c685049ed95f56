//! How fast messages may come. A message is taken or refused whole; a bucket that holds anything takes it, however
//! large, and is in debt afterwards.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use signalbox_protocol::{Agent, Tenant};
use tokio::time::Instant;

use super::buckets::Buckets;
use super::{Limit, RateBounds, Tally};
use crate::admission::Bucket;

/// In which refusals are counted before they close.
const REFUSALS_WINDOW: Duration = Duration::from_secs(10);
/// Tenants that are remembered before those who are at rest are forgotten.
const TENANTS_KEPT: usize = 256;

/// Something came too fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Over {
    pub(super) limit: Limit,
    pub(super) retry_after: Duration,
    /// It has been refused so often that it is time to part.
    pub(super) goes_on: bool,
}

/// What comes from each connection and each tenant.
#[derive(Debug)]
pub(super) struct Meters {
    bounds: RateBounds,
    is_off: bool,
    began: Instant,
    connections: DashMap<u64, Meter>,
    tenants: Mutex<Tenants>,
    /// Who asks for locks by HTTP.
    askers: Mutex<Buckets<(Tenant, Agent)>>,
}

/// What each tenant's connections share. It outlives them until it is at rest: who comes back finds no new bucket.
#[derive(Debug)]
struct Tenants {
    flows: HashMap<Tenant, Arc<Mutex<Flow>>>,
    /// At so many of them those at rest are forgotten.
    sweep_at: usize,
}

#[derive(Debug)]
struct Meter {
    flow: Flow,
    locks: Option<Bucket>,
    tenant: Option<Arc<Mutex<Flow>>>,
    refusals: Tally,
}

/// Messages, and the bytes of them.
#[derive(Debug)]
struct Flow {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
}

impl Meters {
    pub(super) fn new(bounds: RateBounds) -> Self {
        let RateBounds { messages, bytes, tenant_messages, tenant_bytes, lock_attempts, .. } = bounds;
        let is_off = [messages, bytes, tenant_messages, tenant_bytes, lock_attempts] == [0; 5];
        let tenants = Mutex::new(Tenants { flows: HashMap::new(), sweep_at: TENANTS_KEPT });
        let askers = Mutex::new(Buckets::new(lock_attempts, lock_attempts));
        Self { bounds, is_off, began: Instant::now(), connections: DashMap::new(), tenants, askers }
    }

    /// Begins to meter a connection; false if nothing is metered here.
    pub(super) fn begin(&self, number: u64, tenant: &Tenant) -> bool {
        if self.is_off {
            return false;
        }
        let meter = Meter {
            flow: Flow::new(self.bounds.messages, self.bounds.bytes),
            locks: bucket(self.bounds.lock_attempts),
            tenant: self.of_tenant(tenant),
            refusals: Tally::default(),
        };
        self.connections.insert(number, meter);
        true
    }

    pub(super) fn end(&self, number: u64) {
        self.connections.remove(&number);
    }

    pub(super) fn message(&self, number: u64, bytes: usize) -> Result<(), Over> {
        self.count(number, |meter, now| {
            let own = meter.flow.wait(now).map(|(is_bytes, wait)| (of_connection(is_bytes), wait));
            let Some(tenant) = &meter.tenant else {
                return own.map_or_else(
                    || {
                        meter.flow.spend(now, 1, bytes);
                        Ok(())
                    },
                    Err,
                );
            };
            let mut tenant = lock(tenant);
            let shared = || tenant.wait(now).map(|(is_bytes, wait)| (of_tenant(is_bytes), wait));
            if let Some(over) = own.or_else(shared) {
                return Err(over);
            }
            tenant.spend(now, 1, bytes);
            meter.flow.spend(now, 1, bytes);
            Ok(())
        })
    }

    pub(super) fn lock_attempt(&self, number: u64) -> Result<(), Over> {
        self.count(number, |meter, now| match &mut meter.locks {
            None => Ok(()),
            Some(bucket) => match bucket.wait(now) {
                Some(wait) => Err((Limit::LockAttempts, wait)),
                None => {
                    bucket.spend(now, 1);
                    Ok(())
                }
            },
        })
    }

    /// An attempt by HTTP, where each agent has as much as a connection has.
    pub(super) fn lock_asked(&self, tenant: &Tenant, agent: &Agent) -> Result<(), Over> {
        if self.bounds.lock_attempts == 0 {
            return Ok(());
        }
        let taken = lock(&self.askers).take((tenant.clone(), agent.clone()), self.began.elapsed());
        taken.map_err(|retry_after| Over { limit: Limit::LockAttempts, retry_after, goes_on: false })
    }

    pub(super) fn published(&self, tenant: &Tenant, messages: usize, bytes: usize) -> Result<(), Over> {
        let Some(flow) = self.of_tenant(tenant) else { return Ok(()) };
        let (mut flow, now) = (lock(&flow), self.began.elapsed());
        if let Some((is_bytes, retry_after)) = flow.wait(now) {
            return Err(Over { limit: of_tenant(is_bytes), retry_after, goes_on: false });
        }
        flow.spend(now, messages, bytes);
        Ok(())
    }

    fn count(
        &self,
        number: u64,
        take: impl FnOnce(&mut Meter, Duration) -> Result<(), (Limit, Duration)>,
    ) -> Result<(), Over> {
        if self.is_off {
            return Ok(());
        }
        let Some(mut meter) = self.connections.get_mut(&number) else { return Ok(()) };
        let now = self.began.elapsed();
        take(&mut meter, now).map_err(|(limit, retry_after)| {
            let seconds = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
            let refused = meter.refusals.add(seconds, REFUSALS_WINDOW);
            Over { limit, retry_after, goes_on: refused >= self.bounds.refusals_max }
        })
    }

    fn of_tenant(&self, tenant: &Tenant) -> Option<Arc<Mutex<Flow>>> {
        let RateBounds { tenant_messages, tenant_bytes, .. } = self.bounds;
        if (tenant_messages, tenant_bytes) == (0, 0) {
            return None;
        }
        let mut tenants = lock(&self.tenants);
        if let Some(flow) = tenants.flows.get(tenant) {
            return Some(Arc::clone(flow));
        }
        tenants.sweep(self.began.elapsed());
        let flow = Arc::new(Mutex::new(Flow::new(tenant_messages, tenant_bytes)));
        tenants.flows.insert(tenant.clone(), Arc::clone(&flow));
        Some(flow)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> (usize, usize) {
        (self.connections.len(), lock(&self.tenants).flows.len())
    }
}

impl Tenants {
    fn sweep(&mut self, now: Duration) {
        if self.flows.len() >= self.sweep_at {
            self.flows.retain(|_, flow| Arc::strong_count(flow) > 1 || !lock(flow).is_at_rest(now));
            self.sweep_at = TENANTS_KEPT.max(2 * self.flows.len());
        }
    }
}

impl Flow {
    fn new(messages: u32, bytes: u32) -> Self {
        Self { messages: bucket(messages), bytes: bucket(bytes) }
    }

    /// What is not free yet, true for the bytes, and for how long.
    fn wait(&self, now: Duration) -> Option<(bool, Duration)> {
        let wait = |bucket: &Option<Bucket>| bucket.as_ref().and_then(|bucket| bucket.wait(now));
        wait(&self.messages).map(|wait| (false, wait)).or_else(|| wait(&self.bytes).map(|wait| (true, wait)))
    }

    fn spend(&mut self, now: Duration, messages: usize, bytes: usize) {
        let spend = |bucket: &mut Option<Bucket>, count: usize| {
            if let Some(bucket) = bucket {
                bucket.spend(now, u32::try_from(count).unwrap_or(u32::MAX));
            }
        };
        spend(&mut self.messages, messages);
        spend(&mut self.bytes, bytes);
    }

    fn is_at_rest(&self, now: Duration) -> bool {
        [&self.messages, &self.bytes].into_iter().flatten().all(|bucket| bucket.is_full(now))
    }
}

/// A second's worth may come at once.
fn bucket(per_second: u32) -> Option<Bucket> {
    (per_second > 0).then(|| Bucket::new(per_second, per_second))
}

fn of_connection(is_bytes: bool) -> Limit {
    if is_bytes { Limit::Bytes } else { Limit::Messages }
}

fn of_tenant(is_bytes: bool) -> Limit {
    if is_bytes { Limit::TenantBytes } else { Limit::TenantMessages }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
