//! What the nodes share, as one node reaches it: everything goes over its link.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use signalbox_protocol::control::Position;
use signalbox_protocol::{Agent, ConnectionId, NodeId, SessionId, Tenant, Topic};
use signalbox_registry::directory::{Filter, NodeSet, OwnPage, PageAfter, Registered, Unregistered};
use signalbox_registry::lease::{Renewal, Swept};
use signalbox_registry::log::{Appended, Entry, Limits, Read};
use signalbox_registry::presence::Members;
use signalbox_registry::row::Generation;
use signalbox_registry::{Cluster, Directory, Error, Lease, Log, NodeCard, Presence, Row, ThisNode};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::bus::FaultyBus;
use crate::climate::Fault;
use crate::history::History;
use crate::link::Link;

/// When a message is stored whose appender has given up waiting.
const STORED_AFTER: Duration = Duration::from_millis(600);

/// One of the things that are shared, at the other end of a link.
#[derive(Debug)]
struct Far<T: ?Sized> {
    link: Arc<Link>,
    inner: Arc<T>,
}

/// What a node sees of `cluster` over its link, and its bus.
pub(crate) fn over(
    link: &Arc<Link>,
    cluster: Cluster,
    history: &Arc<History>,
    tasks: &TaskTracker,
) -> (Cluster, Arc<FaultyBus>) {
    let bus = FaultyBus::new(Arc::clone(&cluster.bus), link, tasks);
    let far = |link: &Arc<Link>| Arc::clone(link);
    let log = FarLog {
        link: far(link),
        inner: Arc::clone(&cluster.log),
        history: Arc::clone(history),
        tasks: tasks.clone(),
    };
    let seen = Cluster {
        directory: Arc::new(Far { link: far(link), inner: Arc::clone(&cluster.directory) }),
        presence: Arc::new(Far { link: far(link), inner: Arc::clone(&cluster.presence) }),
        lease: Arc::new(Far { link: far(link), inner: Arc::clone(&cluster.lease) }),
        log: Arc::new(log),
        bus: Arc::clone(&bus) as _,
        reachable: link.reachable(),
        ..cluster
    };
    (seen, bus)
}

#[async_trait]
impl Directory for Far<dyn Directory> {
    async fn register(&self, row: &Row, subject: &str) -> Result<Registered, Error> {
        self.link.tell(&format!("register {}", row.agent), self.inner.register(row, subject)).await
    }

    async fn unregister(&self, row: &Row) -> Result<Unregistered, Error> {
        self.link.tell(&format!("unregister {}", row.agent), self.inner.unregister(row)).await
    }

    async fn refresh(&self, rows: &[Row]) -> Result<(), Error> {
        self.link.tell("refresh", self.inner.refresh(rows)).await
    }

    async fn set_namespaces(&self, row: &Row, namespaces: &[String]) -> Result<(), Error> {
        self.link.tell("namespaces", self.inner.set_namespaces(row, namespaces)).await
    }

    async fn get(&self, tenant: &Tenant, connection_id: &ConnectionId) -> Result<Option<Row>, Error> {
        self.link.ask("get", self.inner.get(tenant, connection_id)).await
    }

    async fn by_session(
        &self,
        tenant: &Tenant,
        session_id: &SessionId,
        filter: Filter<'_>,
    ) -> Result<Vec<Row>, Error> {
        self.link.ask("session", self.inner.by_session(tenant, session_id, filter)).await
    }

    async fn by_agent(&self, tenant: &Tenant, agent: &Agent) -> Result<Vec<Row>, Error> {
        self.link.ask("agent", self.inner.by_agent(tenant, agent)).await
    }

    async fn nodes_of(&self, tenant: &Tenant, topic: &Topic) -> Result<NodeSet, Error> {
        self.link.ask(&format!("nodes of {tenant} {topic}"), self.inner.nodes_of(tenant, topic)).await
    }

    async fn own_page(&self, node: &ThisNode, after: PageAfter) -> Result<OwnPage, Error> {
        self.link.ask("own rows", self.inner.own_page(node, after)).await
    }

    async fn unfound(&self, rows: &[Row]) -> Result<Vec<Row>, Error> {
        self.link.ask("unfound", self.inner.unfound(rows)).await
    }
}

#[async_trait]
impl Presence for Far<dyn Presence> {
    async fn members(
        &self,
        tenant: &Tenant,
        group: &Topic,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Members, Error> {
        self.link.ask("members", self.inner.members(tenant, group, cursor, limit)).await
    }

    async fn connections(&self, tenant: &Tenant, groups: &[Topic]) -> Result<Vec<u64>, Error> {
        self.link.ask("connections", self.inner.connections(tenant, groups)).await
    }
}

#[async_trait]
impl Lease for Far<dyn Lease> {
    async fn acquire(&self, card: &NodeCard) -> Result<(), Error> {
        self.link.tell("acquire", self.inner.acquire(card)).await
    }

    async fn renew(&self, card: &NodeCard) -> Result<Renewal, Error> {
        self.link.tell("renew", self.inner.renew(card)).await
    }

    async fn release(&self, node_id: &NodeId, generation: Generation) -> Result<(), Error> {
        self.link.tell("release", self.inner.release(node_id, generation)).await
    }

    async fn live(&self) -> Result<Vec<NodeCard>, Error> {
        self.link.ask("live", self.inner.live()).await
    }

    async fn sweep(&self) -> Result<Swept, Error> {
        self.link.tell("sweep", self.inner.sweep()).await
    }
}

/// The logs, with a record of what is stored.
#[derive(Debug)]
struct FarLog {
    link: Arc<Link>,
    inner: Arc<dyn Log>,
    history: Arc<History>,
    tasks: TaskTracker,
}

async fn store(log: Arc<dyn Log>, history: Arc<History>, entry: Entry) -> Result<Appended, Error> {
    let appended = log.append(&entry).await?;
    history.stored(&entry, &appended);
    Ok(appended)
}

#[async_trait]
impl Log for FarLog {
    async fn append(&self, entry: &Entry) -> Result<Appended, Error> {
        let what = format!("append {} {} {}", entry.tenant, entry.topic, entry.id);
        let storing = store(Arc::clone(&self.inner), Arc::clone(&self.history), entry.clone());
        if !self.link.is_cut() && self.link.happens(Fault::StoredLate, &what) {
            let late = STORED_AFTER + self.link.within(&what, 300);
            self.tasks.spawn(async move {
                sleep(late).await;
                storing.await
            });
            self.link.give_up().await;
            return Err(Error::OutcomeUnknown(None));
        }
        self.link.tell(&what, storing).await
    }

    async fn read(
        &self,
        tenant: &Tenant,
        topic: &Topic,
        after: &Position,
        limits: Limits,
    ) -> Result<Read, Error> {
        self.link
            .ask(
                &format!("read {tenant} {topic} {}", after.offset),
                self.inner.read(tenant, topic, after, limits),
            )
            .await
    }

    async fn heads(&self, topics: &[(Tenant, Topic)]) -> Result<Vec<Position>, Error> {
        self.link.ask(&format!("heads {}", topics.len()), self.inner.heads(topics)).await
    }

    async fn new_epoch(&self, tenant: &Tenant, topic: &Topic, seen: &str) -> Result<Position, Error> {
        self.link.tell(&format!("epoch {tenant} {topic}"), self.inner.new_epoch(tenant, topic, seen)).await
    }
}
