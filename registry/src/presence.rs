//! Who is in a group right now.

use async_trait::async_trait;
use signalbox_protocol::{Tenant, Topic};

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
    /// kind has no members). `cursor` is that of the page before.
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
