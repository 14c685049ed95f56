//! A connection's joining and leaving: hub, bus and directory in the right order, undone when a step fails.
//!
//! Joining: own group topics on the bus, then the hub, then the directory; so when others can find the
//! connection, everything that they send reaches it. Then the logs of its own topics are asked where they end: what
//! is stored later is told to this node. Leaving is the reverse.

mod late;

use std::sync::Arc;

use signalbox_protocol::close::CloseCode;
use signalbox_protocol::control::Positions;
use signalbox_protocol::{Agent, Tenant, Topic};
use signalbox_registry::directory::Registered;
use signalbox_registry::row::Generation;
use signalbox_registry::{Destination, Error, Parcel, Row};

pub use self::late::LateLeavers;
use crate::announce;
use crate::hub::{Connection, Hold, Profile};
use crate::identity::Identity;
use crate::node::Node;
use crate::stamps::{now_ms, unguessable};
use crate::ws::answer;
use crate::ws::commands::order;

/// Hexadecimal characters after the `~` of a made-up session id: 18 of them are random, 72 bits.
const SESSION_SECRET_CHARS: usize = 20;

/// Registers a connection of this identity, in this namespace if the path named one. What is sent to it
/// waits in its outbox from now on; its first frame is to be put in front of that.
///
/// # Errors
/// [`Error::SessionTaken`], or the registry is away; then nothing is left behind.
pub async fn join(
    node: &Arc<Node>,
    identity: Identity,
    namespace: Option<&str>,
) -> Result<Arc<Connection>, Error> {
    let connection = Arc::new(new_connection(node, identity, namespace));
    let topics = own_topics(connection.profile());
    let result = follow_and_register(node, &connection, &topics).await;
    match result {
        Ok((registered, generation)) => {
            confirm_generation(node, &connection, generation).await;
            settle(node, &connection, registered).await;
            Ok(connection)
        }
        Err(error) => {
            leave(node, &connection).await;
            Err(error)
        }
    }
}

fn new_connection(node: &Node, identity: Identity, namespace: Option<&str>) -> Connection {
    let number = node.next_number();
    let node_id = node.cluster.node.id();
    let session_named = identity.session.is_some();
    let session = match identity.session {
        Some(named) => named.to_string(),
        None => {
            let connection_id = signalbox_protocol::ConnectionId::of_node(node_id, number);
            [connection_id.as_str(), "~", &unguessable(SESSION_SECRET_CHARS)].concat()
        }
    };
    let grant = identity.grant;
    let own_subject = identity.subject == identity.agent.as_str();
    let profile = Profile {
        tenant: identity.tenant,
        subject: (!own_subject).then(|| identity.subject.into()),
        agent: identity.agent,
        session: Topic::of("session", &session).expect("session ids have the characters of topic ids"),
        session_named,
        pillar: identity.pillar.map(Into::into),
        namespace: namespace.map(Into::into),
        connected_at_ms: now_ms(),
    };
    let connection =
        Connection::new((node_id, number), profile, node.settings.outbox, node.flusher_of(number));
    connection.traffic.opened(node.uptime.seconds());
    if let Some(grant) = grant {
        connection.set_grant(grant);
    }
    connection
}

/// Where a connection that has just joined stands in its own topics, which are all that it follows. It gets nothing
/// stored of them until it goes on from there.
pub fn own_positions(node: &Node, connection: &Connection) -> Positions {
    let place = |topic: &Topic| node.tails.hold(connection, topic).unwrap_or_else(answer::without_log);
    connection.topics().into_iter().map(|topic| (topic.clone(), place(&topic))).collect()
}

/// The topics that a connection always belongs to, its session first, but `connection:`, which the hub knows by itself.
fn own_topics(profile: &Profile) -> Vec<Topic> {
    let group = |kind: &str, id: &str| Topic::of(kind, id).expect("checked at the handshake");
    let mut topics = vec![profile.session.clone(), profile.agent.topic().clone()];
    topics.push(group("agent_type", profile.agent.agent_type()));
    topics.extend(profile.pillar.as_deref().map(|pillar| group("pillar", pillar)));
    topics.extend(profile.namespace.as_deref().map(|namespace| group("namespace", namespace)));
    topics
}

async fn follow_and_register(
    node: &Arc<Node>,
    connection: &Arc<Connection>,
    topics: &[Topic],
) -> Result<(Registered, Generation), Error> {
    node.hub.insert(connection);
    for topic in topics {
        if !node.vocabulary.is_point_kind(topic.kind()) {
            node.cluster.bus.subscribe(&connection.profile().tenant, topic).await?;
        }
        node.hub.join(connection, topic, Some(Hold::CatchingUp));
    }
    let row = current_row(node, connection);
    let registered = node.cluster.directory.register(&row, connection.profile().subject()).await?;
    // Whoever stores a message from now on finds the connection: what is in the logs already is older. Of a session that
    // was just made up nobody has known.
    let profile = connection.profile();
    let unknown = if profile.session_named { topics } else { &topics[1..] };
    node.tails.begin(&profile.tenant, unknown).await?;
    Ok((registered, row.generation))
}

/// What follows a registration: the session's oldest sockets go, and a service's arrival is told.
async fn settle(node: &Arc<Node>, connection: &Arc<Connection>, registered: Registered) {
    for evicted in registered.evicted {
        close_anywhere(node, &evicted, CloseCode::Replaced);
    }
    let profile = connection.profile();
    if registered.first_service {
        announce::service(node, &profile.tenant, &profile.agent, true).await;
    }
}

/// Writes the row again if the node's generation changed while it was being written.
async fn confirm_generation(node: &Arc<Node>, connection: &Arc<Connection>, written: Generation) {
    if node.cluster.node.generation() != written {
        let row = current_row(node, connection);
        if let Err(error) = node.cluster.directory.refresh(std::slice::from_ref(&row)).await {
            tracing::warn!(%error, "row not rewritten; the next refresh writes it");
        }
    }
}

/// Takes a connection out of hub, bus and directory. To be called once, by whoever ends it.
pub async fn leave(node: &Arc<Node>, connection: &Arc<Connection>) {
    let row = current_row(node, connection);
    for topic in node.hub.remove(connection) {
        if !node.vocabulary.is_point_kind(topic.kind()) {
            node.cluster.bus.unsubscribe(&row.tenant, &topic);
        }
    }
    node.metrics.count_unwritten(connection.outbox().end());
    let viewed = node.viewing.take(connection.number());
    let (tenant, agent) = (row.tenant.clone(), row.agent.clone());
    if unregister(node, row).await && !viewed.is_empty() {
        order::end_viewing(node, &tenant, &agent, viewed).await;
    }
}

/// Removes a row; what can't be removed now is tried again later. True if it was its agent's last one.
pub async fn unregister(node: &Arc<Node>, row: Row) -> bool {
    match node.cluster.directory.unregister(&row).await {
        Ok(unregistered) => {
            if unregistered.last_of_agent && is_announced(&row.agent) {
                announce::service(node, &row.tenant, &row.agent, false).await;
            }
            unregistered.last_of_agent
        }
        Err(error) => {
            tracing::debug!(%error, "row not removed; it will be tried again");
            node.late_leavers.push(row);
            false
        }
    }
}

/// Closes a connection, on whichever node it is. True if it was here or its node could be told.
pub fn close_anywhere(node: &Node, row: &Row, code: CloseCode) -> bool {
    if row.node_id == *node.cluster.node.id() {
        let here = node.hub.get(&row.connection_id);
        return here.map(|connection| connection.outbox().close(code)).is_some();
    }
    let parcel = Parcel::Close {
        tenant: row.tenant.clone(),
        connection_id: row.connection_id.clone(),
        code: code.as_u16(),
    };
    node.cluster.bus.post(&Destination::Node(row.node_id.clone()), parcel).is_ok()
}

/// A connection's row as of now.
pub fn current_row(node: &Node, connection: &Connection) -> Row {
    let heard_at = connection.traffic.heard_at.load(std::sync::atomic::Ordering::Relaxed);
    let activity_ms = node.started_at_ms + u64::from(heard_at) * 1_000;
    let activity_ms = activity_ms.max(connection.profile().connected_at_ms);
    connection.row(node.cluster.node.id(), node.cluster.node.generation(), activity_ms)
}

/// Whether the gateway tells everybody when the agent's first connection comes and its last one goes.
pub fn is_announced(agent: &Agent) -> bool {
    agent.agent_type() == "service"
}

/// Tells that a service's last connection went with a node that died.
pub async fn announce_departed(node: &Arc<Node>, departed: &[(Tenant, Agent)]) {
    for (tenant, agent) in departed {
        announce::service(node, tenant, agent, false).await;
    }
}
