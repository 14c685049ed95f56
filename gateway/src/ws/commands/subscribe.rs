//! `system:subscribe` and `system:unsubscribe`: all topics or none.

use std::sync::Arc;

use futures_util::future::join_all;
use signalbox_protocol::Topic;
use signalbox_protocol::control::{Positions, TopicsAck, TopicsRequest, parse_data};
use signalbox_protocol::envelope::Incoming;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_registry::Row;

use super::is_own;
use crate::hub::{Connection, Hold};
use crate::limits::Limit;
use crate::node::Node;
use crate::roster::current_row;
use crate::router::fault;
use crate::ws::answer;
use crate::ws::asker::Asker;
use crate::ws::dispatch::{Outcome, Step};
use crate::ws::prepare::is_known;

pub(super) fn subscribe(node: &Arc<Node>, asker: Asker<'_>, incoming: &Incoming<'_>) -> Result<Step, Fault> {
    let request: TopicsRequest = parse_data(incoming.data)?;
    let Fresh { connection, asked, topics: fresh } = fresh_topics(node, asker, request.topics)?;
    let correlation = incoming.answer_to().map(str::to_owned);
    let (node, connection) = (Arc::clone(node), Arc::clone(connection));
    Ok(Step::Wait(Box::pin(async move {
        if let Err(fault) = follow(&node, &connection, &fresh).await {
            return Outcome::Failed(fault, correlation);
        }
        match node.tails.begin(&connection.profile().tenant, &asked).await {
            Ok(()) => Outcome::Joined { topics: asked, correlation },
            Err(error) => {
                part(&node, &connection, &fresh).await;
                Outcome::Failed(fault(&error, connection.profile().agent.topic()), correlation)
            }
        }
    })))
}

/// Topics that may be followed, and who follows them.
pub(super) struct Fresh<'a> {
    pub(super) connection: &'a Arc<Connection>,
    asked: Vec<Topic>,
    pub(super) topics: Vec<Topic>,
}

/// Checks every topic, and picks those that the connection does not follow yet.
pub(super) fn fresh_topics<'a>(
    node: &Node,
    asker: Asker<'a>,
    mut asked: Vec<Topic>,
) -> Result<Fresh<'a>, Fault> {
    let connection = asker.may_follow(&asked)?;
    asked.sort_unstable();
    asked.dedup();
    for topic in &asked {
        is_known(node, topic)?;
        if node.vocabulary.is_point_kind(topic.kind()) && !is_own(connection, topic) {
            let text = format!("{topic} is another client's: only group topics can be joined");
            return Err(Fault::new(ErrorCode::Forbidden, text));
        }
    }
    let topics: Vec<Topic> = asked
        .iter()
        .filter(|topic| !is_own(connection, topic) && !connection.follows(topic))
        .cloned()
        .collect();
    if connection.joined_len() + topics.len() > node.settings.subscriptions_max {
        node.metrics.count_limit(Limit::Subscriptions);
        let text = format!("a connection joins at most {} topics", node.settings.subscriptions_max);
        return Err(Fault::new(ErrorCode::TooLarge, text));
    }
    Ok(Fresh { connection, asked, topics })
}

/// Follows all topics on the bus and in the hub, or none. The connection gets nothing of them yet.
pub(super) async fn follow(node: &Node, connection: &Arc<Connection>, topics: &[Topic]) -> Result<(), Fault> {
    let tenant = &connection.profile().tenant;
    let results = join_all(topics.iter().map(|topic| node.cluster.bus.subscribe(tenant, topic))).await;
    let mut failure =
        results.iter().zip(topics).find_map(|(result, topic)| Some(fault(result.as_ref().err()?, topic)));
    if failure.is_none() && topics.iter().any(|topic| topic.kind() == "namespace") {
        let before = connection.namespaces();
        let added =
            topics.iter().filter(|topic| topic.kind() == "namespace").map(|topic| topic.id().to_owned());
        let after = before.iter().cloned().chain(added).collect();
        failure = store_namespaces(node, connection, before, after).await.err();
    }
    let Some(failure) = failure else {
        for topic in topics {
            node.hub.join(connection, topic, Some(Hold::Joining));
        }
        return Ok(());
    };
    let joined = results.iter().zip(topics).filter(|(result, _)| result.is_ok());
    joined.for_each(|(_, topic)| node.cluster.bus.unsubscribe(tenant, topic));
    Err(failure)
}

/// Takes [`follow`] back.
pub(super) async fn part(node: &Node, connection: &Arc<Connection>, topics: &[Topic]) {
    let before = connection.namespaces();
    for topic in topics {
        if node.hub.part(connection, topic) {
            node.cluster.bus.unsubscribe(&connection.profile().tenant, topic);
        }
    }
    let after = connection.namespaces();
    if before != after
        && let Err(fault) = store_namespaces(node, connection, before, after).await
    {
        // The topics are left all the same; the index keeps the row until the connection ends.
        tracing::debug!(%fault, "namespace index not updated");
    }
}

/// Tells the directory which namespaces the connection is in, for presence.
async fn store_namespaces(
    node: &Node,
    connection: &Connection,
    before: Vec<String>,
    mut after: Vec<String>,
) -> Result<(), Fault> {
    after.sort_unstable();
    let row = Row { namespaces: before, ..current_row(node, connection) };
    let stored = node.cluster.directory.set_namespaces(&row, &after).await;
    stored.map_err(|error| fault(&error, connection.profile().agent.topic()))
}

/// Leaves what the connection joined. Own topics stay: refused. Topics that it does not follow are left already.
pub(super) fn unsubscribe(
    node: &Arc<Node>,
    asker: Asker<'_>,
    incoming: &Incoming<'_>,
) -> Result<Step, Fault> {
    let request: TopicsRequest = parse_data(incoming.data)?;
    let connection = asker.itself();
    if let Some(own) = request.topics.iter().find(|topic| is_own(connection, topic)) {
        return Err(Fault::new(
            ErrorCode::Forbidden,
            format!("{own} is the connection's own: it can't be left"),
        ));
    }
    let positions = place_of(node, connection, &request.topics);
    let ack = answer::reply("system:ack", incoming.answer_to(), &TopicsAck { topics: positions });
    let (node, connection, topics) = (Arc::clone(node), Arc::clone(connection), request.topics);
    Ok(Step::Wait(Box::pin(async move {
        part(&node, &connection, &topics).await;
        Outcome::Left { topics, ack }
    })))
}

/// Where the node stands in topics that are left: nothing more comes of them.
fn place_of(node: &Node, connection: &Connection, topics: &[Topic]) -> Positions {
    let place = |topic: &Topic| node.tails.hold(connection, topic).unwrap_or_else(answer::without_log);
    topics.iter().map(|topic| (topic.clone(), place(topic))).collect()
}
