//! The client's side of the format: what it sends and what it receives.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::target::Target;
use crate::topic::Topic;

/// A message as a client receives it.
#[derive(Debug, Clone, Deserialize)]
pub struct Received {
    /// The message's id; the same if it is delivered twice.
    pub id: String,
    /// `group:name`.
    #[serde(rename = "type")]
    pub message_type: String,
    /// When it happened or was received, RFC 3339.
    pub timestamp: String,
    /// Who sent it; stamped by the gateway.
    pub source: String,
    /// The payload, byte for byte as it was sent.
    pub data: Box<RawValue>,
    /// Where it was sent to.
    #[serde(default)]
    pub target: Target,
    /// Matches an answer to its request.
    #[serde(default, rename = "correlationId")]
    pub correlation_id: Option<String>,
    /// An object, byte for byte as it was sent.
    #[serde(default)]
    pub metadata: Box<RawValue>,
    /// The topic whose log the message is in, if it is durable.
    #[serde(default)]
    pub topic: Option<Topic>,
    /// Its number in that log, if it is durable.
    #[serde(default)]
    pub offset: Option<u64>,
}

impl Received {
    /// Reads the payload.
    ///
    /// # Errors
    /// When the payload doesn't have the shape of `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.data.get())
    }
}

/// A message as a client sends it. Start with [`Outgoing::new`] and set what else is needed.
#[derive(Debug, Clone, Serialize)]
pub struct Outgoing<'a, T: ?Sized = Value> {
    /// The message's id, up to 128 characters; the gateway stamps one if it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    /// `group:name`.
    #[serde(rename = "type")]
    pub message_type: &'a str,
    /// When it happened, RFC 3339; the gateway stamps it if it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<&'a str>,
    /// The payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a T>,
    /// Where it goes.
    #[serde(skip_serializing_if = "Target::is_default")]
    pub target: Target,
    /// Matches the answer to this request.
    #[serde(rename = "correlationId", skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<&'a str>,
    /// Whether an acknowledgement is asked for, and whatever else the receivers understand.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
}

/// What a message says about itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Metadata {
    /// Asks the gateway for a `system:ack`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ack: bool,
    /// Other fields, passed on unread. Must not hold `ack`.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl<'a, T: Serialize + ?Sized> Outgoing<'a, T> {
    /// A message of this type with this payload and nothing else.
    pub fn new(message_type: &'a str, data: &'a T) -> Self {
        Self {
            id: None,
            message_type,
            timestamp: None,
            data: Some(data),
            target: Target::Default,
            correlation_id: None,
            metadata: Metadata::default(),
        }
    }
}

impl Metadata {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
