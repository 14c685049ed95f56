//! `POST /api/publish`: one envelope or a list of them, sent as `service:api`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Query, State};
use serde::Serialize;
use serde_json::value::RawValue;
use signalbox_protocol::catalogue::{self, Kind};
use signalbox_protocol::control::Positions;
use signalbox_protocol::envelope::Incoming;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::{Agent, Topic};

use super::api::OnBehalf;
use super::problem::Problem;
use crate::announce::API;
use crate::node::Node;
use crate::router::Routed;
use crate::ws::dispatch::{Prepared, Sender, prepare};

/// Most envelopes of one list.
const ENVELOPES_MAX: usize = 1_000;

/// What was taken.
#[derive(Debug, Serialize)]
pub(super) struct Published {
    accepted: usize,
    positions: Positions,
}

/// Checks every envelope before the first is sent: a bad one means that nothing was.
pub(super) async fn publish(
    State(node): State<Arc<Node>>,
    Query(on_behalf): Query<OnBehalf>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Published>, Problem> {
    let tenant = on_behalf.tenant(&node)?;
    let body = body.map_err(|_| too_large(&node))?;
    let text = std::str::from_utf8(&body)
        .map_err(|_| Problem::of(ErrorCode::InvalidJson, "the body is not UTF-8"))?;
    let agent = Agent::from_topic(Topic::try_new(API).expect("a constant agent"));
    let sender = Sender { tenant: &tenant, agent: &agent, namespace: None, connection: None };
    let envelopes = split(text)?;
    let mut ready = Vec::with_capacity(envelopes.len());
    for (place, envelope) in envelopes.iter().enumerate() {
        let prepared = check(&node, &sender, envelope);
        ready.push(prepared.map_err(|fault| at_place(fault, place, envelopes.len()))?);
    }
    let accepted = ready.len();
    for (place, prepared) in ready.into_iter().enumerate() {
        send(&node, prepared).await.map_err(|fault| at_place(fault, place, accepted))?;
    }
    Ok(Json(Published { accepted, positions: Positions::new() }))
}

fn split(text: &str) -> Result<Vec<&str>, Problem> {
    if !text.trim_start().starts_with('[') {
        return Ok(vec![text]);
    }
    let parts: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| Problem::of(ErrorCode::InvalidJson, format!("the body is not JSON: {error}")))?;
    if parts.len() > ENVELOPES_MAX {
        let text = format!("a list holds at most {ENVELOPES_MAX} envelopes");
        return Err(Problem::of(ErrorCode::TooLarge, text));
    }
    Ok(parts.into_iter().map(RawValue::get).collect())
}

fn check(node: &Node, sender: &Sender<'_>, envelope: &str) -> Result<Prepared, Fault> {
    if envelope.len() > node.settings.read.message_bytes_max {
        let text = format!("a message is at most {} bytes", node.settings.read.message_bytes_max);
        return Err(Fault::new(ErrorCode::TooLarge, text));
    }
    let incoming = Incoming::parse(envelope).map_err(|malformed| malformed.fault)?;
    let entry = catalogue::of(&incoming.message_type);
    if entry.kind == Kind::Command {
        let text = format!("{} is a command: it is answered over a WebSocket only", incoming.message_type);
        return Err(Fault::new(ErrorCode::InvalidType, text));
    }
    prepare(node, sender, &incoming, &entry)
}

/// The caller gets an answer in any case, so every message is confirmed. That nobody is there is a failure
/// only to whoever asked: a list of notices must not end at the first passenger who is offline.
async fn send(node: &Node, mut prepared: Prepared) -> Result<(), Fault> {
    let asked = std::mem::replace(&mut prepared.message.confirm, true);
    let sent = match node.router.send(prepared.message) {
        Routed::Done => Ok(()),
        Routed::Pending(rest) => rest.await,
    };
    match sent {
        Err(fault) if fault.code == ErrorCode::NotFound && !asked => {
            node.metrics.dropped_unroutable.inc();
            Ok(())
        }
        sent => sent,
    }
}

/// In a list, says which envelope failed; those before it were sent if the failure came while sending.
fn at_place(fault: Fault, place: usize, count: usize) -> Problem {
    let code = fault.code;
    let mut problem = Problem::from(fault);
    if count > 1 {
        problem = problem.with_details(Some(serde_json::json!({ "index": place, "code": code })));
    }
    problem
}

fn too_large(node: &Node) -> Problem {
    let text =
        format!("the body is too large; a message is at most {} bytes", node.settings.read.message_bytes_max);
    Problem::of(ErrorCode::TooLarge, text)
}
