//! Leases: one sorted set, in which each node's member tells until when it is believed.
//!
//! A renewal looks and extends in one step, so that a lease that was over once can't come back. Both carry
//! a deadline by Redis' clock: a command that was held up somewhere must not give a lease to a node that
//! has long taken another. The card is information only, and is kept apart.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Value;
use signalbox_protocol::NodeId;

use super::call::{Call, read};
use super::script::{LEASE_ACQUIRE, LEASE_RELEASE, LEASE_RENEW};
use super::store::Store;
use super::sweep;
use crate::keys::{Scope, lease_member};
use crate::lease::{GenerationOver, LEASE, NodeCard, Renewal, Swept};
use crate::row::Generation;
use crate::{Error, Lease};

/// How long after it was asked for a lease may be given.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// The leases in Redis.
#[derive(Debug)]
pub(super) struct RedisLease {
    pub(super) store: Arc<Store>,
}

impl RedisLease {
    async fn deadline_ms(&self) -> Result<u64, Error> {
        Ok(self.store.live.redis_now_ms().await? + ANSWER_WITHIN.as_millis() as u64)
    }

    /// Runs a script on the leases, and stores the card along with it.
    async fn script_with_card(&self, script: Call, card: &NodeCard) -> Result<String, Error> {
        let key = self.store.keys.node(&card.node_id);
        let hset = Call::new("HSET").arg(&key).arg(card_fields(card).as_slice());
        let expire = Call::new("PEXPIRE").arg(&key).arg(LEASE.as_millis() as u64);
        let answers = self.store.first_link().write(&[script, hset, expire]).await?;
        read(answers.into_iter().next().unwrap_or_default(), "answer to a lease")
    }
}

#[async_trait]
impl Lease for RedisLease {
    async fn acquire(&self, card: &NodeCard) -> Result<(), Error> {
        let deadline_ms = self.deadline_ms().await?;
        let call = Call::script(&LEASE_ACQUIRE, &self.store.keys.of(Scope::Nodes));
        let call = call.arg(card.node_id.as_str()).arg(card.generation);
        let call = call.arg(LEASE.as_millis() as u64).arg(deadline_ms);
        match self.script_with_card(call, card).await?.as_str() {
            "held" => Ok(()),
            "over" => Err(Error::Refused(Box::new(GenerationOver(card.generation)))),
            _ => Err(Error::Unavailable(None)),
        }
    }

    async fn renew(&self, card: &NodeCard) -> Result<Renewal, Error> {
        let deadline_ms = self.deadline_ms().await?;
        let call = Call::script(&LEASE_RENEW, &self.store.keys.of(Scope::Nodes));
        let call = call.arg(lease_member(&card.node_id, card.generation));
        let call = call.arg(LEASE.as_millis() as u64).arg(deadline_ms);
        match self.script_with_card(call, card).await?.as_str() {
            "held" => Ok(Renewal::Held),
            "lost" => Ok(Renewal::Lost),
            _ => Err(Error::Unavailable(None)),
        }
    }

    async fn release(&self, node_id: &NodeId, generation: Generation) -> Result<(), Error> {
        let call = Call::script(&LEASE_RELEASE, &self.store.keys.of(Scope::Nodes));
        let call = call.arg(lease_member(node_id, generation));
        self.store.first_link().write_one(call).await.map(|_| ())
    }

    async fn live(&self) -> Result<Vec<NodeCard>, Error> {
        let leases = self.store.live.leases().await?;
        let call = |node| Call::new("HGETALL").arg(self.store.keys.node(node));
        let calls: Vec<_> = leases.iter().map(|(node, _)| call(node)).collect();
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let cards = self.store.first_link().read(&calls).await?;
        leases.into_iter().zip(cards).map(|(lease, card)| read_card(lease, card)).collect()
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        sweep::sweep(&self.store).await
    }
}

fn card_fields(card: &NodeCard) -> [(&'static str, String); 5] {
    [
        ("generation", card.generation.to_string()),
        ("address", card.address.clone()),
        ("version", card.version.clone()),
        ("started", card.started_at_ms.to_string()),
        ("stats", card.stats.clone()),
    ]
}

/// The card of a live node. The lease is what counts: where the card is missing, its texts are empty.
pub(super) fn read_card((node_id, generation): (NodeId, Generation), card: Value) -> Result<NodeCard, Error> {
    let fields: Vec<(String, String)> = read(card, "node's card")?;
    let field = |name: &str| {
        fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    Ok(NodeCard {
        node_id,
        generation,
        address: field("address"),
        version: field("version"),
        started_at_ms: field("started").parse().unwrap_or_default(),
        stats: field("stats"),
    })
}
