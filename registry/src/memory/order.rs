//! Orders of one process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use signalbox_protocol::{Agent, OrderId, RequestId, Tenant};
use tokio::time::Instant;

use super::lock::LockTable;
use super::log::Logs;
use crate::mutex::lock;
use crate::order::{
    ACCEPTED_KEPT, Acceptance, AcceptanceDenied, Accepted, VIEWED, VIEWERS_MAX, Viewers, topic,
};
use crate::{Error, Orders};

/// Orders about which nothing is left to know are thrown away when there are this many, or twice as many as
/// were worth keeping the last time.
const SWEEP_AT: usize = 1_024;

/// An acceptance that was given.
#[derive(Debug)]
struct Record {
    by: Agent,
    fence: u64,
    claim: Option<(String, RequestId)>,
    event: Option<Bytes>,
    kept_until: Instant,
}

impl Record {
    /// What it means for somebody who wants to accept.
    fn answer(&self, acceptance: &Acceptance) -> Accepted {
        let claims = |(subject, id): &(String, RequestId)| {
            *subject == acceptance.subject && Some(id) == acceptance.request_id.as_ref()
        };
        if self.by != acceptance.by && !self.claim.as_ref().is_some_and(claims) {
            return Accepted::Denied { reason: AcceptanceDenied::Accepted, held_by: self.by.clone() };
        }
        Accepted::Accepted { by: self.by.clone(), fence: self.fence, first: false, event: self.event.clone() }
    }
}

#[derive(Debug, Default)]
struct Order {
    accepted: Option<Record>,
    /// Until when each counts as looking.
    viewers: BTreeMap<Agent, Instant>,
}

impl Order {
    fn forget_what_is_over(&mut self, now: Instant) {
        self.accepted.take_if(|record| record.kept_until <= now);
        self.viewers.retain(|_, until| *until > now);
    }

    fn is_forgotten(&self) -> bool {
        self.accepted.is_none() && self.viewers.is_empty()
    }
}

#[derive(Debug, Default)]
struct Table {
    orders: HashMap<(Tenant, OrderId), Order>,
    sweep_at: usize,
}

impl Table {
    /// What is known of an order now.
    fn order(&mut self, tenant: &Tenant, order_id: &OrderId, now: Instant) -> &mut Order {
        if self.orders.len() >= self.sweep_at.max(SWEEP_AT) {
            self.orders.values_mut().for_each(|order| order.forget_what_is_over(now));
            self.orders.retain(|_, order| !order.is_forgotten());
            self.sweep_at = 2 * self.orders.len();
        }
        let order = self.orders.entry((tenant.clone(), order_id.clone())).or_default();
        order.forget_what_is_over(now);
        order
    }
}

/// The orders of all nodes of a process.
#[derive(Debug)]
pub(super) struct MemoryOrders {
    table: Mutex<Table>,
    locks: Arc<LockTable>,
    logs: Arc<Logs>,
}

impl MemoryOrders {
    pub(super) fn new(locks: &Arc<LockTable>, logs: &Arc<Logs>) -> Arc<Self> {
        let (locks, logs) = (Arc::clone(locks), Arc::clone(logs));
        Arc::new(Self { table: Mutex::default(), locks, logs })
    }

    /// Writes the acceptance down if it is the first.
    fn write_once(&self, acceptance: &Acceptance) -> Accepted {
        let (mut table, now) = (lock(&self.table), Instant::now());
        let order = table.order(&acceptance.tenant, &acceptance.order_id, now);
        if let Some(record) = &order.accepted {
            return record.answer(acceptance);
        }
        let key = (acceptance.tenant.clone(), acceptance.resource());
        let fence = match self.locks.mint(&key, &acceptance.by) {
            Ok(fence) => fence,
            Err(held_by) => return Accepted::Denied { reason: AcceptanceDenied::Locked, held_by },
        };
        let [front, back] = &acceptance.event;
        let event = Bytes::from([front, fence.to_string().as_bytes(), back].concat());
        let by = acceptance.by.clone();
        order.accepted = Some(Record {
            by: by.clone(),
            fence,
            claim: acceptance.request_id.clone().map(|id| (acceptance.subject.clone(), id)),
            event: Some(event.clone()),
            kept_until: now + ACCEPTED_KEPT,
        });
        Accepted::Accepted { by, fence, first: true, event: Some(event) }
    }
}

#[async_trait]
impl Orders for MemoryOrders {
    async fn view(
        &self,
        tenant: &Tenant,
        order_id: &OrderId,
        agent: &Agent,
        viewing: bool,
    ) -> Result<Viewers, Error> {
        let (mut table, now) = (lock(&self.table), Instant::now());
        let order = table.order(tenant, order_id, now);
        let changed = match viewing {
            true => order.viewers.insert(agent.clone(), now + VIEWED).is_none(),
            false => order.viewers.remove(agent).is_some(),
        };
        Ok(Viewers { changed, ..viewers_of(order) })
    }

    async fn viewers(&self, tenant: &Tenant, order_id: &OrderId) -> Result<Viewers, Error> {
        Ok(viewers_of(lock(&self.table).order(tenant, order_id, Instant::now())))
    }

    async fn accept(&self, acceptance: &Acceptance) -> Result<Accepted, Error> {
        let accepted = self.write_once(acceptance);
        if let Accepted::Accepted { first: true, event: Some(event), .. } = &accepted {
            self.logs.publish(&acceptance.tenant, &topic(&acceptance.order_id), event);
        }
        Ok(accepted)
    }

    async fn announced(&self, tenant: &Tenant, order_id: &OrderId) -> Result<(), Error> {
        if let Some(record) = &mut lock(&self.table).order(tenant, order_id, Instant::now()).accepted {
            record.event = None;
        }
        Ok(())
    }
}

fn viewers_of(order: &Order) -> Viewers {
    let viewers = order.viewers.keys().take(VIEWERS_MAX).cloned().collect();
    Viewers { count: order.viewers.len() as u64, viewers, changed: false }
}
