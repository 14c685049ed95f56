//! What every message type means: one table of events, commands and replies.
//!
//! A type that the table doesn't name has the meaning of its group (`commuter:*`), and one whose group
//! it doesn't name either is an ephemeral event from anyone: the gateway serves fleets whose events it
//! doesn't know.
//!
//! Some names are both. Which meaning counts is decided by the direction: the table says what happens
//! when a *client sends* a type, or when the gateway publishes it to a topic. Replies are written to
//! their asker directly and never looked up, so a name that is a command or an event as well stands
//! here as that: `system:health_check` and `system:stats` as commands, `order:accepted` as the durable
//! event. A receiver tells the reply by its `correlationId`. Names that are replies only
//! (`boarding:confirmed`, `lock:granted`, ..) stand here so that no client can fake them.

mod table;

pub use table::TABLE;

use crate::message_type;

/// Delivery class of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Delivered at most once; the newest matters and loss is fine.
    Ephemeral,
    /// Must not be lost: numbered, kept, and delivered again after a reconnect.
    Durable,
}

/// What kind of message a type is when a client sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Announces something to a topic.
    Event {
        /// How it is delivered.
        class: Class,
        /// Whether, in a full queue, only the newest of one type, topic and source is kept.
        conflates: bool,
    },
    /// Asks the gateway for something.
    Command,
    /// Answers a command. From a client that may send it, it travels as an ephemeral event.
    Reply,
}

/// Who may send a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Senders {
    /// Every connection.
    Anyone,
    /// Agents of these types.
    Agents(&'static [&'static str]),
    /// No client: only the gateway makes such messages.
    GatewayOnly,
}

/// The meaning of one message type, or of a whole group of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The type, or `group:*` for every other type of that group.
    pub name: &'static str,
    /// Event, command or reply.
    pub kind: Kind,
    /// Who may send it.
    pub senders: Senders,
    /// The namespaces in which it is at home; empty if it belongs to none.
    pub namespaces: &'static [&'static str],
}

/// The meaning of every type whose group the table doesn't name.
pub const UNLISTED: Entry = Entry {
    name: "*",
    kind: Kind::Event { class: Class::Ephemeral, conflates: false },
    senders: Senders::Anyone,
    namespaces: &[],
};

/// The entry of exactly this type, if the table names it.
pub fn lookup(message_type: &str) -> Option<Entry> {
    let at = TABLE.binary_search_by(|entry| entry.name.cmp(message_type)).ok()?;
    Some(TABLE[at])
}

/// The entry of this type, else that of its group, else [`UNLISTED`].
pub fn of(message_type: &str) -> Entry {
    lookup(message_type).or_else(|| lookup_group(message_type::group(message_type))).unwrap_or(UNLISTED)
}

fn lookup_group(group: &str) -> Option<Entry> {
    let name = || group.bytes().chain(*b":*");
    let at = TABLE.binary_search_by(|entry| entry.name.bytes().cmp(name())).ok()?;
    Some(TABLE[at])
}

impl Entry {
    /// Whether agents of this type may send it.
    pub fn may_send(&self, agent_type: &str) -> bool {
        match self.senders {
            Senders::Anyone => true,
            Senders::Agents(agent_types) => agent_types.contains(&agent_type),
            Senders::GatewayOnly => false,
        }
    }

    /// Where it goes from a connection that joined no namespace and named no target: its only
    /// namespace, `None` if it has none or several.
    pub fn default_namespace(&self) -> Option<&'static str> {
        match self.namespaces {
            [only] => Some(only),
            _ => None,
        }
    }

    /// How it is delivered; `None` for a command or a reply.
    pub fn class(&self) -> Option<Class> {
        match self.kind {
            Kind::Event { class, .. } => Some(class),
            Kind::Command | Kind::Reply => None,
        }
    }

    /// Whether a client's message of this type asks the gateway itself.
    pub fn is_command(&self) -> bool {
        self.kind == Kind::Command
    }

    /// Whether it is a durable event.
    pub fn is_durable(&self) -> bool {
        self.class() == Some(Class::Durable)
    }

    /// Whether only the newest of one type, topic and source has to be kept in a full queue.
    pub fn conflates(&self) -> bool {
        matches!(self.kind, Kind::Event { conflates: true, .. })
    }
}

#[cfg(test)]
mod tests;
