//! Orders in Redis: each step is one script in the slot of `order:ID`, which the lock of that name, its fence, and
//! the log and the channel of the order share.

use std::sync::Arc;

use async_trait::async_trait;
use redis::Value;
use signalbox_protocol::{Agent, OrderId, Tenant, Topic};

use super::call::{Call, read};
use super::lock::claim;
use super::script::{ORDER_ACCEPT, ORDER_ANNOUNCED, ORDER_VIEW, Script};
use super::store::Store;
use crate::bus::logged;
use crate::keys::Scope;
use crate::order::{Acceptance, AcceptanceDenied, Accepted, VIEWERS_MAX, Viewers, topic};
use crate::{Error, Orders};

/// The orders in Redis.
#[derive(Debug)]
pub(super) struct RedisOrders {
    pub(super) store: Arc<Store>,
}

impl RedisOrders {
    /// Runs a script on an order.
    async fn run(
        &self,
        script: &'static Script,
        (tenant, order_id): (&Tenant, &OrderId),
        args: impl FnOnce(Call) -> Call,
    ) -> Result<Value, Error> {
        let call = args(Call::script(script, &self.store.keys.of(Scope::Order(tenant, order_id))));
        self.store.links.of((tenant, order_id)).write_one(call).await
    }

    /// `change` as the script on viewers takes it.
    async fn viewed(&self, order: (&Tenant, &OrderId), agent: &str, change: &str) -> Result<Viewers, Error> {
        let deadline_ms = self.store.deadline_ms().await?;
        let args = |call: Call| call.arg(deadline_ms).arg(agent).arg(change).arg(VIEWERS_MAX);
        let seen: Option<(u64, u64, Vec<String>)> =
            read(self.run(&ORDER_VIEW, order, args).await?, "list of viewers")?;
        let (count, changed, names) = seen.ok_or(Error::Unavailable(None))?;
        let viewers: Result<Vec<_>, _> = names.iter().map(|name| read_agent(name)).collect();
        let mut viewers = viewers?;
        viewers.sort_unstable();
        Ok(Viewers { count, viewers, changed: changed > 0 })
    }
}

#[async_trait]
impl Orders for RedisOrders {
    async fn view(
        &self,
        tenant: &Tenant,
        order_id: &OrderId,
        agent: &Agent,
        viewing: bool,
    ) -> Result<Viewers, Error> {
        self.viewed((tenant, order_id), agent.as_str(), if viewing { "1" } else { "0" }).await
    }

    async fn viewers(&self, tenant: &Tenant, order_id: &OrderId) -> Result<Viewers, Error> {
        self.viewed((tenant, order_id), "", "").await.map_err(super::fault::of_question)
    }

    async fn accept(&self, acceptance: &Acceptance) -> Result<Accepted, Error> {
        let Acceptance { tenant, order_id, by, subject, request_id, event: [front, back] } = acceptance;
        let (life, topic) = (self.store.life((tenant, order_id)).await?, topic(order_id));
        let deadline_ms = self.store.deadline_ms().await?;
        let args = |call: Call| {
            let call = call.arg(deadline_ms).arg(by.as_str()).arg(claim(subject, request_id.as_ref()));
            let call = self.store.log.keeps(call.arg(&*life), &topic);
            call.arg(logged::head(tenant, &topic)).arg(front.as_ref()).arg(back.as_ref())
        };
        read_accepted(self.run(&ORDER_ACCEPT, (tenant, order_id), args).await?)
    }

    async fn announced(&self, tenant: &Tenant, order_id: &OrderId) -> Result<(), Error> {
        self.run(&ORDER_ANNOUNCED, (tenant, order_id), |call| call).await.map(|_| ())
    }
}

fn read_accepted(answer: Value) -> Result<Accepted, Error> {
    let (what, who, fence, event): (String, String, String, Vec<u8>) = read(answer, "answer of an order")?;
    if what == "late" {
        return Err(Error::Unavailable(None));
    }
    let who = read_agent(&who)?;
    let reason = match what.as_str() {
        "accepted" => AcceptanceDenied::Accepted,
        "locked" => AcceptanceDenied::Locked,
        _ => {
            let fence = fence.parse().map_err(|_| Error::Unreadable { what: "fence" })?;
            let event = (!event.is_empty()).then(|| event.into());
            return Ok(Accepted::Accepted { by: who, fence, first: what == "first", event });
        }
    };
    Ok(Accepted::Denied { reason, held_by: who })
}

fn read_agent(name: &str) -> Result<Agent, Error> {
    Topic::try_new(name).map(Agent::from_topic).map_err(|_| Error::Unreadable { what: "agent" })
}
