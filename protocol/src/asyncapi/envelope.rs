//! The envelope in both directions, and the query of the handshake.

use serde_json::{Value, json};

use crate::limits::{MESSAGE_ID_CHARS_MAX, MESSAGE_TYPE_CHARS_MAX, TARGETS_MAX};

const TOPIC: &str = "^[a-z][a-z0-9_]{0,31}:[A-Za-z0-9._~@+-]{1,128}$";

/// `FromClient`, `FromGateway`, and what they have in common.
pub(super) fn schemas() -> Value {
    json!({
        "FromClient": {
            "type": "object",
            "description": "A message as a client sends it. Only `type` is required; unknown fields are dropped.",
            "properties": fields(),
            "required": ["type"],
        },
        "FromGateway": {
            "type": "object",
            "description": "A message as a client receives it.",
            "properties": delivered(),
            "required": ["id", "type", "timestamp", "source", "data", "target", "correlationId", "metadata"],
        },
    })
}

fn fields() -> Value {
    let topic = json!({"type": "string", "pattern": TOPIC});
    json!({
        "id": {
            "type": ["string", "null"],
            "minLength": 1,
            "maxLength": MESSAGE_ID_CHARS_MAX,
            "description": "Stamped if absent. The same id from the same source again is a retry.",
        },
        "type": {
            "type": "string",
            "pattern": "^[a-z_]+:[a-z_]+$",
            "maxLength": MESSAGE_TYPE_CHARS_MAX,
        },
        "timestamp": {"type": ["string", "null"], "format": "date-time", "description": "Stamped if absent."},
        "data": {"description": "The payload: any JSON, forwarded byte for byte."},
        "target": {
            "description": "A topic, several, or none: then the connection's namespace.",
            "oneOf": [
                {"type": "null"},
                topic.clone(),
                {"type": "array", "items": topic, "minItems": 1, "maxItems": TARGETS_MAX},
            ],
        },
        "correlationId": {
            "type": ["string", "null"],
            "maxLength": MESSAGE_ID_CHARS_MAX,
            "description": "Matches an answer to its request; without one the answer has the request's id.",
        },
        "metadata": {
            "type": ["object", "null"],
            "properties": {"ack": {"type": "boolean", "description": "Asks for `system:ack`."}},
        },
    })
}

fn delivered() -> Value {
    let mut fields = fields();
    fields["source"] =
        json!({"type": "string", "pattern": TOPIC, "description": "Who sent it; stamped, never believed."});
    fields["topic"] = json!({"type": "string", "pattern": TOPIC, "description": "Of a durable message: whose log it is in."});
    fields["offset"] =
        json!({"type": "integer", "minimum": 1, "description": "Its number there, one more each time."});
    fields
}

/// What the URL of the handshake may say.
pub(super) fn query() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "type": "object",
        "properties": {
            "session_id": text("The session, which outlives sockets; made up if absent."),
            "resume": text("`1`: the first message will be `system:resume`; durable topics are held until then."),
            "tenant": text("Without a token only: the customer."),
            "agent_type": text("Without a token only: what the client is."),
            "agent_id": text("Without a token only: which one."),
            "subject": text("Without a token only: the principal behind it."),
            "pillar": text("Without a token only: the business area."),
        },
    })
}
