//! Decides for each message: local sockets, one other node, or the nodes that follow a group.
//!
//! The one way for a message, whoever sent it: a socket, the HTTP API, the gateway itself. What arrives from
//! other nodes comes in here as well and goes to local sockets only.

mod confirmed;
mod inbound;
mod message;
mod record;
mod routes;

use std::sync::Arc;

use signalbox_protocol::error::Fault;
use signalbox_protocol::vocabulary::Vocabulary;
use signalbox_protocol::{NodeId, Tenant, Topic};
use signalbox_registry::directory::NodeSet;
use signalbox_registry::{Cluster, Destination, Error};
use tokio::sync::Notify;

use self::confirmed::all_failures;
pub use self::message::{Message, Routed, fault};
pub use self::record::Record;
pub use self::routes::{RouteBounds, RouteCache};
use crate::hub::{Delivery, Hub, TopicKey};
use crate::metrics::Metrics;
use crate::tails::Tails;
use crate::trace::Tracer;

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
        if let Err(error) = self.cluster.bus.post(to, message.parcel(place)) {
            self.metrics.dropped_unreachable.inc();
            tracing::debug!(%error, "message not handed to the bus");
        }
    }

    fn forget(&self, tenant: &Tenant, topic: &Topic) {
        self.routes.forget(&TopicKey::new(tenant, topic));
    }
}

#[cfg(test)]
mod tests;
