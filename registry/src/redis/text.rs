//! Rows as Redis holds them: short texts, told apart by `|`, which no name may hold.
//!
//! ```text
//! record of an agent     gen|connected|activity|session|pillar|namespaces
//! record of a session    gen|connected|activity|agent|pillar|namespaces
//! reverse index          tenant|agent|connected|activity|session|pillar|namespaces
//! member of a group      number|agent id (agent_type:), number|agent (others)
//! ```
//!
//! What the key or the field says is not said again. Numbers are in base 36; `connected` in milliseconds
//! since 1970, `activity` in milliseconds after that, empty for 0. A session that a client named is
//! `=id`; a made-up one is what follows the connection id, from its `~`; namespaces are separated by
//! commas. Empty parts at the end are left off.

use signalbox_protocol::{Agent, ConnectionId, NodeId, SessionId, Tenant, Topic};

use crate::name::NAME_BYTES;
use crate::presence::Place;
use crate::row::Generation;
use crate::{Error, Row};

/// What a row of `generation` begins with in a record.
pub(super) fn generation_prefix(generation: Generation) -> String {
    let mut text = String::with_capacity(8);
    push_base36(&mut text, u64::from(generation));
    text.push('|');
    text
}

/// The row for its agent's record.
pub(super) fn for_agent(row: &Row) -> String {
    let mut text = String::with_capacity(NAME_BYTES);
    push_base36(&mut text, u64::from(row.generation));
    push_times(&mut text, row);
    push_session(&mut text, row);
    push_labels(&mut text, row);
    text
}

/// The row for its named session's record.
pub(super) fn for_session(row: &Row) -> String {
    let mut text = String::with_capacity(NAME_BYTES);
    push_base36(&mut text, u64::from(row.generation));
    push_times(&mut text, row);
    push_all(&mut text, &["|", row.agent.as_str()]);
    push_labels(&mut text, row);
    text
}

/// The row for its node's reverse index.
pub(super) fn for_node(row: &Row) -> String {
    let mut text = String::with_capacity(NAME_BYTES);
    push_all(&mut text, &[row.tenant.as_str(), "|", row.agent.as_str()]);
    push_times(&mut text, row);
    push_session(&mut text, row);
    push_labels(&mut text, row);
    text
}

/// The row for a group's index.
pub(super) fn for_group(row: &Row, group: &Topic) -> String {
    let number = number_of(&row.connection_id);
    match group.kind() {
        "agent_type" => [number, "|", row.agent.agent_id()].concat(),
        _ => [number, "|", row.agent.as_str()].concat(),
    }
}

/// A connection's id without that of its node.
pub(super) fn number_of(connection_id: &ConnectionId) -> &str {
    connection_id.as_str().rsplit_once('-').map_or(connection_id.as_str(), |(_, number)| number)
}

/// Reads a row of an agent's record.
pub(super) fn of_agent(tenant: &Tenant, agent: &Agent, field: &str, text: &str) -> Result<Row, Error> {
    let mut parts = text.split('|');
    let read = || {
        let connection_id = ConnectionId::try_new(field).ok()?;
        let generation = parts.next().and_then(generation_of)?;
        let head = Head { connection_id, generation, tenant: tenant.clone() };
        let times = read_times(&mut parts)?;
        let session = read_session(&head.connection_id, parts.next().unwrap_or_default())?;
        head.row(agent.clone(), times, session, parts)
    };
    once(read)
}

/// Reads a row of a named session's record.
pub(super) fn of_session(
    tenant: &Tenant,
    session_id: &SessionId,
    field: &str,
    text: &str,
) -> Result<Row, Error> {
    let mut parts = text.split('|');
    let read = || {
        let connection_id = ConnectionId::try_new(field).ok()?;
        let generation = parts.next().and_then(generation_of)?;
        let head = Head { connection_id, generation, tenant: tenant.clone() };
        let times = read_times(&mut parts)?;
        let agent = Agent::from_topic(Topic::try_new(parts.next()?).ok()?);
        head.row(agent, times, (session_id.clone(), true), parts)
    };
    once(read)
}

/// Reads a row of a node's reverse index.
pub(super) fn of_node(node: &NodeId, generation: Generation, number: &str, text: &str) -> Result<Row, Error> {
    let mut parts = text.split('|');
    let read = || {
        let connection_id = connection_of(node, number)?;
        let tenant = Tenant::try_new(parts.next()?).ok()?;
        let agent = Agent::from_topic(Topic::try_new(parts.next()?).ok()?);
        let head = Head { connection_id, generation, tenant };
        let times = read_times(&mut parts)?;
        let session = read_session(&head.connection_id, parts.next().unwrap_or_default())?;
        head.row(agent, times, session, parts)
    };
    once(read)
}

/// Reads a member of a group's index on one node.
pub(super) fn of_group(node: &NodeId, group: &Topic, member: &str) -> Result<Place, Error> {
    let read = || {
        let (number, agent) = member.split_once('|')?;
        let agent = match group.kind() {
            "agent_type" => Agent::of(group.id(), agent).ok()?,
            _ => Agent::from_topic(Topic::try_new(agent).ok()?),
        };
        Some(Place { agent, connection_id: connection_of(node, number)? })
    };
    once(read)
}

/// On which node, and in which of its generations, a row of a record was written.
pub(super) fn lease_of(field: &str, text: &str) -> Result<(NodeId, Generation), Error> {
    let read = || {
        let node = ConnectionId::try_new(field).ok()?.node_id()?;
        Some((node, text.split('|').next().and_then(generation_of)?))
    };
    once(read)
}

fn once<T>(read: impl FnOnce() -> Option<T>) -> Result<T, Error> {
    read().ok_or(Error::Unreadable { what: "row" })
}

/// What is known of a row before the parts that all forms share.
struct Head {
    connection_id: ConnectionId,
    generation: Generation,
    tenant: Tenant,
}

impl Head {
    fn row<'a>(
        self,
        agent: Agent,
        (connected_at_ms, last_activity_ms): (u64, u64),
        (session_id, session_named): (SessionId, bool),
        mut labels: impl Iterator<Item = &'a str>,
    ) -> Option<Row> {
        let pillar = labels.next().filter(|pillar| !pillar.is_empty()).map(str::to_owned);
        let namespaces = labels.next().unwrap_or_default().split(',').filter(|name| !name.is_empty());
        Some(Row {
            node_id: self.connection_id.node_id()?,
            connection_id: self.connection_id,
            tenant: self.tenant,
            agent,
            session_id,
            session_named,
            pillar,
            namespaces: namespaces.map(str::to_owned).collect(),
            generation: self.generation,
            connected_at_ms,
            last_activity_ms,
        })
    }
}

fn connection_of(node: &NodeId, number: &str) -> Option<ConnectionId> {
    ConnectionId::try_new(&format!("{node}-{number}")).ok()
}

/// Without the machinery of formatting, which would be a good part of what a newcomer costs.
fn push_all(text: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| text.push_str(part));
}

fn push_times(text: &mut String, row: &Row) {
    text.push('|');
    push_base36(text, row.connected_at_ms);
    text.push('|');
    match row.last_activity_ms.saturating_sub(row.connected_at_ms) {
        0 => {}
        after => push_base36(text, after),
    }
}

fn read_times<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Option<(u64, u64)> {
    let connected = u64::from_str_radix(parts.next()?, 36).ok()?;
    let after = match parts.next().unwrap_or_default() {
        "" => 0,
        after => u64::from_str_radix(after, 36).ok()?,
    };
    Some((connected, connected.checked_add(after)?))
}

fn push_session(text: &mut String, row: &Row) {
    let made_up = row.session_id.as_str().strip_prefix(row.connection_id.as_str());
    match made_up.filter(|rest| !row.session_named && rest.starts_with('~')) {
        Some(rest) => push_all(text, &["|", rest]),
        None if row.session_named => push_all(text, &["|=", row.session_id.as_str()]),
        None => push_all(text, &["|!", row.session_id.as_str()]),
    }
}

fn read_session(connection_id: &ConnectionId, text: &str) -> Option<(SessionId, bool)> {
    let (mark, rest) = text.split_at_checked(1)?;
    let (id, named) = match mark {
        "~" => (format!("{connection_id}{text}"), false),
        "=" => (rest.to_owned(), true),
        "!" => (rest.to_owned(), false),
        _ => return None,
    };
    Some((SessionId::try_new(&id).ok()?, named))
}

/// The last parts; empty ones at the end of the row are left off.
fn push_labels(text: &mut String, row: &Row) {
    push_all(text, &["|", row.pillar.as_deref().unwrap_or_default()]);
    for (at, namespace) in row.namespaces.iter().enumerate() {
        push_all(text, &[if at == 0 { "|" } else { "," }, namespace]);
    }
    text.truncate(text.trim_end_matches('|').len());
}

fn generation_of(text: &str) -> Option<Generation> {
    Generation::from_str_radix(text, 36).ok()
}

fn push_base36(text: &mut String, mut number: u64) {
    // 36 to the power of 13 is more than any number here.
    let (mut digits, mut first) = (['0'; 13], 12);
    loop {
        digits[first] = char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize]);
        number /= 36;
        if number == 0 {
            break;
        }
        first -= 1;
    }
    text.extend(&digits[first..]);
}

#[cfg(test)]
mod tests;
