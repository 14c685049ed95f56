//! `order:*`: who looks at an order, and who gets it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use signalbox_identity::Verb;
use signalbox_protocol::control::{
    OrderAccept, OrderAccepted, OrderDenial, OrderDenied, OrderView, OrderViewers, parse_data,
};
use signalbox_protocol::envelope::{Incoming, Reply, Stamp, write_reply};
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::{Agent, OrderId, Tenant};
use signalbox_registry::Error;
use signalbox_registry::order::{Acceptance, AcceptanceDenied, Accepted};

use crate::fleet;
use crate::node::Node;
use crate::router::{Message, Record, Routed};
use crate::stamps::{MessageId, now_ms};
use crate::ws::answer;
use crate::ws::asker::Asker;
use crate::ws::dispatch::{Outcome, Step};

/// The answer to `order:view`, and the notice to the other viewers.
const VIEWERS: &str = "order:viewers";
/// The answer to `order:accept`, and the event.
const ACCEPTED: &str = "order:accepted";

pub(super) fn view(node: &Arc<Node>, asker: Asker<'_>, incoming: &Incoming<'_>) -> Result<Step, Fault> {
    let OrderView { order_id, viewing } = parse_data(incoming.data)?;
    let connection = asker.may(Verb::Order, order_id.as_str())?;
    let profile = connection.profile();
    let (tenant, agent, number) = (profile.tenant.clone(), profile.agent.clone(), connection.number());
    let correlation = incoming.answer_to().map(str::to_owned);
    let node = Arc::clone(node);
    Ok(Step::Wait(Box::pin(async move {
        match viewing {
            true => node.viewing.begin(number, &order_id),
            false => node.viewing.end(number, &order_id),
        }
        match look(&node, (&tenant, &agent), order_id, viewing).await {
            Ok(viewers) => Outcome::Reply(answer::reply(VIEWERS, correlation.as_deref(), &viewers)),
            Err(error) => Outcome::Failed(fleet::registry_fault(&error), correlation),
        }
    })))
}

pub(super) fn accept(node: &Arc<Node>, asker: Asker<'_>, incoming: &Incoming<'_>) -> Result<Step, Fault> {
    let OrderAccept { order_id, request_id } = parse_data(incoming.data)?;
    let profile = asker.may(Verb::Order, order_id.as_str())?.profile();
    let acceptance = Acceptance {
        tenant: profile.tenant.clone(),
        by: profile.agent.clone(),
        subject: profile.subject().to_owned(),
        request_id,
        event: event(&order_id, &profile.agent),
        order_id,
    };
    let correlation = incoming.answer_to().map(str::to_owned);
    let node = Arc::clone(node);
    Ok(Step::Wait(Box::pin(async move {
        let accepted = node.cluster.orders.accept(&acceptance).await;
        let granted = accepted.as_ref().map(|accepted| matches!(accepted, Accepted::Accepted { .. }));
        node.metrics.fleet.count_order(granted);
        match accepted {
            Ok(Accepted::Accepted { by, fence, event, .. }) => {
                if let Some(event) = event
                    && let Err(fault) = tell_further(&node, &acceptance, &event).await
                {
                    return Outcome::Failed(fault, correlation);
                }
                let data = OrderAccepted { order_id: acceptance.order_id, by, fence };
                Outcome::Reply(answer::reply(ACCEPTED, correlation.as_deref(), &data))
            }
            Ok(Accepted::Denied { reason, held_by }) => {
                let reason = match reason {
                    AcceptanceDenied::Accepted => OrderDenial::Accepted,
                    AcceptanceDenied::Locked => OrderDenial::Locked,
                };
                let data = OrderDenied { order_id: acceptance.order_id, reason, held_by };
                Outcome::Reply(answer::reply("order:denied", correlation.as_deref(), &data))
            }
            Err(error) => Outcome::Failed(fleet::registry_fault(&error), correlation),
        }
    })))
}

/// The event that tells of an acceptance, cut where the fence goes: only the script that accepts knows it.
fn event(order_id: &OrderId, by: &Agent) -> [Bytes; 2] {
    const REST: &str = r#"0},"target":null,"correlationId":null,"metadata":{}}"#;
    let id = MessageId::fresh();
    let stamp = Stamp { id: id.as_str(), timestamp_ms: now_ms(), source: by.as_str() };
    let data = OrderAccepted { order_id: order_id.clone(), by: by.clone(), fence: 0 };
    let mut text = Vec::with_capacity(320);
    write_reply(&mut text, &Reply { stamp, message_type: ACCEPTED, correlation_id: None, data: &data });
    let head = text.strip_suffix(REST.as_bytes()).expect("the fence is the last field of the data");
    let rest = format!(r#"}},"target":"order:{order_id}","correlationId":null,"metadata":{{}}}}"#);
    [Bytes::copy_from_slice(head), rest.into()]
}

/// Tells the topics that hear of every accepted order. If that fails, the winner is not told either that all is
/// done: its retry tells them.
async fn tell_further(node: &Arc<Node>, acceptance: &Acceptance, event: &Bytes) -> Result<(), Fault> {
    let record = Record {
        tenant: acceptance.tenant.clone(),
        to: node.settings.orders_announce.iter().cloned().collect(),
        source: acceptance.by.clone(),
        id: message_id(event),
        body: event.clone(),
    };
    if let Err(fault) = node.router.store(&record).await {
        tracing::debug!(%fault, "an accepted order was not told to everybody");
        node.metrics.fleet.orders_untold.inc();
        return Err(untold(&acceptance.order_id, fault));
    }
    if let Err(error) = node.cluster.orders.announced(&acceptance.tenant, &acceptance.order_id).await {
        tracing::debug!(%error, "not noted that an accepted order was told; a retry tells it again");
    }
    Ok(())
}

fn untold(order_id: &OrderId, fault: Fault) -> Fault {
    let text =
        format!("order {order_id} is yours, but not everybody was told: ask again, with the same request_id");
    let told = Fault::new(ErrorCode::OutcomeUnknown, text);
    match fault.details {
        Some(details) => told.with_details(details),
        None => told,
    }
}

/// The id of a message that this module wrote: a repeated announcement is stored once.
fn message_id(message: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Named {
        id: String,
    }
    serde_json::from_slice::<Named>(message).expect("the event is one that `event` wrote").id
}

/// Begins or ends an agent's looking at an order, and tells the other viewers.
async fn look(
    node: &Arc<Node>,
    (tenant, agent): (&Tenant, &Agent),
    order_id: OrderId,
    viewing: bool,
) -> Result<OrderViewers, Error> {
    let viewers = node.cluster.orders.view(tenant, &order_id, agent, viewing).await?;
    let changed = viewers.changed;
    let viewers = present(node, tenant, order_id, viewers.viewers).await?;
    if changed {
        tell_others(node, tenant, agent, &viewers).await;
    }
    Ok(viewers)
}

/// Who looks at an order.
pub(crate) async fn viewers(node: &Node, tenant: &Tenant, order_id: OrderId) -> Result<OrderViewers, Error> {
    let viewers = node.cluster.orders.viewers(tenant, &order_id).await?;
    present(node, tenant, order_id, viewers.viewers).await
}

/// An agent's last connection went: it looks at nothing any longer.
pub(crate) async fn end_viewing(
    node: &Arc<Node>,
    tenant: &Tenant,
    agent: &Agent,
    orders: impl IntoIterator<Item = OrderId>,
) {
    for order_id in orders {
        if let Err(error) = look(node, (tenant, agent), order_id, false).await {
            tracing::debug!(%error, "a viewer not removed; it ends by itself");
        }
    }
}

/// Leaves out whoever is connected nowhere: a node that died could not say that its clients stopped looking.
async fn present(
    node: &Node,
    tenant: &Tenant,
    order_id: OrderId,
    viewers: Vec<Agent>,
) -> Result<OrderViewers, Error> {
    let nodes = viewers.iter().map(|agent| node.cluster.directory.nodes_of(tenant, agent.topic()));
    let nodes = join_all(nodes).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let with_nodes = viewers.into_iter().zip(nodes);
    let viewers: Vec<_> = with_nodes.filter(|(_, nodes)| !nodes.is_empty()).map(|(agent, _)| agent).collect();
    Ok(OrderViewers { order_id, count: viewers.len() as u64, viewers })
}

async fn tell_others(node: &Arc<Node>, tenant: &Tenant, agent: &Agent, viewers: &OrderViewers) {
    let others = viewers.viewers.iter().filter(|viewer| *viewer != agent);
    let to: smallvec::SmallVec<_> = others.map(|viewer| (viewer.topic().clone(), 0)).collect();
    if to.is_empty() {
        return;
    }
    let frame: Bytes = answer::reply(VIEWERS, None, viewers);
    let message = Message { tenant: tenant.clone(), to, frame, except: None, confirm: false };
    if let Routed::Pending(rest) = node.router.send(message) {
        // Unconfirmed: what could not be sent was counted by the router.
        drop(rest.await);
    }
}

#[cfg(test)]
mod tests;
