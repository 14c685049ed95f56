//! The directory over the table: each method is one step under its lock.

use async_trait::async_trait;
use signalbox_protocol::{Agent, ConnectionId, SessionId, Tenant, Topic};

use super::MemoryCluster;
use crate::directory::{
    Filter, NodeSet, OwnPage, PageAfter, PointTopic, Registered, Unregistered, evicted, is_service,
};
use crate::{Directory, Error, Row, ThisNode};

#[async_trait]
impl Directory for MemoryCluster {
    async fn register(&self, row: &Row, subject: &str) -> Result<Registered, Error> {
        self.changes.begun(&row.connection_id);
        let mut shared = self.shared();
        if row.session_named && !shared.claim(row, subject) {
            return Err(Error::SessionTaken);
        }
        let others = shared.of_agent(&row.tenant, &row.agent);
        let first_service =
            is_service(&row.agent) && others.iter().all(|other| other.connection_id == row.connection_id);
        shared.put(row.clone());
        let evicted = if row.session_named {
            evicted(shared.of_session(&row.tenant, &row.session_id), &row.connection_id)
        } else {
            Vec::new()
        };
        Ok(Registered { first_service, evicted })
    }

    async fn unregister(&self, row: &Row) -> Result<Unregistered, Error> {
        self.changes.gone(&row.connection_id);
        let mut shared = self.shared();
        if row.session_named {
            shared.keep_session(row);
        }
        if shared.generation_of(&row.connection_id) != Some(row.generation) {
            return Ok(Unregistered::default());
        }
        shared.take(&row.connection_id);
        let last_of_agent = shared.of_agent(&row.tenant, &row.agent).is_empty();
        if last_of_agent {
            shared.forget_agent(&row.tenant, &row.agent);
        }
        Ok(Unregistered { removed: true, last_of_agent })
    }

    async fn refresh(&self, rows: &[Row]) -> Result<(), Error> {
        for row in rows {
            let mut shared = self.shared();
            if let Some(row) = self.changes.apply(row) {
                shared.keep_session(&row);
                shared.put(row);
            }
        }
        Ok(())
    }

    async fn set_namespaces(&self, row: &Row, namespaces: &[String]) -> Result<(), Error> {
        self.changes.moved(&row.connection_id, namespaces);
        let mut shared = self.shared();
        if shared.generation_of(&row.connection_id) == Some(row.generation) {
            shared.put(Row { namespaces: namespaces.to_vec(), ..row.clone() });
        }
        Ok(())
    }

    async fn get(&self, tenant: &Tenant, connection_id: &ConnectionId) -> Result<Option<Row>, Error> {
        Ok(self.shared().live_row(tenant, connection_id).cloned())
    }

    async fn by_session(
        &self,
        tenant: &Tenant,
        session_id: &SessionId,
        filter: Filter<'_>,
    ) -> Result<Vec<Row>, Error> {
        let mut rows = self.shared().of_session(tenant, session_id);
        rows.retain(|row| filter.admits(row));
        Ok(rows)
    }

    async fn by_agent(&self, tenant: &Tenant, agent: &Agent) -> Result<Vec<Row>, Error> {
        Ok(self.shared().of_agent(tenant, agent))
    }

    async fn nodes_of(&self, tenant: &Tenant, topic: &Topic) -> Result<NodeSet, Error> {
        let shared = self.shared();
        let rows = match PointTopic::of(topic) {
            PointTopic::Connection(id) => shared.live_row(tenant, &id).cloned().into_iter().collect(),
            PointTopic::Session(id) => shared.of_session(tenant, &id),
            PointTopic::Agent(agent) => shared.of_agent(tenant, &agent),
            PointTopic::Nobody => Vec::new(),
        };
        let mut nodes = NodeSet::new();
        for row in rows {
            if !nodes.contains(&row.node_id) {
                nodes.push(row.node_id);
            }
        }
        Ok(nodes)
    }

    async fn own_page(&self, node: &ThisNode, _after: PageAfter) -> Result<OwnPage, Error> {
        Ok(OwnPage { rows: self.shared().of_node(node.id(), node.generation()), next: None })
    }

    async fn unfound(&self, rows: &[Row]) -> Result<Vec<Row>, Error> {
        let shared = self.shared();
        let stands = |row: &&Row| shared.generation_of(&row.connection_id) == Some(row.generation);
        Ok(rows.iter().filter(|row| !stands(row)).cloned().collect())
    }
}
