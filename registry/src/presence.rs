//! Who is in a group right now.

use async_trait::async_trait;
use signalbox_protocol::{Agent, ConnectionId, Tenant, Topic};

use crate::{Error, Row};

/// The group topics that have an index of members.
pub const INDEXED_KINDS: [&str; 3] = ["agent_type", "pillar", "namespace"];

/// A page of a group's members.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Distinct agents in the whole group, not only on this page.
    pub agents: u64,
    /// Connections in the whole group.
    pub connections: u64,
    /// This page, ordered by agent, then connection id.
    pub rows: Vec<Row>,
    /// Where the next page starts; `None` on the last one. Opaque, of the characters of a topic id and `:`.
    pub cursor: Option<String>,
}

/// Group membership, derived from the rows of live nodes: there is no counter that could drift.
#[async_trait]
pub trait Presence: Send + Sync + std::fmt::Debug {
    /// A page of at most `limit` members of `group` (a topic of one of [`INDEXED_KINDS`]; any other
    /// kind has no members). `cursor` is that of the page before; a `limit` of 0 is taken as 1.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when `cursor` is not one of those; else as every look-up.
    async fn members(
        &self,
        tenant: &Tenant,
        group: &Topic,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Members, Error>;

    /// How many connections are in each of `groups`, without reading their members.
    async fn connections(&self, tenant: &Tenant, groups: &[Topic]) -> Result<Vec<u64>, Error>;
}

/// The indexed groups that a row is in.
pub(crate) fn groups_of(row: &Row) -> impl Iterator<Item = Topic> {
    let agent_type = Some(("agent_type", row.agent.agent_type()));
    let pillar = row.pillar.as_deref().map(|pillar| ("pillar", pillar));
    let namespaces = row.namespaces.iter().map(|namespace| ("namespace", namespace.as_str()));
    // A pillar or namespace that could not be a topic has no members that anybody could ask for.
    let named = agent_type.into_iter().chain(pillar).chain(namespaces);
    named.filter_map(|(kind, id)| Topic::of(kind, id).ok())
}

/// A member's place in the order of a listing: by agent, then connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) agent: Agent,
    pub(crate) connection_id: ConnectionId,
}

impl Place {
    pub(crate) fn of(row: &Row) -> Self {
        Self { agent: row.agent.clone(), connection_id: row.connection_id.clone() }
    }

    /// What the next page is asked for with: `agent_type:agent_id:connection_id`.
    pub(crate) fn cursor(&self) -> String {
        format!("{}:{}", self.agent, self.connection_id)
    }

    /// Reads a cursor back.
    pub(crate) fn parse(cursor: &str) -> Result<Self, Error> {
        let unreadable = || Error::Unreadable { what: "cursor" };
        let (agent, connection) = cursor.rsplit_once(':').ok_or_else(unreadable)?;
        let agent = Topic::try_new(agent).map_err(|_| unreadable())?;
        let connection_id = ConnectionId::try_new(connection).map_err(|_| unreadable())?;
        Ok(Self { agent: Agent::from_topic(agent), connection_id })
    }
}
