//! The directory in Redis: what is asked. How rows are written and removed lies in `enrol` and `refresh`, and how they
//! are audited in `audit`.

use std::sync::Arc;

use async_trait::async_trait;
use dashmap::DashMap;
use redis::Value;
use signalbox_protocol::{Agent, ConnectionId, NodeId, SessionId, Tenant, Topic};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::call::{Call, read, read_next};
use super::expiries::Expiries;
use super::newcomers::Newcomers;
use super::store::Store;
use super::text;
use crate::changes::Changes;
use crate::directory::{Filter, NodeSet, OwnPage, PageAfter, PointTopic, Registered, Unregistered};
use crate::row::{Generation, oldest_first};
use crate::{Directory, Error, Row, ThisNode};

/// The connections in Redis.
#[derive(Debug)]
pub(super) struct RedisDirectory {
    pub(super) store: Arc<Store>,
    pub(super) changes: Changes,
    /// The subjects of this node's connections in named sessions: a session whose owner Redis has lost
    /// is given back to it by the refresh.
    pub(super) subjects: DashMap<ConnectionId, Arc<str>>,
    pub(super) expiries: Arc<Expiries>,
    pub(super) newcomers: Arc<Newcomers>,
}

impl RedisDirectory {
    pub(super) fn new(store: Arc<Store>, tracker: &TaskTracker) -> Self {
        let expiries = Arc::new(Expiries::new(store.row_ttl));
        let newcomers = Newcomers::new(&store, &expiries, tracker);
        Self { store, changes: Changes::default(), subjects: DashMap::new(), expiries, newcomers }
    }

    pub(super) fn agent_call(&self, tenant: &Tenant, agent: &Agent) -> Call {
        Call::new("HGETALL").arg(self.store.keys.agent(tenant, agent))
    }

    /// The lease under which a connection would stand in a reverse index now.
    async fn lease_of(&self, id: &ConnectionId) -> Result<Option<(NodeId, Generation)>, Error> {
        let Some(node) = id.node_id() else { return Ok(None) };
        let generation = self.store.live.generation_of(&node).await?;
        Ok(generation.map(|generation| (node, generation)))
    }

    /// The row that a node's reverse index holds for a connection. A miss is believed only under a lease that
    /// is known to be the node's latest.
    async fn reverse(&self, id: &ConnectionId) -> Result<Option<Row>, Error> {
        let begun = Instant::now();
        let Some(lease) = self.lease_of(id).await? else { return Ok(None) };
        if let Some(row) = self.reverse_under(id, &lease).await? {
            return Ok(Some(row));
        }
        self.store.live.newer_than(begun).await?;
        match self.lease_of(id).await? {
            Some(latest) if latest != lease => self.reverse_under(id, &latest).await,
            _ => Ok(None),
        }
    }

    async fn reverse_under(
        &self,
        id: &ConnectionId,
        (node, generation): &(NodeId, Generation),
    ) -> Result<Option<Row>, Error> {
        let number = text::number_of(id);
        let call = Call::new("HGET").arg(self.store.keys.node_conns(node, *generation)).arg(number);
        let answers = self.store.links.of(id.as_str()).read(&[call]).await?;
        let row: Option<String> = read_next(&mut answers.into_iter(), "row")?;
        row.map(|row| text::of_node(node, *generation, number, &row)).transpose()
    }

    async fn sifted(&self, rows: Vec<Row>) -> Result<Vec<Row>, Error> {
        let mut rows = self.store.live.sift(rows, |row| (&row.node_id, row.generation)).await?;
        oldest_first(&mut rows);
        Ok(rows)
    }

    /// A session's live connections. A made-up session's id tells the connection that it was made for; a
    /// client may since have named it for others.
    async fn session_rows(&self, tenant: &Tenant, session_id: &SessionId) -> Result<Vec<Row>, Error> {
        let link = self.store.links.of(session_id.as_str());
        let named = [Call::new("HGETALL").arg(self.store.keys.session(tenant, session_id))];
        let made_for = made_for(session_id);
        let made_up = async {
            match &made_for {
                Some(id) => self.reverse(id).await,
                None => Ok(None),
            }
        };
        let (named, made_up) = tokio::join!(link.read(&named), made_up);
        let named: Vec<(String, String)> = read_next(&mut named?.into_iter(), "session")?;
        let named = named.iter().map(|(id, row)| text::of_session(tenant, session_id, id, row));
        let mut rows = named.collect::<Result<Vec<_>, _>>()?;
        rows.extend(
            made_up?.filter(|row| {
                (&row.tenant, &row.session_id, row.session_named) == (tenant, session_id, false)
            }),
        );
        self.sifted(rows).await
    }
}

#[async_trait]
impl Directory for RedisDirectory {
    async fn register(&self, row: &Row, subject: &str) -> Result<Registered, Error> {
        self.enrol(row, subject).await
    }

    async fn unregister(&self, row: &Row) -> Result<Unregistered, Error> {
        self.strike(row).await
    }

    async fn refresh(&self, rows: &[Row]) -> Result<(), Error> {
        self.write_again(rows).await
    }

    async fn set_namespaces(&self, row: &Row, namespaces: &[String]) -> Result<(), Error> {
        self.move_to(row, namespaces).await
    }

    async fn get(&self, tenant: &Tenant, connection_id: &ConnectionId) -> Result<Option<Row>, Error> {
        let row = self.reverse(connection_id).await?;
        Ok(row.filter(|row| row.tenant == *tenant))
    }

    async fn by_session(
        &self,
        tenant: &Tenant,
        session_id: &SessionId,
        filter: Filter<'_>,
    ) -> Result<Vec<Row>, Error> {
        let mut rows = self.session_rows(tenant, session_id).await?;
        rows.retain(|row| filter.admits(row));
        Ok(rows)
    }

    async fn by_agent(&self, tenant: &Tenant, agent: &Agent) -> Result<Vec<Row>, Error> {
        let answers = self.store.links.of(agent.as_str()).read(&[self.agent_call(tenant, agent)]).await?;
        let pairs: Vec<(String, String)> = read_next(&mut answers.into_iter(), "agent's record")?;
        let rows = pairs.iter().map(|(id, row)| text::of_agent(tenant, agent, id, row));
        self.sifted(rows.collect::<Result<_, _>>()?).await
    }

    async fn nodes_of(&self, tenant: &Tenant, topic: &Topic) -> Result<NodeSet, Error> {
        let mut nodes = NodeSet::new();
        match PointTopic::of(topic) {
            PointTopic::Connection(id) => nodes.extend(self.lease_of(&id).await?.map(|(node, _)| node)),
            PointTopic::Session(id) => {
                let rows = self.session_rows(tenant, &id).await?;
                nodes.extend(rows.into_iter().map(|row| row.node_id));
            }
            PointTopic::Agent(agent) => {
                let link = self.store.links.of(agent.as_str());
                let answers = link.read(&[self.agent_call(tenant, &agent)]).await?;
                let leases = read_leases(answers.into_iter().next().unwrap_or_default())?;
                let leases = self.store.live.sift(leases, |(node, generation)| (node, *generation)).await?;
                nodes.extend(leases.into_iter().map(|(node, _)| node));
            }
            PointTopic::Nobody => {}
        }
        nodes.sort_unstable();
        nodes.dedup();
        Ok(nodes)
    }

    async fn own_page(&self, node: &ThisNode, after: PageAfter) -> Result<OwnPage, Error> {
        self.page_of(node, after).await
    }

    async fn unfound(&self, rows: &[Row]) -> Result<Vec<Row>, Error> {
        self.not_found(rows).await
    }
}

/// The connection that a session would have been made up for.
pub(super) fn made_for(session_id: &SessionId) -> Option<ConnectionId> {
    session_id.as_str().split_once('~').and_then(|(id, _)| ConnectionId::try_new(id).ok())
}

/// Reads only under which leases the rows of a record stand.
pub(super) fn read_leases(record: Value) -> Result<Vec<(NodeId, Generation)>, Error> {
    let pairs: Vec<(String, String)> = read(record, "agent's record")?;
    pairs.iter().map(|(id, row)| text::lease_of(id, row)).collect()
}
