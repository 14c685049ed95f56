//! What goes to the node: in which order, and what becomes of what does not go.

use std::collections::VecDeque;

use signalbox_protocol::Received;
use tokio::time::Instant;

use super::Session;
use crate::closed::Closed;
use crate::deliveries::{Delivery, Sender};
use crate::error::RequestError;
use crate::event::Event;
use crate::outbox::{Command, Plain};
use crate::pending::NoAnswer;
use crate::stats::Count;

/// The queue keeps this much capacity when it is empty.
const IDLE_CAPACITY: usize = 16;

impl Session {
    /// Takes what handles have queued.
    pub(super) fn take_commands(&mut self) {
        // Asked first: nothing can come behind it.
        self.finishing |= self.shared.outbox.is_finishing();
        while let Some(command) = self.shared.outbox.take() {
            match command {
                Command::Plain(plain) => self.plain.push_back(plain),
                Command::Durable(delivery, question) => {
                    if let Some(question) = question {
                        self.pending.ask(question, &delivery.text);
                    }
                    self.deliveries.push(delivery);
                }
            }
        }
    }

    /// Drops what nobody waits for any more.
    pub(super) fn drop_what_is_over(&mut self) {
        for delivery in self.deliveries.take_over(Instant::now()) {
            self.over(delivery);
        }
        if self.shared.outbox.take_abandoned() {
            let outbox = &self.shared.outbox;
            self.plain.retain(|plain| {
                let abandoned = plain.question.as_ref().is_some_and(|question| question.fate.is_abandoned());
                if abandoned {
                    outbox.release(plain.price);
                }
                !abandoned
            });
        }
    }

    /// Drops what was queued while nobody had said how long a message may be.
    pub(super) fn refuse_too_large(&mut self) {
        let bytes_max = self.shared.message_bytes_max();
        for delivery in self.deliveries.take_longer(bytes_max) {
            let bytes = delivery.text.len();
            self.undelivered(delivery, NoAnswer::TooLarge { bytes, bytes_max });
        }
        let (kept, refused): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.plain).into_iter().partition(|plain| plain.text.len() <= bytes_max);
        self.plain = kept;
        for Plain { text, question, price } in refused {
            self.shared.outbox.release(price);
            self.shared.counters.count(Count::Refused);
            let why = NoAnswer::TooLarge { bytes: text.len(), bytes_max };
            if let Some(question) = question {
                // Who has stopped waiting meanwhile was told that it was not sent.
                let _ = question.asker.send(Err(why));
            }
        }
    }

    /// The next text to write.
    pub(crate) fn next_text(&mut self, now: Instant) -> Option<String> {
        self.continue_recovery();
        if let Some(text) = self.control.pop_front() {
            return Some(text);
        }
        if !self.is_open {
            return None;
        }
        if let Some(delivery) = self.deliveries.write(now) {
            if delivery.is_repeated() {
                self.shared.counters.count(Count::Resent);
            }
            return Some(delivery.text.clone());
        }
        self.next_plain()
    }

    fn next_plain(&mut self) -> Option<String> {
        loop {
            let Plain { text, question, price } = self.plain.pop_front()?;
            if self.plain.is_empty() {
                self.plain.shrink_to(IDLE_CAPACITY);
            }
            self.shared.outbox.release(price);
            let Some(question) = question else { return Some(text) };
            if question.fate.write() {
                self.pending.ask(question, &text);
                return Some(text);
            }
        }
    }

    /// When there will be something to write even if nothing happens.
    pub(crate) fn write_at(&self) -> Option<Instant> {
        let retry_at = self.deliveries.retry_at().filter(|_| self.is_open);
        retry_at.into_iter().chain(self.recovery.ask_at()).min()
    }

    pub(super) fn delivered(&mut self, delivery: Delivery, ack: &Received) {
        self.shared.outbox.release(delivery.price);
        if let Sender::Waits { asker, .. } = delivery.sender {
            // Who has stopped waiting meanwhile was told that it is unknown.
            let _ = asker.send(Ok(ack.clone()));
        }
    }

    /// Tells the sender of `delivery` why it is not known to be stored. Returns `false` if the sender waits for
    /// something else, and is told there.
    pub(super) fn undelivered(&mut self, delivery: Delivery, why: NoAnswer) -> bool {
        self.shared.outbox.release(delivery.price);
        self.shared.counters.count(Count::Undelivered);
        let written = delivery.may_be_stored();
        match delivery.sender {
            Sender::Asks { .. } => return false,
            Sender::Waits { asker, .. } => drop(asker.send(Err(why))),
            Sender::Gone { .. } => self.shared.tell(Event::Undelivered {
                id: delivery.id.to_string(),
                message_type: delivery.message_type,
                error: RequestError::of(why, written),
            }),
        }
        true
    }

    /// The time of `delivery` is over, or its sender stopped waiting and knows.
    fn over(&mut self, delivery: Delivery) {
        let Sender::Gone { .. } = delivery.sender else {
            self.shared.outbox.release(delivery.price);
            return self.shared.counters.count(Count::Undelivered);
        };
        self.undelivered(delivery, NoAnswer::TooLate(self.delivery_timeout));
    }

    /// There will be no more connection.
    pub(crate) fn end(&mut self, closed: &Closed) {
        self.take_commands();
        for delivery in self.deliveries.take_all().collect::<Vec<_>>() {
            self.undelivered(delivery, NoAnswer::Lost(closed.clone()));
        }
    }
}
