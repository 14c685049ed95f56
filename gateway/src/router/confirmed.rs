//! Sending for those who want to know what became of it: every node that holds the topic was handed the message, or
//! why not.

use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::{ConnectionId, NodeId};
use signalbox_registry::directory::NodeSet;
use signalbox_registry::{Destination, Error};

use super::{Message, Router, fault};

impl Router {
    /// Sends to one topic and waits until every node that holds it was handed the message.
    pub(super) async fn send_confirmed(&self, message: &Message, place: usize) -> Result<(), Fault> {
        let topic = &message.to[place].0;
        if !self.vocabulary.is_point_kind(topic.kind()) {
            self.deliver_here(message, place);
            let to = Destination::Group(message.tenant.clone(), topic.clone());
            let confirmed = self.cluster.bus.post_confirmed(&to, message.parcel(place)).await;
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
        self.cluster.bus.post_confirmed(&Destination::Node(node.clone()), message.parcel(place)).await
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
}

/// One fault for all topics that a message did not reach: the first one's code, and in the details each topic
/// with its own, so that a sender knows what to send again.
pub(super) fn all_failures(message: &Message, mut failed: Vec<(usize, Fault)>) -> Fault {
    let topic = |place: usize| message.to[place].0.as_str();
    let codes = failed.iter().map(|(place, fault)| (topic(*place).to_owned(), fault.code.as_str().into()));
    let details = serde_json::Value::Object(serde_json::Map::from_iter([(
        "failed".to_owned(),
        serde_json::Value::Object(codes.collect()),
    )]));
    let (_, first) = failed.swap_remove(0);
    if message.to.len() == 1 { first } else { first.with_details(details) }
}
