//! What the connection's task does when its client has joined or resumed topics.

use std::collections::BTreeMap;

use signalbox_protocol::Topic;
use signalbox_protocol::control::{Position, Positions, Resumed, TopicResumed, TopicsAck};

use super::Socket;
use crate::ws::answer;
use crate::ws::catch_up::CatchUp;

impl<S> Socket<S> {
    /// The acknowledgement first: no message of a topic comes before it, and the first one has the next offset.
    pub(super) fn on_joined(&mut self, asked: &[Topic], correlation_id: Option<&str>) {
        let (tails, connection) = (&self.node.tails, &self.connection);
        let catch_up = self.catch_up.get_or_insert_with(|| Box::new(CatchUp::new()));
        let mut positions = Positions::new();
        for topic in asked {
            let position = catch_up.position_of(topic).unwrap_or_else(|| {
                let place = tails.hold(connection, topic).unwrap_or_else(answer::without_log);
                catch_up.go_on(topic, place.clone());
                place
            });
            positions.insert(topic.clone(), position);
        }
        answer::push(
            connection,
            &self.node.metrics,
            answer::reply("system:ack", correlation_id, &TopicsAck { topics: positions }),
        );
        asked.iter().for_each(|topic| tails.admit(connection, topic));
    }

    pub(super) fn on_resumed(&mut self, told: BTreeMap<Topic, TopicResumed>, correlation_id: Option<&str>) {
        let (tails, connection) = (&self.node.tails, &self.connection);
        let catch_up = self.catch_up.get_or_insert_with(|| Box::new(CatchUp::new()));
        catch_up.wait_no_longer();
        for (topic, told) in &told {
            tails.hold(connection, topic);
            catch_up.go_on(topic, Position { epoch: told.epoch.clone(), offset: told.offset });
        }
        let resumed = Resumed { topics: told };
        let frame = answer::reply("system:resumed", correlation_id, &resumed);
        answer::push(connection, &self.node.metrics, frame);
        resumed.topics.keys().for_each(|topic| tails.admit(connection, topic));
    }
}
