//! Decides for each message: local sockets, one other node, or the nodes that follow a group.
//!
//! The one way for a message, whoever sent it: a socket, the HTTP API, the gateway itself. What arrives from
//! other nodes comes in here as well and goes to local sockets only.

mod inbound;
mod record;
mod routes;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::vocabulary::Vocabulary;
use signalbox_protocol::{ConnectionId, NodeId, Tenant, Topic};
use signalbox_registry::directory::NodeSet;
use signalbox_registry::{Cluster, Destination, Error, Parcel};
use smallvec::SmallVec;
use tokio::sync::Notify;

pub use self::record::Record;
pub use self::routes::{RouteBounds, RouteCache};
use crate::hub::{Delivery, Hub, TopicKey};
use crate::metrics::Metrics;
use crate::tails::Tails;
use crate::trace::Tracer;

/// A message ready to go: one frame for all its topics.
#[derive(Debug, Clone)]
pub struct Message {
    /// The customer.
    pub tenant: Tenant,
    /// Where it goes, each with the hash of its conflation key (0: none).
    pub to: SmallVec<[(Topic, u64); 1]>,
    /// The encoded frame.
    pub frame: Bytes,
    /// The sending connection, which gets no echo; its number on this node.
    pub except: Option<u64>,
    /// Whether the sender wants to know what became of it.
    pub confirm: bool,
}

/// What became of a message.
pub enum Routed {
    /// It is on its way (confirmed messages never end here).
    Done,
    /// Something has to be asked first; the sender's next message waits for this.
    Pending(BoxFuture<'static, Result<(), Fault>>),
}

impl std::fmt::Debug for Routed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Done) { "Done" } else { "Pending" })
    }
}

/// The router of one node.
#[derive(Debug)]
pub struct Router {
    hub: Arc<Hub>,
    tails: Arc<Tails>,
    cluster: Cluster,
    routes: RouteCache,
    vocabulary: Arc<Vocabulary>,
    metrics: Metrics,
    tracer: Tracer,
    /// The bus was connected anew: whoever keeps the lease should look whether Redis still knows it.
    reconnected: Notify,
    /// Another node passed on that this one shall drain.
    drain_asked: Notify,
    /// Another node passed on that tokens were revoked, or the bus may have skipped that.
    revoked: Notify,
}

impl Router {
    /// A router over the node's sockets and its cluster.
    pub fn new(
        (hub, tails): (Arc<Hub>, Arc<Tails>),
        cluster: Cluster,
        routes: RouteCache,
        vocabulary: Arc<Vocabulary>,
        metrics: Metrics,
    ) -> Self {
        Self {
            hub,
            tails,
            cluster,
            routes,
            vocabulary,
            metrics,
            tracer: Tracer::default(),
            reconnected: Notify::new(),
            drain_asked: Notify::new(),
            revoked: Notify::new(),
        }
    }

    /// The same with spans of what is delivered.
    #[must_use]
    pub fn telling(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// The remembered routes.
    pub fn routes(&self) -> &RouteCache {
        &self.routes
    }

    /// Resolves when the bus was connected anew since the last time.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped while it waits.
    pub async fn reconnected(&self) {
        self.reconnected.notified().await;
    }

    /// Resolves when another node has passed on that this one shall drain.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped while it waits.
    pub async fn drain_asked(&self) {
        self.drain_asked.notified().await;
    }

    /// Resolves when tokens may have been revoked since the last time.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped while it waits.
    pub async fn revoked(&self) {
        self.revoked.notified().await;
    }

    /// Sends a message to all its topics, in their order. Never waits itself: if a look-up or a
    /// confirmation is needed, the rest of the work is in the future.
    pub fn send(self: &Arc<Self>, message: Message) -> Routed {
        let mut done = 0;
        if !message.confirm {
            while done < message.to.len() && self.send_at_once(&message, done) {
                done += 1;
            }
            if done == message.to.len() {
                return Routed::Done;
            }
        }
        let router = Arc::clone(self);
        Routed::Pending(Box::pin(async move { router.send_rest(&message, done).await }))
    }

    /// Sends to one topic, if no question has to be asked for that.
    fn send_at_once(&self, message: &Message, place: usize) -> bool {
        let topic = &message.to[place].0;
        if !self.vocabulary.is_point_kind(topic.kind()) {
            self.deliver_here(message, place);
            self.post(&Destination::Group(message.tenant.clone(), topic.clone()), message, place);
            return true;
        }
        let key = TopicKey::new(&message.tenant, topic);
        let Some(nodes) = self.routes.get(&key) else { return false };
        self.send_to_nodes(message, place, &nodes);
        true
    }

    async fn send_rest(&self, message: &Message, from: usize) -> Result<(), Fault> {
        let mut failed = Vec::new();
        for place in from..message.to.len() {
            if message.confirm {
                let sent = self.send_confirmed(message, place).await;
                failed.extend(sent.err().map(|fault| (place, fault)));
            } else if !self.send_at_once(message, place) {
                self.look_up_then_send(message, place).await;
            }
        }
        match failed.len() {
            0 => Ok(()),
            _ => Err(all_failures(message, failed)),
        }
    }

    /// A point topic whose route is not remembered, and nobody waits for an answer.
    async fn look_up_then_send(&self, message: &Message, place: usize) {
        match self.look_up(message, place).await {
            Ok(nodes) if nodes.is_empty() => self.metrics.dropped_unroutable.inc(),
            Ok(nodes) => self.send_to_nodes(message, place, &nodes),
            Err(_) => {
                if self.deliver_here(message, place) == 0 {
                    self.metrics.dropped_unreachable.inc();
                }
            }
        }
    }

    async fn look_up(&self, message: &Message, place: usize) -> Result<NodeSet, Error> {
        let topic = &message.to[place].0;
        let nodes = self.cluster.directory.nodes_of(&message.tenant, topic).await?;
        self.routes.remember(TopicKey::new(&message.tenant, topic), nodes.clone());
        Ok(nodes)
    }

    /// For a sender that wants the truth. A connection's node stands in its id, whoever's it is and whether it
    /// lives or not: the directory knows.
    async fn look_up_exactly(&self, message: &Message, place: usize) -> Result<NodeSet, Error> {
        let topic = &message.to[place].0;
        let connection_id = match topic.kind() {
            "connection" => ConnectionId::try_new(topic.id()),
            _ => return self.look_up(message, place).await,
        };
        let Ok(connection_id) = connection_id else { return Ok(NodeSet::new()) };
        let row = self.cluster.directory.get(&message.tenant, &connection_id).await?;
        Ok(row.into_iter().map(|row| row.node_id).collect())
    }

    fn send_to_nodes(&self, message: &Message, place: usize, nodes: &[NodeId]) {
        for node in nodes {
            if node != self.cluster.node.id() {
                self.post(&Destination::Node(node.clone()), message, place);
            } else if self.deliver_here(message, place) == 0 {
                self.forget(&message.tenant, &message.to[place].0);
                self.metrics.dropped_unroutable.inc();
            }
        }
    }

    /// Sends to one topic and waits until every node that holds it was handed the message.
    async fn send_confirmed(&self, message: &Message, place: usize) -> Result<(), Fault> {
        let topic = &message.to[place].0;
        if !self.vocabulary.is_point_kind(topic.kind()) {
            self.deliver_here(message, place);
            let to = Destination::Group(message.tenant.clone(), topic.clone());
            let confirmed = self.cluster.bus.post_confirmed(&to, parcel(message, place)).await;
            return confirmed.map(drop).map_err(|error| fault(&error, topic));
        }
        let nodes = match self.look_up_exactly(message, place).await {
            Ok(nodes) => nodes,
            Err(_) if self.deliver_here(message, place) > 0 => return Ok(()),
            Err(error) => return Err(fault(&error, topic)),
        };
        let mut reached = 0;
        for node in &nodes {
            reached += self
                .send_to_node_confirmed(message, place, node)
                .await
                .map_err(|error| fault(&error, topic))?;
        }
        if reached == 0 {
            self.forget(&message.tenant, topic);
            let text = format!("nobody is connected as {topic}");
            return Err(Fault::new(ErrorCode::NotFound, text));
        }
        Ok(())
    }

    async fn send_to_node_confirmed(
        &self,
        message: &Message,
        place: usize,
        node: &NodeId,
    ) -> Result<u64, Error> {
        if node == self.cluster.node.id() {
            return Ok(self.deliver_here(message, place) as u64);
        }
        self.cluster.bus.post_confirmed(&Destination::Node(node.clone()), parcel(message, place)).await
    }

    fn deliver_here(&self, message: &Message, place: usize) -> usize {
        let (topic, conflation) = &message.to[place];
        self.hub.deliver(&Delivery {
            tenant: &message.tenant,
            topic,
            conflation: *conflation,
            frame: &message.frame,
            except: message.except,
            spared: None,
        })
    }

    /// Queues for the bus; what does not fit is counted by the bus itself.
    fn post(&self, to: &Destination, message: &Message, place: usize) {
        if let Err(error) = self.cluster.bus.post(to, parcel(message, place)) {
            self.metrics.dropped_unreachable.inc();
            tracing::debug!(%error, "message not handed to the bus");
        }
    }

    fn forget(&self, tenant: &Tenant, topic: &Topic) {
        self.routes.forget(&TopicKey::new(tenant, topic));
    }
}

fn parcel(message: &Message, place: usize) -> Parcel {
    let (topic, conflation) = &message.to[place];
    Parcel::Deliver {
        tenant: message.tenant.clone(),
        topic: topic.clone(),
        conflation: *conflation,
        frame: message.frame.clone(),
    }
}

/// One fault for all topics that a message did not reach: the first one's code, and in the details each topic
/// with its own, so that a sender knows what to send again.
fn all_failures(message: &Message, mut failed: Vec<(usize, Fault)>) -> Fault {
    let topic = |place: usize| message.to[place].0.as_str();
    let codes = failed.iter().map(|(place, fault)| (topic(*place).to_owned(), fault.code.as_str().into()));
    let details = serde_json::Value::Object(serde_json::Map::from_iter([(
        "failed".to_owned(),
        serde_json::Value::Object(codes.collect()),
    )]));
    let (_, first) = failed.swap_remove(0);
    if message.to.len() == 1 { first } else { first.with_details(details) }
}

/// What a sender is told when the registry or the bus failed it.
pub fn fault(error: &Error, topic: &Topic) -> Fault {
    let (code, advice) = match error {
        Error::OutcomeUnknown(_) => (ErrorCode::OutcomeUnknown, "may or may not have been delivered"),
        Error::Unavailable(_) | Error::BusFull { .. } => {
            (ErrorCode::Unavailable, "was not handed to other nodes; try again")
        }
        Error::SessionTaken => (ErrorCode::Forbidden, "belongs to another subject"),
        Error::Unreadable { .. } | Error::Refused(_) | Error::Url(_) => {
            (ErrorCode::Internal, "could not be looked up")
        }
    };
    Fault::new(code, format!("{topic} {advice}"))
}

#[cfg(test)]
mod tests;
