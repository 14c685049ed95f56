//! What the gateway itself tells the subscribers: that a service came or went.

use std::sync::Arc;

use serde::Serialize;
use signalbox_protocol::envelope::{Reply, Stamp, write_reply};
use signalbox_protocol::{Agent, Tenant, Topic};
use smallvec::smallvec;

use crate::node::Node;
use crate::router::{Message, Routed};
use crate::stamps::{MessageId, now_ms};
use crate::ws::frame::TextFrame;

/// The source of everything that the gateway says itself.
pub const GATEWAY: &str = "service:signalbox";
/// The source of what comes in through the HTTP API without credentials.
pub const API: &str = "service:api";
/// Where services' comings and goings are told.
const SYSTEM_EVENTS: &str = "namespace:system-events";

#[derive(Serialize)]
struct ServiceData<'a> {
    agent: &'a Agent,
    service: &'a str,
    node_id: &'a str,
}

/// Announces a service's first connection or the end of its last one.
pub async fn service(node: &Arc<Node>, tenant: &Tenant, agent: &Agent, connected: bool) {
    let message_type = if connected { "system:service_connected" } else { "system:service_disconnected" };
    let data = ServiceData { agent, service: agent.agent_id(), node_id: node.cluster.node.id().as_str() };
    let id = MessageId::fresh();
    let mut frame = TextFrame::with_capacity(256);
    let stamp = Stamp { id: id.as_str(), timestamp_ms: now_ms(), source: GATEWAY };
    write_reply(frame.body(), &Reply { stamp, message_type, correlation_id: None, data: &data });
    let topic = Topic::try_new(SYSTEM_EVENTS).expect("a constant topic");
    let message = Message {
        tenant: tenant.clone(),
        to: smallvec![(topic, 0)],
        frame: frame.finish(),
        except: None,
        confirm: false,
    };
    if let Routed::Pending(rest) = node.router.send(message) {
        // Unconfirmed: what could not be sent was counted by the router.
        drop(rest.await);
    }
}
