//! What a client of a product says, and what it makes of what it hears.

use std::fmt::Debug;

use super::caller::{Client, Topic};
use super::link::Kind;

/// A product's protocol, as much of it as a client needs that follows one topic or publishes to one.
pub(crate) trait Dialect: Debug + Sync {
    /// Path and query to connect to.
    fn path(&self, client: &Client) -> String;

    /// The frames that its messages are carried in.
    fn kind(&self) -> Kind {
        Kind::Text
    }

    /// What a client says as soon as it is connected, if anything.
    fn opening(&self, client: &Client) -> Option<String>;

    /// Whether it is told that it is [`Heard::In`]; otherwise it is when it is connected.
    fn welcomes(&self) -> bool {
        true
    }

    /// What is said to publish this.
    fn publication(&self, topic: &Topic, message: &str) -> String;

    /// Takes the first thing from what is left of a frame, which is not empty.
    fn hear<'a>(&self, client: &Client, rest: &mut &'a [u8]) -> Heard<'a>;
}

/// One thing that a server says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard<'a> {
    /// A message of the topic, as it was published.
    Message(&'a [u8]),
    /// The client is in, and follows what it wants to follow.
    In,
    /// The client has to say this.
    Asked(String),
    /// Nothing that matters.
    Talk,
    /// What a client of this kind is never told.
    Refused(&'a [u8]),
}

/// All that is left, which is taken.
pub(super) fn all<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    std::mem::take(rest)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// All that a frame says.
    pub(in crate::peers) fn heard<'a>(
        dialect: &dyn Dialect,
        client: &Client,
        frame: &'a str,
    ) -> Vec<Heard<'a>> {
        let mut rest = frame.as_bytes();
        let mut heard = Vec::new();
        while !rest.is_empty() {
            heard.push(dialect.hear(client, &mut rest));
        }
        heard
    }
}
