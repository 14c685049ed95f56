//! What stands in `data`, for each command with its replies, and for what the gateway says unasked.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use crate::catalogue::Entry;
use crate::control::{
    BoardingAlight, BoardingAlighted, BoardingConfirmed, BoardingDenied, BoardingRequest, CommutersFound,
    Draining, HealthCheck, LockAcquire, LockDenied, LockGranted, LockProof, LockReleased, OrderAccept,
    OrderAccepted, OrderDenied, OrderView, OrderViewers, PresenceMembers, PresenceRequest, QueryCommuters,
    ResumeRequest, Resumed, SendAck, Stats, TokenExpiring, TokenRefresh, TokenRefreshed, TopicsAck,
    TopicsRequest, Welcome,
};
use crate::error::ErrorCode;

/// One message type with one shape of `data`.
#[derive(Debug)]
pub struct Payload {
    /// The type, or `group:*`.
    pub message_type: &'static str,
    /// What it is for.
    pub summary: String,
    /// Tells shapes of one type apart, where there are several.
    variant: Option<&'static str>,
    data: Value,
}

/// A command with what may answer it.
#[derive(Debug)]
pub struct Command {
    /// What is asked.
    pub asked: Payload,
    /// What may be answered.
    pub replies: Vec<Payload>,
}

/// Draft 7, as AsyncAPI has it, without references: they would have to be made unique across the document.
fn generator(of: impl FnOnce(SchemaSettings) -> SchemaSettings) -> SchemaGenerator {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    of(settings).into_generator()
}

/// What a client may write.
fn asked<T: JsonSchema>(message_type: &'static str, summary: &str) -> Payload {
    Payload::new(
        message_type,
        summary,
        generator(SchemaSettings::for_deserialize).into_root_schema_for::<T>(),
    )
}

/// What the gateway writes.
fn told<T: JsonSchema>(message_type: &'static str, summary: &str) -> Payload {
    Payload::new(message_type, summary, generator(SchemaSettings::for_serialize).into_root_schema_for::<T>())
}

impl Payload {
    fn new(message_type: &'static str, summary: &str, data: impl Into<Value>) -> Self {
        Self { message_type, summary: summary.to_owned(), variant: None, data: data.into() }
    }

    fn variant(self, variant: &'static str) -> Self {
        Self { variant: Some(variant), ..self }
    }

    /// An event that clients send: its data is theirs.
    pub(super) fn of_event(entry: &Entry) -> Self {
        let summary = match entry.name.strip_suffix(":*") {
            Some(group) => format!("Any other type of the group `{group}`."),
            None => "An event; its `data` is its senders', and not looked at.".to_owned(),
        };
        Self::new(entry.name, &summary, json!({}))
    }

    /// What the document calls it: `lock.acquire`, `system.ack.topics`.
    pub(super) fn name(&self) -> String {
        let base = self.message_type.replace(':', ".").replace('*', "any");
        self.variant.map_or_else(|| base.clone(), |variant| format!("{base}.{variant}"))
    }

    /// The fields of the envelope that tell it from others.
    pub(super) fn fields(&self) -> Value {
        let message_type = match self.message_type.strip_suffix('*') {
            Some(group) => json!({"type": "string", "pattern": format!("^{group}[a-z_]+$")}),
            None => json!({"type": "string", "const": self.message_type}),
        };
        json!({"type": "object", "properties": {"type": message_type, "data": self.data}})
    }

    /// Whether a message is of this type, and of this shape where there are several.
    pub(super) fn takes(&self, message: &Value) -> bool {
        let is_of_type = message["type"] == self.message_type;
        let marks = match self.variant {
            Some("topics") => message["data"].get("topics").is_some(),
            Some("sent") => message["data"].get("id").is_some(),
            Some(_) | None => true,
        };
        is_of_type && marks
    }
}

fn error() -> Payload {
    let data = json!({
        "type": "object",
        "properties": {
            "code": {"type": "string", "enum": ErrorCode::ALL},
            "message": {"type": "string", "description": "What is wrong and what to do, for people."},
            "retryable": {"type": "boolean", "description": "Whether the same may succeed later."},
            "details": {"description": "Facts for programs; null if there are none."},
        },
        "required": ["code", "message", "retryable", "details"],
    });
    Payload::new("system:error", "Refused, or not known whether it was done.", data)
}

fn topics_ack() -> Payload {
    told::<TopicsAck>("system:ack", "Done; where the topics stand.").variant("topics")
}

/// What a client is told without having asked for it.
pub(super) fn unasked() -> Vec<Payload> {
    vec![
        told::<Welcome>("system:welcome", "The first message on a connection."),
        told::<SendAck>("system:ack", "An event is stored, or handed on; if it is durable, or asked for it.")
            .variant("sent"),
        error(),
        told::<Draining>("system:draining", "The node is about to close this connection: when to come back."),
        told::<TokenExpiring>("system:token_expiring", "The token of this connection ends soon."),
        service("system:service_connected", "The first connection of a service."),
        service("system:service_disconnected", "The last connection of a service has ended."),
    ]
}

fn service(message_type: &'static str, summary: &str) -> Payload {
    let text = || json!({"type": "string"});
    let data = json!({
        "type": "object",
        "properties": {"agent": text(), "service": text(), "node_id": text()},
        "required": ["agent", "service", "node_id"],
    });
    Payload::new(message_type, summary, data)
}

/// Every command of the catalogue.
pub(super) fn commands() -> Vec<Command> {
    [session(), locks_and_orders(), fleet()].into_iter().flatten().collect()
}

fn command(asked: Payload, replies: Vec<Payload>) -> Command {
    Command { asked, replies: replies.into_iter().chain([error()]).collect() }
}

fn nothing(message_type: &'static str, summary: &str) -> Payload {
    Payload::new(message_type, summary, json!({}))
}

fn session() -> Vec<Command> {
    vec![
        command(asked::<TopicsRequest>("system:subscribe", "Join group topics."), vec![topics_ack()]),
        command(asked::<TopicsRequest>("system:unsubscribe", "Leave them."), vec![topics_ack()]),
        command(
            asked::<ResumeRequest>("system:resume", "Go on behind these places."),
            vec![told::<Resumed>(
                "system:resumed",
                "How it goes on with each topic; also unasked, if continuity broke.",
            )],
        ),
        command(
            nothing("system:health_check", "How the node is."),
            vec![told::<HealthCheck>("system:health_check", "How the node is.")],
        ),
        command(
            nothing("system:stats", "Counts of the connection, the node and the cluster."),
            vec![told::<Stats>("system:stats", "Those counts.")],
        ),
        command(
            asked::<TokenRefresh>("system:refresh", "Another token for the same client."),
            vec![told::<TokenRefreshed>("system:refreshed", "It counts from now on.")],
        ),
        command(
            asked::<PresenceRequest>("presence:list", "Who is connected."),
            vec![told::<PresenceMembers>("presence:members", "One page of them.")],
        ),
    ]
}

fn locks_and_orders() -> Vec<Command> {
    let granted = || told::<LockGranted>("lock:granted", "The lock is the asker's.");
    let denied =
        || told::<LockDenied>("lock:denied", "Somebody else has it, or the token is not its holder's.");
    let released = told::<LockReleased>("lock:released", "It is free.");
    let accepted =
        told::<OrderAccepted>("order:accepted", "The order is the asker's for good.").variant("reply");
    vec![
        command(
            asked::<LockAcquire>("lock:acquire", "Take a lock, or wait in line for it."),
            vec![granted(), denied()],
        ),
        command(asked::<LockProof>("lock:renew", "Keep a lock."), vec![granted(), denied()]),
        command(asked::<LockProof>("lock:release", "Give a lock back."), vec![released, denied()]),
        command(
            asked::<OrderView>("order:view", "Look at an order, or no longer."),
            vec![told::<OrderViewers>(
                "order:viewers",
                "Who looks at it; also unasked, to the other viewers.",
            )],
        ),
        command(
            asked::<OrderAccept>("order:accept", "Take an order; exactly one may."),
            vec![accepted, told::<OrderDenied>("order:denied", "Somebody has it, or is about to.")],
        ),
    ]
}

fn fleet() -> Vec<Command> {
    let denied = || told::<BoardingDenied>("boarding:denied", "Not done, and why.");
    vec![
        command(
            asked::<QueryCommuters>("vehicle:query_commuters", "Who waits near here."),
            vec![told::<CommutersFound>("vehicle:commuters_found", "Those who wait, nearest first.")],
        ),
        command(
            asked::<BoardingRequest>("boarding:request", "Board a passenger; exactly one vehicle may."),
            vec![told::<BoardingConfirmed>("boarding:confirmed", "The passenger is on board."), denied()],
        ),
        command(
            asked::<BoardingAlight>("boarding:alight", "Drop a passenger off."),
            vec![told::<BoardingAlighted>("boarding:alighted", "The passenger is off."), denied()],
        ),
    ]
}
