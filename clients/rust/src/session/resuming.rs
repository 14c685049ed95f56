//! How topics go on: on a new connection, and where messages were skipped.

use std::collections::BTreeSet;

use signalbox_protocol::control::{ResumeRequest, Resumed, TopicsAck, TopicsRequest};
use signalbox_protocol::envelope::Outgoing;
use signalbox_protocol::{Fault, Received, Topic};
use tokio::time::Instant;
use uuid::Uuid;

use super::Session;
use crate::event::{Event, LossReason};
use crate::pending::correlation;
use crate::stats::Count;

impl Session {
    /// Asks for what has to be resumed, if it is time.
    pub(super) fn continue_recovery(&mut self) {
        let id = Uuid::now_v7();
        let Some(topics) = self.recovery.ask(Instant::now(), id) else { return };
        let positions = self.journal.positions(topics);
        self.say("system:resume", id, &ResumeRequest { positions });
    }

    /// Queues a command of the client's own.
    pub(super) fn say(&mut self, command: &str, id: Uuid, data: &impl serde::Serialize) {
        let id = id.to_string();
        let mut message = Outgoing::new(command, data);
        message.id = Some(&id);
        match serde_json::to_string(&message) {
            Ok(text) => self.control.push_back(text),
            Err(error) => tracing::error!(%error, command, "a command of the client's own can't be written"),
        }
    }

    /// `system:resumed`: the answer to what was asked, or the word of a node whose continuity broke.
    pub(super) fn resumed(&mut self, message: &Received, now: Instant) {
        let Ok(Resumed { topics }) = message.data() else {
            return self.shared.counters.count(Count::Errors);
        };
        let asked = correlation(message).and_then(|id| self.recovery.answered(id, now));
        for (topic, told) in &topics {
            if let Some(reason) = self.journal.resumed(topic, told) {
                self.lost(topic.clone(), reason);
            }
        }
        if let Some(asked) = asked {
            for topic in asked.into_iter().filter(|topic| !topics.contains_key(topic)) {
                self.give_up(topic);
            }
            self.open();
            self.continue_recovery();
        }
    }

    /// Whether the refusal was for a resume. One for the moment is asked again; after another the topics are joined
    /// anew, one by one, so that one that is forbidden now does not cost the others.
    pub(super) fn not_resumed(&mut self, id: Uuid, fault: &Fault, now: Instant) -> bool {
        let Some(topics) = self.recovery.answered(id, now) else { return false };
        tracing::debug!(%fault, "topics are not resumed");
        if fault.code.retryable() {
            self.recovery.again(topics);
            return true;
        }
        self.rejoin(topics);
        self.open();
        self.continue_recovery();
        true
    }

    fn rejoin(&mut self, topics: BTreeSet<Topic>) {
        for topic in topics {
            let is_own = self.journal.is_own(&topic);
            self.give_up(topic.clone());
            if !is_own {
                let id = Uuid::now_v7();
                self.say("system:subscribe", id, &TopicsRequest { topics: vec![topic.clone()] });
                self.rejoining.ask(id, topic);
            }
        }
    }

    /// Nobody can say what was missed of `topic`.
    fn give_up(&mut self, topic: Topic) {
        self.journal.set_adrift(&topic);
        self.lost(topic, LossReason::NotResumed);
    }

    /// Whether the acknowledgement was for a topic that is joined anew.
    pub(super) fn rejoined(&mut self, id: Uuid, message: &Received) -> bool {
        let asked = self.rejoining.answered(id).is_some();
        if asked && let Ok(ack) = message.data::<TopicsAck>() {
            self.journal.joined(&ack.topics);
        }
        asked
    }

    /// Whether the refusal was for a topic that is joined anew.
    pub(super) fn not_rejoined(&mut self, id: Uuid, fault: &Fault) -> bool {
        let Some(topic) = self.rejoining.answered(id) else { return false };
        if fault.code.retryable() {
            self.recovery.want(&topic);
            self.continue_recovery();
        } else {
            self.journal.left([&topic]);
            self.shared.tell(Event::NotRejoined { topic, fault: fault.clone() });
        }
        true
    }

    /// Whatever the node said in the meantime is still to be read.
    pub(crate) fn listens_again(&mut self, now: Instant) {
        self.recovery.postpone(now);
    }

    /// When the answer to a resume is overdue: then the connection is of no use.
    pub(crate) fn resumed_by(&self) -> Option<Instant> {
        self.recovery.answer_by()
    }
}
