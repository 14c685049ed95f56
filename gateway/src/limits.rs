//! What one customer, agent, address or connection may take of this node, beyond what the reader and the outbox bound.
//!
//! Each bound is off unless it is set, and what is off costs nothing: no field in a connection, no entry in a table.
//! What is on is kept here, beside the connections, from the handshake until the [`Place`] is dropped. Everything is
//! counted by this node alone: a cluster of n nodes lets through n times as much.

mod arrivals;
mod buckets;
mod limit;
mod meters;
mod places;
mod tally;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use serde_json::json;
use signalbox_protocol::close::CloseCode;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::{Agent, Tenant};

use self::arrivals::Arrivals;
pub use self::limit::Limit;
use self::meters::{Meters, Over};
use self::places::{Holder, Places};
pub use self::tally::Tally;
use crate::hub::Connection;
use crate::metrics::Metrics;

/// Bounds that an operator may set; 0: none.
#[derive(Debug, Clone, Copy, Default)]
pub struct LimitBounds {
    /// Connections at once.
    pub connections: ConnectionBounds,
    /// What comes in a second.
    pub rates: RateBounds,
}

/// Connections at once; 0: any number.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConnectionBounds {
    /// In all.
    pub all: u32,
    /// Of one tenant.
    pub tenant: u32,
    /// Of one agent.
    pub agent: u32,
    /// From one address; of IPv6 a network of 64 bits counts as one.
    pub address: u32,
    /// New ones from one address in a second; ten seconds' worth may come at once.
    pub address_per_second: u32,
}

/// What comes in a second; 0: any amount. A second's worth may come at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct RateBounds {
    /// Messages of one connection.
    pub messages: u32,
    /// Bytes of them.
    pub bytes: u32,
    /// Messages of one tenant.
    pub tenant_messages: u32,
    /// Bytes of them.
    pub tenant_bytes: u32,
    /// Acquisitions of locks by one connection, or by HTTP of one agent.
    pub lock_attempts: u32,
    /// Refusals within 10 s that close a connection; this one is never off.
    pub refusals_max: u32,
}

/// The bounds of one node, and who takes how much of them.
#[derive(Debug)]
pub struct Limits {
    arrivals: Arrivals,
    places: Places,
    meters: Meters,
    metrics: Metrics,
}

impl Limits {
    /// Nobody has taken anything yet.
    pub fn new(bounds: LimitBounds, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            arrivals: Arrivals::new(bounds.connections.address_per_second),
            places: Places::new(bounds.connections),
            meters: Meters::new(bounds.rates),
            metrics,
        })
    }

    /// Counts a connection that comes from this address, once and before anything is read of it where that can be.
    ///
    /// # Errors
    /// One too many came lately.
    pub fn arrive(&self, address: IpAddr) -> Result<(), Limit> {
        let arrived = self.arrivals.arrive(network_of(address));
        arrived.inspect_err(|limit| self.metrics.count_limit(*limit))
    }

    /// Whether an address is worth finding out.
    pub fn counts_addresses(&self) -> bool {
        self.places.counts_addresses() || !self.arrivals.is_off()
    }

    /// A place for a newcomer from this address.
    ///
    /// # Errors
    /// The bound that it would exceed.
    pub fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Place, Limit> {
        let mut place = Place { limits: Arc::clone(self), holders: Vec::new(), metered: None };
        place.take(Holder::Node)?;
        if let Some(address) = address {
            place.take(Holder::Address(network_of(address)))?;
        }
        Ok(place)
    }

    /// Counts one message of a connection.
    ///
    /// # Errors
    /// What to answer instead of handling it; a connection that goes on is closed with 4429.
    pub fn message(&self, connection: &Connection, bytes: usize) -> Result<(), Fault> {
        let taken = self.meters.message(connection.number(), bytes);
        taken.map_err(|over| self.refuse(connection, &over))
    }

    /// Counts an attempt to get a lock.
    ///
    /// # Errors
    /// As [`Limits::message`].
    pub fn lock_attempt(&self, connection: &Connection) -> Result<(), Fault> {
        self.meters.lock_attempt(connection.number()).map_err(|over| self.refuse(connection, &over))
    }

    /// Counts an attempt of an agent to get a lock by HTTP.
    ///
    /// # Errors
    /// What to answer instead of asking for it.
    pub fn lock_asked(&self, tenant: &Tenant, agent: &Agent) -> Result<(), Fault> {
        self.meters.lock_asked(tenant, agent).map_err(|over| self.fault(&over))
    }

    /// Counts messages that a tenant sends by HTTP.
    ///
    /// # Errors
    /// What to answer instead of sending them.
    pub fn published(&self, tenant: &Tenant, messages: usize, bytes: usize) -> Result<(), Fault> {
        self.meters.published(tenant, messages, bytes).map_err(|over| self.fault(&over))
    }

    fn refuse(&self, connection: &Connection, over: &Over) -> Fault {
        if over.goes_on {
            self.metrics.count_limit(Limit::Refusals);
            connection.outbox().close(CloseCode::RateLimited);
        }
        self.fault(over)
    }

    fn fault(&self, over: &Over) -> Fault {
        self.metrics.count_limit(over.limit);
        let wait_ms = u64::try_from(over.retry_after.as_millis()).unwrap_or(u64::MAX).max(1);
        let text = format!("{}: try again in {wait_ms} ms", over.limit.told());
        let details = json!({"limit": over.limit.as_str(), "retry_after_ms": wait_ms});
        Fault::new(ErrorCode::RateLimited, text).with_details(details)
    }
}

/// What one connection holds of the node's limits; all is given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    limits: Arc<Limits>,
    holders: Vec<Holder>,
    metered: Option<u64>,
}

impl Place {
    /// Counts the connection for its tenant and its agent as well.
    ///
    /// # Errors
    /// The bound that it would exceed.
    pub fn belongs_to(&mut self, tenant: &Tenant, agent: &Agent) -> Result<(), Limit> {
        self.take(Holder::Tenant(tenant.clone()))?;
        self.take(Holder::Agent(tenant.clone(), agent.clone()))
    }

    /// Begins to meter what the connection sends; `None`: there is nothing to hold.
    pub fn metering(mut self, connection: &Connection) -> Option<Self> {
        let number = connection.number();
        if self.limits.meters.begin(number, &connection.profile().tenant) {
            self.metered = Some(number);
        }
        let is_empty = self.holders.is_empty() && self.metered.is_none();
        (!is_empty).then_some(self)
    }

    fn take(&mut self, holder: Holder) -> Result<(), Limit> {
        match self.limits.places.take(&holder) {
            Ok(true) => self.holders.push(holder),
            Ok(false) => {}
            Err(limit) => {
                self.limits.metrics.count_limit(limit);
                return Err(limit);
            }
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.holders.iter().for_each(|holder| self.limits.places.give_back(holder));
        if let Some(number) = self.metered {
            self.limits.meters.end(number);
        }
    }
}

/// What a refused newcomer is told.
pub fn refusal(limit: Limit) -> (ErrorCode, &'static str) {
    let code = if limit == Limit::NodeConnections { ErrorCode::Unavailable } else { ErrorCode::RateLimited };
    (code, limit.told())
}

/// The network that an address counts for: who has one address of IPv6 has 2^64 of them.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests;
