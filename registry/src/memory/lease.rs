//! Leases over the table. A lease that ended stays listed until a sweep has removed its rows.

use async_trait::async_trait;
use signalbox_protocol::NodeId;
use tokio::time::Instant;

use super::MemoryCluster;
use crate::directory::is_service;
use crate::lease::{GenerationOver, LEASE, NodeCard, Renewal, Swept};
use crate::row::Generation;
use crate::{Error, Lease};

#[async_trait]
impl Lease for MemoryCluster {
    async fn acquire(&self, card: &NodeCard) -> Result<(), Error> {
        let mut shared = self.shared();
        let now = Instant::now();
        for ((node, generation), held) in &mut shared.leases {
            if *node == card.node_id && *generation >= card.generation {
                let live_retry = *generation == card.generation && held.ends > now;
                if !live_retry {
                    return Err(Error::Refused(Box::new(GenerationOver(card.generation))));
                }
            } else if *node == card.node_id {
                held.ends = held.ends.min(now);
            }
        }
        shared.hold(card, LEASE);
        Ok(())
    }

    async fn renew(&self, card: &NodeCard) -> Result<Renewal, Error> {
        let mut shared = self.shared();
        if !shared.is_live(&card.node_id, card.generation) {
            return Ok(Renewal::Lost);
        }
        shared.hold(card, LEASE);
        Ok(Renewal::Held)
    }

    async fn release(&self, node_id: &NodeId, generation: Generation) -> Result<(), Error> {
        if let Some(held) = self.shared().leases.get_mut(&(node_id.clone(), generation)) {
            held.ends = held.ends.min(Instant::now());
        }
        Ok(())
    }

    async fn live(&self) -> Result<Vec<NodeCard>, Error> {
        let now = Instant::now();
        let shared = self.shared();
        Ok(shared.leases.values().filter(|held| held.ends > now).map(|held| held.card.clone()).collect())
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        let mut shared = self.shared();
        let (before, now) = (shared.leases.len(), Instant::now());
        shared.leases.retain(|_, held| held.ends > now);
        let mut swept = Swept { leases: (before - shared.leases.len()) as u64, ..Swept::default() };
        if swept.leases == 0 {
            return Ok(swept);
        }
        for row in shared.take_dead() {
            swept.rows += 1;
            let departed = is_service(&row.agent) && shared.of_agent(&row.tenant, &row.agent).is_empty();
            let who = (row.tenant, row.agent);
            if departed && !swept.departed_services.contains(&who) {
                swept.departed_services.push(who);
            }
        }
        Ok(swept)
    }
}
