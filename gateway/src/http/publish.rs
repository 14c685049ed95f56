//! `POST /api/publish`: one envelope or a list of them, sent as the caller's agent.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use signalbox_protocol::Topic;
use signalbox_protocol::catalogue::{self, Kind};
use signalbox_protocol::control::{Position, Positions};
use signalbox_protocol::envelope::Incoming;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::limits::{MESSAGE_ID_CHARS_MAX, TARGETS_MAX};

use super::caller::Caller;
use super::input::{Body, OneOrMany};
use super::problem::Problem;
use crate::node::Node;
use crate::router::Routed;
use crate::ws::prepare::{Passing, Prepared, Sender, prepare};

/// Most envelopes of one list.
const ENVELOPES_MAX: usize = 1_000;

/// What was taken.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Published {
    /// How many messages were sent.
    accepted: usize,
    /// The place of the last durable message in each topic.
    #[schemars(with = "BTreeMap<String, Position>")]
    positions: Positions,
}

/// What a message may hold; what it means is for the router to say.
#[derive(Debug)]
pub(super) struct Envelope;

impl JsonSchema for Envelope {
    fn schema_name() -> Cow<'static, str> {
        "Envelope".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let topic = generator.subschema_for::<Topic>();
        json_schema!({
            "type": "object",
            "description": "A message. The node adds `source`.",
            "properties": {
                "id": {"type": ["string", "null"], "minLength": 1, "maxLength": MESSAGE_ID_CHARS_MAX},
                "type": {"type": "string", "pattern": "^[a-z_]+:[a-z_]+$", "examples": ["order:new"]},
                "timestamp": {"type": ["string", "null"], "format": "date-time"},
                "target": {"anyOf": [
                    topic,
                    {"type": "array", "items": topic, "maxItems": TARGETS_MAX},
                    {"type": "null"},
                ]},
                "data": {"description": "Forwarded byte for byte."},
                "correlationId": {"type": ["string", "null"], "minLength": 1, "maxLength": MESSAGE_ID_CHARS_MAX},
                "metadata": {"type": ["object", "null"]},
            },
            "required": ["type"],
        })
    }
}

/// Checks every envelope before the first is sent: a bad one means that nothing was.
pub(super) async fn publish(
    State(node): State<Arc<Node>>,
    caller: Caller,
    body: Body<OneOrMany<Envelope>>,
) -> Result<Json<Published>, Problem> {
    let (envelopes, _) = body.elements(ENVELOPES_MAX)?;
    let bytes = envelopes.iter().map(|envelope| envelope.get().len()).sum();
    let sender = caller.sender_of(envelopes.len(), bytes)?;
    let mut ready = Vec::with_capacity(envelopes.len());
    for (place, envelope) in envelopes.iter().enumerate() {
        let prepared = check(&node, &sender, envelope.get());
        ready.push(prepared.map_err(|fault| at_place(fault, place, envelopes.len()))?);
    }
    let (accepted, mut positions) = (ready.len(), Positions::new());
    for (place, prepared) in ready.into_iter().enumerate() {
        let sent = match prepared {
            Prepared::Passing(passing) => send(&node, passing).await.map(|()| Positions::new()),
            Prepared::Lasting(record) => node.router.store(&record).await,
        };
        positions.extend(sent.map_err(|fault| at_place(fault, place, accepted))?);
    }
    Ok(Json(Published { accepted, positions }))
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
    match node.tracer.begin_message(&incoming) {
        None => prepare(node, sender, &incoming, &entry),
        Some(told) => {
            let message = told.message(&incoming);
            let prepared = told.lines().in_scope(|| prepare(node, sender, &message, &entry));
            let result = prepared.as_ref().map_or_else(|fault| fault.code.as_str(), |_| "taken");
            told.into_span().end_with(result);
            prepared
        }
    }
}

/// The caller gets an answer in any case, so every message is confirmed. That nobody is there is a failure
/// only to whoever asked: a list of notices must not end at the first passenger who is offline.
async fn send(node: &Node, mut passing: Passing) -> Result<(), Fault> {
    let asked = std::mem::replace(&mut passing.message.confirm, true);
    let sent = match node.router.send(passing.message) {
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
    let (code, details) = (fault.code, fault.details.clone());
    let mut problem = Problem::from(fault);
    if count > 1 {
        let mut told = details.unwrap_or_else(|| serde_json::json!({}));
        told["index"] = place.into();
        told["code"] = serde_json::json!(code);
        problem = problem.with_details(Some(told));
    }
    problem
}
