//! The description of the WebSocket protocol, an AsyncAPI 3.0 document: `docs/asyncapi.json`.
//!
//! Which types there are, who may send them and how they are delivered comes from the catalogue, the shapes of `data` from
//! the types that the gateway reads and writes, the examples from whoever asks. Seen from the node: it *receives* what
//! clients say, and *sends* what they are told. Only with the feature `openapi`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::catalogue::{Class, Entry, Kind, Senders, TABLE};
use crate::vocabulary::Vocabulary;

mod envelope;
mod payloads;

pub use payloads::{Command, Payload};

/// The examples of [`describe`]: messages by the name of their file.
pub type Examples = BTreeMap<String, Value>;

/// Describes all that the catalogue has. Each example goes to the message of its type and direction.
pub fn describe(examples: &Examples) -> Value {
    let mut document = Document { examples, messages: Map::new(), operations: Map::new() };
    payloads::unasked().iter().for_each(|told| document.tell(told));
    for entry in TABLE {
        match entry.kind {
            Kind::Command => document.ask(entry),
            Kind::Event { .. } if entry.senders != Senders::GatewayOnly => document.announce(entry),
            // What the gateway alone announces is told above, and what answers a command with the command.
            Kind::Event { .. } | Kind::Reply => {}
        }
    }
    document.finish()
}

/// The commands of the catalogue that have no payload here, and the replies that no command has; none, or a test fails.
pub fn missing() -> Vec<&'static str> {
    let commands = payloads::commands();
    let unasked = payloads::unasked();
    let is_told = |name: &str| {
        let replies = commands.iter().flat_map(|command| &command.replies);
        replies.chain(&unasked).any(|payload| payload.message_type == name)
    };
    let is_missing = |entry: &&Entry| match entry.kind {
        Kind::Command => !commands.iter().any(|command| command.asked.message_type == entry.name),
        Kind::Event { .. } => entry.senders == Senders::GatewayOnly && !is_told(entry.name),
        Kind::Reply => !is_told(entry.name),
    };
    TABLE.iter().filter(is_missing).map(|entry| entry.name).collect()
}

struct Document<'a> {
    examples: &'a Examples,
    messages: Map<String, Value>,
    operations: Map<String, Value>,
}

impl Document<'_> {
    /// A command and what may be answered.
    fn ask(&mut self, entry: &Entry) {
        let Some(Command { asked, replies }) =
            payloads::commands().into_iter().find(|command| command.asked.message_type == entry.name)
        else {
            return;
        };
        let name = self.received(&asked, &who_may_send(entry));
        let answers: Vec<Value> = replies.iter().map(|reply| in_channel(&self.sent(reply))).collect();
        self.operations.insert(
            name.clone(),
            json!({
                "action": "receive",
                "channel": {"$ref": "#/channels/socket"},
                "summary": format!("A client asks: {}", asked.summary),
                "messages": [in_channel(&name)],
                "reply": {"channel": {"$ref": "#/channels/socket"}, "messages": answers},
            }),
        );
    }

    /// An event that clients send and receive.
    fn announce(&mut self, entry: &Entry) {
        let payload = Payload::of_event(entry);
        let (sent, delivered) = (self.received(&payload, &who_may_send(entry)), self.sent(&payload));
        let delivery = match entry.kind {
            Kind::Event { class: Class::Durable, .. } => {
                "Durable: acknowledged once stored, numbered, replayed."
            }
            Kind::Event { conflates: true, .. } => {
                "Ephemeral: under pressure the newest of a source is kept."
            }
            Kind::Event { .. } | Kind::Command | Kind::Reply => "Ephemeral: at most once.",
        };
        for (action, name) in [("receive", sent), ("send", delivered)] {
            let operation = json!({
                "action": action,
                "channel": {"$ref": "#/channels/socket"},
                "summary": delivery,
                "messages": [in_channel(&name)],
            });
            self.operations.insert(name, operation);
        }
    }

    /// What a client is told without having asked.
    fn tell(&mut self, told: &Payload) {
        let name = self.sent(told);
        let operation = json!({
            "action": "send",
            "channel": {"$ref": "#/channels/socket"},
            "summary": told.summary,
            "messages": [in_channel(&name)],
        });
        self.operations.insert(name, operation);
    }

    fn received(&mut self, payload: &Payload, who: &str) -> String {
        let summary = format!("{} {who}", payload.summary);
        self.message(&format!("{}.from-client", payload.name()), payload, &summary, "FromClient")
    }

    fn sent(&mut self, payload: &Payload) -> String {
        self.message(&payload.name(), payload, &payload.summary, "FromGateway")
    }

    /// Adds a message; the same again changes nothing.
    fn message(&mut self, name: &str, payload: &Payload, summary: &str, envelope: &str) -> String {
        let is_of_it = |example: &Value| {
            payload.takes(example) && example.get("source").is_some() == (envelope == "FromGateway")
        };
        let examples: Vec<Value> = self
            .examples
            .iter()
            .filter(|(_, example)| is_of_it(example))
            .map(|(file, example)| json!({"name": file.trim_end_matches(".json"), "payload": example}))
            .collect();
        let mut message = json!({
            "name": payload.message_type,
            "title": payload.message_type,
            "summary": summary,
            "contentType": "application/json",
            "payload": {"allOf": [{"$ref": format!("#/components/schemas/{envelope}")}, payload.fields()]},
        });
        if !examples.is_empty() {
            message["examples"] = examples.into();
        }
        self.messages.entry(name).or_insert(message);
        name.to_owned()
    }

    fn finish(self) -> Value {
        let of_channel =
            |name: &String| (name.clone(), json!({"$ref": format!("#/components/messages/{name}")}));
        let messages: Map<String, Value> = self.messages.keys().map(of_channel).collect();
        let query = json!({"ws": {"query": envelope::query(), "bindingVersion": "0.1.0"}});
        let namespaces = Vocabulary::default().namespaces().to_vec();
        json!({
            "asyncapi": "3.0.0",
            "info": {
                "title": "Signalbox",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "The WebSocket protocol of a Signalbox node, seen from the node: it receives what clients say, and \
                                sends what they are told. docs/protocol.md is the reference in words, with errors, close codes \
                                and limits; /api/openapi.json of a node describes HTTP.",
                "license": {"name": "MIT OR Apache-2.0"},
            },
            "defaultContentType": "application/json",
            "servers": {"node": {
                "host": "127.0.0.1:8080",
                "protocol": "ws",
                "description": "A node on this machine; behind a load balancer it is `wss`.",
                "security": [{"$ref": "#/components/securitySchemes/token"}],
            }},
            "channels": {
                "socket": {
                    "address": "/ws",
                    "description": "A connection that joined no namespace.",
                    "messages": messages.clone(),
                    "bindings": query.clone(),
                },
                "namespace": {
                    "address": "/ws/{namespace}",
                    "description": "A connection that joined a namespace; all that is said on the other channel may be said here.",
                    "parameters": {"namespace": {
                        "description": "What it joins. An operator may add more.",
                        "enum": namespaces,
                    }},
                    "messages": messages,
                    "bindings": query,
                },
            },
            "operations": self.operations,
            "components": {
                "messages": self.messages,
                "schemas": envelope::schemas(),
                "securitySchemes": {"token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "Or, from a browser, as a further subprotocol: `bearer.<token>`.",
                }},
            },
        })
    }
}

fn in_channel(message: &str) -> Value {
    json!({"$ref": format!("#/channels/socket/messages/{message}")})
}

fn who_may_send(entry: &Entry) -> String {
    match entry.senders {
        Senders::Anyone => "Anyone may send it.".to_owned(),
        Senders::Agents(agent_types) => format!("Sent by: {}.", agent_types.join(", ")),
        Senders::GatewayOnly => "The gateway alone sends it.".to_owned(),
    }
}
