//! The last step where Redis has just gone and nobody has noticed.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use signalbox_protocol::{Agent, ConnectionId, NodeId, SessionId, Tenant, Topic};
use signalbox_registry::directory::{Filter, NodeSet, OwnPage, PageAfter, Registered, Unregistered};
use signalbox_registry::memory::MemoryCluster;
use signalbox_registry::{Cluster, Directory, Error, Row, ThisNode};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::testing::{default_settings, join, lone_node};

/// Refuses everything at once, and counts the removals.
#[derive(Debug, Default)]
struct Refusing(AtomicUsize);

fn refused<T>() -> Result<T, Error> {
    Err(Error::Unavailable(None))
}

#[async_trait]
impl Directory for Refusing {
    async fn register(&self, _: &Row, _: &str) -> Result<Registered, Error> {
        refused()
    }

    async fn unregister(&self, _: &Row) -> Result<Unregistered, Error> {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) < 100, "it is tried again and again");
        refused()
    }

    async fn refresh(&self, _: &[Row]) -> Result<(), Error> {
        refused()
    }

    async fn set_namespaces(&self, _: &Row, _: &[String]) -> Result<(), Error> {
        refused()
    }

    async fn get(&self, _: &Tenant, _: &ConnectionId) -> Result<Option<Row>, Error> {
        refused()
    }

    async fn by_session(&self, _: &Tenant, _: &SessionId, _: Filter<'_>) -> Result<Vec<Row>, Error> {
        refused()
    }

    async fn by_agent(&self, _: &Tenant, _: &Agent) -> Result<Vec<Row>, Error> {
        refused()
    }

    async fn nodes_of(&self, _: &Tenant, _: &Topic) -> Result<NodeSet, Error> {
        refused()
    }

    async fn own_page(&self, _: &ThisNode, _: PageAfter) -> Result<OwnPage, Error> {
        refused()
    }

    async fn unfound(&self, _: &[Row]) -> Result<Vec<Row>, Error> {
        refused()
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_t_be_removed_at_the_end_is_tried_once() {
    let other = lone_node().await;
    let rows = ["V1", "V2"].map(|id| format!("agent_type=vehicle&agent_id={id}"));
    let directory = Arc::new(Refusing::default());
    let cluster = MemoryCluster::new().join(ThisNode::new(NodeId::try_new("leaving").unwrap()));
    let cluster = Cluster { directory: Arc::clone(&directory) as _, ..cluster };
    let (tasks, halt) = (TaskTracker::new(), CancellationToken::new());
    let node = Node::new(default_settings(), signalbox_protocol::Vocabulary::default(), cluster, tasks, halt);
    for query in &rows {
        let connection = join(&other, query).await;
        node.late_leavers.push(roster::current_row(&other, &connection));
    }
    unregister_rest(&node).await;
    assert_eq!(directory.0.load(Ordering::Relaxed), rows.len());
}
