//! What comes from the node: to whom it goes, and what it changes.

use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::control::{Draining, TopicsAck};
use signalbox_protocol::{Fault, Received, Topic};
use tokio::time::Instant;

use super::Session;
use crate::deliveries::Refused;
use crate::event::{Event, LossReason, Lost};
use crate::journal::Verdict;
use crate::pending::{ACK, Change, ERROR, NoAnswer, correlation};
use crate::stats::Count;
use crate::subscription::Item;

/// Nobody is believed who names a later time.
const DRAINING_MAX: Duration = Duration::from_secs(5 * 60);

impl Session {
    /// A text frame came.
    pub(crate) fn receive(&mut self, text: &str, now: Instant) {
        let message: Received = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(%error, "a frame that is no message");
                return self.shared.counters.count(Count::Errors);
            }
        };
        self.shared.counters.count(Count::Received);
        if message.message_type == ERROR {
            self.shared.counters.count(Count::Errors);
        }
        self.sort(message, now);
        self.hand_over();
    }

    fn sort(&mut self, message: Received, now: Instant) {
        match message.message_type.as_str() {
            "system:resumed" => return self.resumed(&message, now),
            "system:token_expiring" => return self.token_expiring(&message),
            "system:refreshed" => return self.refreshed(&message),
            "system:draining" => return self.draining(&message, now),
            ACK | ERROR if self.answers_for_client(&message, now) => return,
            _ => {}
        }
        if !self.is_news(&message) {
            return;
        }
        self.change_topics(&message);
        let place = message.topic.clone().zip(message.offset);
        match self.pending.answer(message) {
            Some(message) => self.dispatch(message, place),
            None => {
                if let Some((topic, offset)) = place {
                    self.journal.advance(&topic, offset);
                }
            }
        }
    }

    fn dispatch(&mut self, message: Received, place: Option<(Topic, u64)>) {
        let readers = self.shared.listeners.of(&message.message_type);
        self.handover.push(Item::Message(Arc::new(message)), readers, place);
    }

    /// Whether it is neither a repetition nor too early.
    fn is_news(&mut self, message: &Received) -> bool {
        let counters = &self.shared.counters;
        if let (Some(topic), Some(offset)) = (&message.topic, message.offset) {
            match self.journal.judge(topic, offset) {
                Verdict::Next | Verdict::Untracked => {}
                Verdict::Known => {
                    counters.count(Count::Duplicates);
                    return false;
                }
                Verdict::Gap => {
                    counters.count(Count::Gaps);
                    if self.recovery.want(topic) {
                        tracing::debug!(%topic, offset, "messages before this one are missing");
                    }
                    self.continue_recovery();
                    return false;
                }
            }
            if self.seen.came_already(message) {
                counters.count(Count::Duplicates);
                self.journal.advance(topic, offset);
                return false;
            }
        } else if self.seen.came_already(message) {
            counters.count(Count::Duplicates);
            return false;
        }
        true
    }

    /// Whether the acknowledgement or refusal was for something that this client itself keeps track of.
    fn answers_for_client(&mut self, message: &Received, now: Instant) -> bool {
        let Some(key) = message.correlation_id.as_deref() else { return false };
        let id = correlation(message);
        if message.message_type == ACK {
            if let Some(delivery) = self.deliveries.acknowledged(key) {
                self.retry.reset();
                self.delivered(delivery, message);
                return true;
            }
            return id.is_some_and(|id| self.rejoined(id, message));
        }
        let Ok(fault) = message.data::<Fault>() else { return false };
        id.is_some_and(|id| {
            self.not_resumed(id, &fault, now)
                || self.not_rejoined(id, &fault)
                || self.not_refreshed(id, &fault)
        }) || self.delivery_refused(key, &fault, now)
    }

    fn delivery_refused(&mut self, key: &str, fault: &Fault, now: Instant) -> bool {
        match self.deliveries.refused(key, fault) {
            Some(Refused::Again) => {
                self.deliveries.hold_until(now + self.retry.next(&mut self.rng));
                true
            }
            Some(Refused::Over(delivery)) => {
                let refusal = if delivery.may_be_stored() {
                    NoAnswer::RefusedAgain(fault.clone())
                } else {
                    NoAnswer::Refused(fault.clone())
                };
                // Who asked another client with it waits elsewhere, and is told by the same message.
                self.undelivered(delivery, refusal)
            }
            None => false,
        }
    }

    /// Takes over what an acknowledged change of topics says, before its asker and before the first message.
    fn change_topics(&mut self, message: &Received) {
        let Some(change) = self.pending.change_of(message) else { return };
        let Ok(ack) = message.data::<TopicsAck>() else { return };
        match change {
            Change::Join => self.journal.joined(&ack.topics),
            Change::Leave => {
                self.journal.left(ack.topics.keys());
                self.recovery.left(ack.topics.keys());
            }
        }
    }

    fn draining(&mut self, message: &Received, now: Instant) {
        let Ok(Draining { reconnect_in_ms, reason }) = message.data() else {
            return self.shared.counters.count(Count::Errors);
        };
        let reconnect_in = Duration::from_millis(reconnect_in_ms).min(DRAINING_MAX);
        self.leave_at = Some(now + reconnect_in);
        self.shared.tell(Event::Draining { reconnect_in, reason });
    }

    /// Messages of `topic` may be missing: everybody is told, in its place among the messages.
    pub(super) fn lost(&mut self, topic: Topic, reason: LossReason) {
        self.shared.counters.count(Count::Losses);
        let lost = Lost { topic, reason };
        self.shared.tell(Event::Lost(lost.clone()));
        self.handover.push(Item::Lost(Arc::new(lost)), self.shared.listeners.all(), None);
    }
}
