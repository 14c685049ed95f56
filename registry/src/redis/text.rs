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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = Row> {
        let id = "[A-Za-z0-9._~@+-]{1,20}";
        let label = "[A-Za-z0-9._~@+-]{1,12}";
        let session =
            prop_oneof![Just(None), id.prop_map(|id| Some((id, true))), id.prop_map(|id| Some((id, false)))];
        let names =
            ("[a-z0-9.]{1,10}", any::<u64>(), "[A-Za-z0-9._-]{1,20}", "[a-z][a-z0-9_]{0,9}", id, session);
        let rest = (
            prop::option::of(label),
            prop::collection::vec(label, 0..3),
            any::<u32>(),
            0..u64::MAX / 2,
            0..u64::MAX / 2,
        );
        (names, rest).prop_map(
            |((node, number, tenant, kind, id, session), (pillar, namespaces, generation, at, after))| {
                let node_id = NodeId::try_new(&node).unwrap();
                let connection_id = ConnectionId::of_node(&node_id, number);
                let (session, session_named) = session.unwrap_or((format!("{connection_id}~x9"), false));
                Row {
                    connection_id,
                    tenant: Tenant::try_new(&tenant).unwrap(),
                    agent: Agent::of(&kind, &id).unwrap(),
                    session_id: SessionId::try_new(&session).unwrap(),
                    session_named,
                    pillar,
                    namespaces,
                    node_id,
                    generation,
                    connected_at_ms: at,
                    last_activity_ms: at + after,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_row_reads_back_from_every_form(row in rows()) {
            let (tenant, agent, id) = (&row.tenant, &row.agent, row.connection_id.as_str());
            prop_assert_eq!(&of_agent(tenant, agent, id, &for_agent(&row)).unwrap(), &row);
            let number = number_of(&row.connection_id);
            prop_assert_eq!(&of_node(&row.node_id, row.generation, number, &for_node(&row)).unwrap(), &row);
            if row.session_named {
                let read = of_session(tenant, &row.session_id, id, &for_session(&row)).unwrap();
                prop_assert_eq!(&read, &row);
            }
            for text in [for_agent(&row), for_session(&row)] {
                prop_assert!(text.starts_with(&generation_prefix(row.generation)));
                prop_assert_eq!(lease_of(id, &text).unwrap(), (row.node_id.clone(), row.generation));
            }
            let place = Place { agent: agent.clone(), connection_id: row.connection_id.clone() };
            for group in [Topic::of("agent_type", agent.agent_type()).unwrap(), Topic::of("pillar", "p").unwrap()] {
                prop_assert_eq!(of_group(&row.node_id, &group, &for_group(&row, &group)).unwrap(), place.clone());
            }
        }

        #[test]
        fn arbitrary_text_never_panics(field in ".{0,20}", text in "[a-z0-9|~=!:,-]{0,40}") {
            let (tenant, agent) = (Tenant::try_new("t").unwrap(), Agent::of("vehicle", "1").unwrap());
            let node = NodeId::try_new("n").unwrap();
            let _ = of_agent(&tenant, &agent, &field, &text);
            let _ = of_session(&tenant, &SessionId::try_new("s").unwrap(), &field, &text);
            let _ = of_node(&node, 1, &field, &text);
            let _ = of_group(&node, agent.topic(), &text);
            let _ = lease_of(&field, &text);
        }
    }

    #[test]
    fn a_plain_connection_takes_few_bytes() {
        let node_id = NodeId::try_new("k3x9q2").unwrap();
        let connection_id = ConnectionId::of_node(&node_id, 46);
        let row = Row {
            tenant: Tenant::try_new("default").unwrap(),
            agent: Agent::of("vehicle", "V17").unwrap(),
            session_id: SessionId::try_new("k3x9q2-1a~0d9vz2m4kq").unwrap(),
            session_named: false,
            pillar: None,
            namespaces: vec![],
            generation: 1,
            connected_at_ms: 1_767_225_600_000,
            last_activity_ms: 1_767_225_600_000,
            connection_id,
            node_id,
        };
        assert_eq!(for_agent(&row), "1|mjuohs00||~0d9vz2m4kq");
        assert_eq!(for_node(&row), "default|vehicle:V17|mjuohs00||~0d9vz2m4kq");
        assert_eq!(for_group(&row, &Topic::of("agent_type", "vehicle").unwrap()), "1a|V17");
    }
}
