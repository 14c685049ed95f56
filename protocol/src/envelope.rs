//! The one message format: reading what a client sent, writing what clients receive.
//!
//! A node reads the head of a message and keeps `data` as the bytes that came: numbers, spaces and the
//! order of fields arrive as they were sent. What a client says about itself is never believed:
//! `source` is stamped when the message is written, and unknown fields are dropped.

mod client;
mod parse;
mod write;

pub use client::{Metadata, Outgoing, Received};
pub use write::{
    Place, Reply, Stamp, write_event, write_event_at, write_placed, write_reply, write_reply_with,
};

pub use crate::target::{Target, Topics};

use std::borrow::Cow;

use serde_json::value::RawValue;
use thiserror::Error;

use crate::error::Fault;

/// A message as a client sent it, checked. Borrows from the text it was read from.
///
/// A field that is absent or `null` is `None`; only in `data` a `null` is a value like any other.
#[derive(Debug, Clone)]
pub struct Incoming<'a> {
    /// The message's id, 1 to 128 characters, if the client chose one.
    pub id: Option<Cow<'a, str>>,
    /// `group:name`.
    pub message_type: Cow<'a, str>,
    /// When the client says it happened, an RFC 3339 date-time.
    pub timestamp: Option<Cow<'a, str>>,
    /// The payload, byte for byte.
    pub data: Option<&'a RawValue>,
    /// Where it goes, repeated topics removed.
    pub target: Target,
    /// Where it goes, byte for byte.
    pub target_raw: Option<&'a RawValue>,
    /// Matches an answer to its request, 1 to 128 characters.
    pub correlation_id: Option<Cow<'a, str>>,
    /// An object, byte for byte.
    pub metadata: Option<&'a RawValue>,
    /// `metadata.ack`: whether the sender asks for an acknowledgement.
    pub ack: bool,
}

impl<'a> Incoming<'a> {
    /// Reads one message.
    ///
    /// # Errors
    /// [`Malformed`] with what is wrong and, as far as the text could be read, which request it was.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        parse::parse(text)
    }

    /// The `correlationId` that an answer to this message has: the message's own, or else its `id`.
    pub fn answer_to(&self) -> Option<&str> {
        self.correlation_id.as_deref().or(self.id.as_deref())
    }
}

/// A text that is no valid message.
#[derive(Debug, Error, Clone, PartialEq)]
#[error("{fault}")]
pub struct Malformed {
    /// What is wrong, for the sender.
    #[source]
    pub fault: Fault,
    /// The message's `correlationId`, or else its `id`, if it can be told: for the answer.
    pub correlation_id: Option<String>,
}

#[cfg(test)]
mod tests;
