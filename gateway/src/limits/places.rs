//! Who holds how many connections. Only what has a bound is counted, and whoever holds none has no entry.

use std::net::IpAddr;

use dashmap::DashMap;
use signalbox_protocol::{Agent, Tenant};

use super::{ConnectionBounds, Limit};

/// Somebody who may hold so many connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// All of this node.
    Node,
    /// Everybody of a tenant.
    Tenant(Tenant),
    /// One agent.
    Agent(Tenant, Agent),
    /// Everybody behind an address.
    Address(IpAddr),
}

/// How many connections each holder has.
#[derive(Debug)]
pub(super) struct Places {
    bounds: ConnectionBounds,
    held: DashMap<Holder, u32>,
}

impl Places {
    pub(super) fn new(bounds: ConnectionBounds) -> Self {
        Self { bounds, held: DashMap::new() }
    }

    pub(super) fn counts_addresses(&self) -> bool {
        self.bounds.address > 0
    }

    /// Takes one more; false if this holder is not counted.
    pub(super) fn take(&self, holder: &Holder) -> Result<bool, Limit> {
        let (most, limit) = match holder {
            Holder::Node => (self.bounds.all, Limit::NodeConnections),
            Holder::Tenant(_) => (self.bounds.tenant, Limit::TenantConnections),
            Holder::Agent(..) => (self.bounds.agent, Limit::AgentConnections),
            Holder::Address(_) => (self.bounds.address, Limit::AddressConnections),
        };
        if most == 0 {
            return Ok(false);
        }
        let mut held = self.held.entry(holder.clone()).or_insert(0);
        if *held >= most {
            return Err(limit);
        }
        *held += 1;
        Ok(true)
    }

    /// Gives one back that was taken.
    pub(super) fn give_back(&self, holder: &Holder) {
        self.held.remove_if_mut(holder, |_, held| {
            *held = held.saturating_sub(1);
            *held == 0
        });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }
}
