//! Which connections exist, and on which nodes.

use std::time::Duration;

use async_trait::async_trait;
use signalbox_protocol::{Agent, ConnectionId, NodeId, SessionId, Tenant, Topic};
use smallvec::SmallVec;

use crate::{Error, Row, ThisNode};

/// The nodes that hold somebody; nearly always one.
pub type NodeSet = SmallVec<[NodeId; 2]>;

/// Most sockets of one session; one more closes the oldest (`wire.md`, close code 4409).
pub const SESSION_CONNECTIONS_MAX: usize = 16;
/// How long a named session stays its owner's after its last socket.
pub const SESSION_KEPT: Duration = Duration::from_secs(600);

/// What came of a registration.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// It is a service, and no other live connection of it existed. Of other agents nobody is told that, and finding it
    /// out is a good part of what a registration costs.
    pub first_service: bool,
    /// The session's oldest connections beyond [`SESSION_CONNECTIONS_MAX`]: whoever registered closes them.
    /// Their rows stand until their own nodes unregister them.
    pub evicted: Vec<Row>,
}

/// What came of an unregistration.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unregistered {
    /// A row of this connection in this generation was there, and was removed.
    pub removed: bool,
    /// It was there, and no live connection of this agent is left.
    pub last_of_agent: bool,
}

/// Some of the rows that stand under a node's lease.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct OwnPage {
    /// The rows; one that changes meanwhile may come twice.
    pub rows: Vec<Row>,
    /// Where the next page begins; `None`: that was all.
    pub next: Option<PageAfter>,
}

/// A place in a node's rows; the default is the beginning.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct PageAfter(pub(crate) u64);

/// Narrows a session's connections.
#[derive(Debug, Default, Clone, Copy)]
pub struct Filter<'a> {
    /// Only agents of this type.
    pub agent_type: Option<&'a str>,
    /// Only connections of this pillar.
    pub pillar: Option<&'a str>,
}

impl Filter<'_> {
    /// Whether `row` passes.
    pub fn admits(&self, row: &Row) -> bool {
        self.agent_type.is_none_or(|wanted| row.agent.agent_type() == wanted)
            && self.pillar.is_none_or(|wanted| row.pillar.as_deref() == Some(wanted))
    }
}

/// The directory of live connections. Every answer leaves out the rows of nodes whose lease is over,
/// from the moment it is over. Every method has a deadline of its own and touches only the tenant it names.
#[async_trait]
pub trait Directory: Send + Sync + std::fmt::Debug {
    /// Stores `row` and its indexes, in the order owner check, agent record, indexes. A session that
    /// the client named is claimed for `subject`, and stays its own for 10 minutes after its last socket.
    ///
    /// # Errors
    /// [`Error::SessionTaken`]: nothing was stored. [`Error::Unreadable`]: the connection id is not one of
    /// the row's node. After any other error some of it may be stored: unregister it again, and go on trying
    /// until that succeeds or the generation is over.
    async fn register(&self, row: &Row, subject: &str) -> Result<Registered, Error>;

    /// Removes `row` and its indexes by compare-and-delete: only what was written for this connection
    /// in this generation. From here on a refresh of the connection writes nothing.
    ///
    /// # Errors
    /// Any: whatever is left is believed as long as the generation lasts, so try again.
    async fn unregister(&self, row: &Row) -> Result<Unregistered, Error>;

    /// Writes the rows again (all of this node), with their activity, and extends every time to live that
    /// hangs on them. One batch; harmless to repeat. A row that was lost comes back; what was done to a
    /// connection within a minute before, after its row was read, is not undone.
    async fn refresh(&self, rows: &[Row]) -> Result<(), Error>;

    /// Replaces the namespaces that `row` is in. `row.namespaces` tells what was stored before.
    async fn set_namespaces(&self, row: &Row, namespaces: &[String]) -> Result<(), Error>;

    /// The connection, if it is of this tenant and alive (the reverse look-up from a `ws_id`).
    async fn get(&self, tenant: &Tenant, connection_id: &ConnectionId) -> Result<Option<Row>, Error>;

    /// A session's live connections, oldest first. Also answers for made-up sessions.
    async fn by_session(
        &self,
        tenant: &Tenant,
        session_id: &SessionId,
        filter: Filter<'_>,
    ) -> Result<Vec<Row>, Error>;

    /// An agent's live connections, oldest first.
    async fn by_agent(&self, tenant: &Tenant, agent: &Agent) -> Result<Vec<Row>, Error>;

    /// The live nodes that hold the point topic `topic` (`session:`, `connection:`, or any agent's).
    /// The hot look-up of the router: one round trip, none for `connection:`.
    async fn nodes_of(&self, tenant: &Tenant, topic: &Topic) -> Result<NodeSet, Error>;

    /// Some of the rows that stand under this node's generation of now, whoever wrote them. For an audit: one
    /// question of a bounded size.
    async fn own_page(&self, node: &ThisNode, after: PageAfter) -> Result<OwnPage, Error>;

    /// Which of these rows, all of this node, can't be found by their agent or from their id in their generation.
    /// For an audit: a question of the size of `rows`.
    async fn unfound(&self, rows: &[Row]) -> Result<Vec<Row>, Error>;
}

/// What a point topic names.
pub(crate) enum PointTopic {
    Connection(ConnectionId),
    Session(SessionId),
    Agent(Agent),
    /// Its id is too long for what its kind says.
    Nobody,
}

impl PointTopic {
    pub(crate) fn of(topic: &Topic) -> Self {
        match topic.kind() {
            "connection" => ConnectionId::try_new(topic.id()).map_or(Self::Nobody, Self::Connection),
            "session" => SessionId::try_new(topic.id()).map_or(Self::Nobody, Self::Session),
            _ => Self::Agent(Agent::from_topic(topic.clone())),
        }
    }
}

/// Which of a session's live connections, oldest first, have to go for `newcomer`, which itself stays.
pub(crate) fn evicted(mut rows: Vec<Row>, newcomer: &ConnectionId) -> Vec<Row> {
    rows.retain(|row| row.connection_id != *newcomer);
    rows.truncate((rows.len() + 1).saturating_sub(SESSION_CONNECTIONS_MAX));
    rows
}

/// Whether an agent's coming and going is announced to the fleet.
pub(crate) fn is_service(agent: &Agent) -> bool {
    agent.agent_type() == "service"
}
