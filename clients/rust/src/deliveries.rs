//! Durable messages on their way: each keeps its `id` and is written again until it is acknowledged. Pure.
//!
//! They are kept in the order in which they were sent, and written in it; so many at most wait for their
//! acknowledgement at once. What must stay true: a message leaves only with an outcome that its sender is told.

use std::collections::VecDeque;
use std::sync::Arc;

use signalbox_protocol::{ErrorCode, Fault};
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use crate::fate::Fate;
use crate::pending::Answer;

/// A durable message that is not acknowledged yet.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) id: Uuid,
    /// That of the acknowledgement: the message's own `correlationId`, or else its `id`.
    correlation: Box<str>,
    pub(crate) message_type: Box<str>,
    pub(crate) text: String,
    /// The room that it takes in the outbox.
    pub(crate) price: u32,
    pub(crate) sender: Sender,
    /// It is written and not answered.
    in_flight: bool,
    /// It was written, and nobody knows what became of that.
    doubtful: bool,
    attempts: u32,
}

/// Who wants to know.
#[derive(Debug)]
pub(crate) enum Sender {
    /// Somebody waits for the acknowledgement.
    Waits { fate: Arc<Fate>, asker: oneshot::Sender<Answer> },
    /// Somebody waits for another client's answer to it.
    Asks { fate: Arc<Fate> },
    /// Nobody: the client itself gives up at this time.
    Gone { give_up_at: Instant },
}

/// What a refusal means.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It will be written again.
    Again,
    /// It is over.
    Over(Delivery),
}

impl Delivery {
    pub(crate) fn new(id: Uuid, message_type: Box<str>, text: String, sender: Sender) -> Self {
        let correlation = id.to_string().into();
        Self {
            id,
            correlation,
            message_type,
            text,
            price: 0,
            sender,
            in_flight: false,
            doubtful: false,
            attempts: 0,
        }
    }

    /// The same for a message that answers another client, and so has the `correlationId` that this one chose.
    pub(crate) fn answering(self, correlation: &str) -> Self {
        Self { correlation: correlation.into(), ..self }
    }

    fn fate(&self) -> Option<&Fate> {
        match &self.sender {
            Sender::Waits { fate, .. } | Sender::Asks { fate } => Some(fate),
            Sender::Gone { .. } => None,
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        match &self.sender {
            Sender::Waits { fate, .. } | Sender::Asks { fate } => fate.is_abandoned(),
            Sender::Gone { give_up_at } => *give_up_at <= now,
        }
    }

    /// Whether it was written before.
    pub(crate) fn is_repeated(&self) -> bool {
        self.attempts > 1
    }

    /// Whether it may have been stored.
    pub(crate) fn may_be_stored(&self) -> bool {
        self.doubtful || self.in_flight
    }
}

/// All durable messages on their way.
#[derive(Debug)]
pub(crate) struct Deliveries {
    queue: VecDeque<Delivery>,
    in_flight: usize,
    in_flight_max: usize,
    not_before: Option<Instant>,
}

impl Deliveries {
    /// With 1 in flight the order holds whatever happens. With more, a message that is refused for the moment
    /// may be overtaken by those that were written right behind it.
    pub(crate) fn new(in_flight_max: usize) -> Self {
        Self { queue: VecDeque::new(), in_flight: 0, in_flight_max: in_flight_max.max(1), not_before: None }
    }

    pub(crate) fn push(&mut self, delivery: Delivery) {
        self.queue.push_back(delivery);
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next one to write, which is in flight from now on.
    pub(crate) fn write(&mut self, now: Instant) -> Option<&Delivery> {
        self.not_before.take_if(|at| *at <= now);
        if self.in_flight >= self.in_flight_max || self.not_before.is_some() {
            return None;
        }
        let ready = |delivery: &mut Delivery| {
            !delivery.in_flight && !delivery.is_over(now) && delivery.fate().is_none_or(Fate::write)
        };
        let next = self.queue.iter_mut().find_map(|delivery| ready(delivery).then_some(delivery))?;
        next.in_flight = true;
        next.attempts = next.attempts.saturating_add(1);
        self.in_flight += 1;
        Some(next)
    }

    /// The node has acknowledged one.
    pub(crate) fn acknowledged(&mut self, correlation: &str) -> Option<Delivery> {
        let at = self.find(correlation)?;
        self.in_flight -= 1;
        self.queue.remove(at)
    }

    /// The node refused one. If it may take it later, it is written again, before all that were sent after it.
    pub(crate) fn refused(&mut self, correlation: &str, fault: &Fault) -> Option<Refused> {
        let at = self.find(correlation)?;
        self.in_flight -= 1;
        let delivery = &mut self.queue[at];
        delivery.in_flight = false;
        delivery.doubtful |= matches!(fault.code, ErrorCode::OutcomeUnknown | ErrorCode::Timeout);
        if !fault.code.retryable() {
            return self.queue.remove(at).map(Refused::Over);
        }
        if !delivery.doubtful
            && let Some(fate) = delivery.fate()
        {
            fate.unwrite();
        }
        Some(Refused::Again)
    }

    /// Nothing is written before that time.
    pub(crate) fn hold_until(&mut self, at: Instant) {
        self.not_before = Some(at);
    }

    /// The connection ended: what was in flight is written again on the next one.
    pub(crate) fn disconnected(&mut self) {
        for delivery in self.queue.iter_mut().filter(|delivery| delivery.in_flight) {
            delivery.in_flight = false;
            delivery.doubtful = true;
        }
        self.in_flight = 0;
        self.not_before = None;
    }

    /// Takes out those whose time is over, and those that nobody wants any more.
    pub(crate) fn take_over(&mut self, now: Instant) -> Vec<Delivery> {
        self.take_if(|delivery| delivery.is_over(now))
    }

    /// Takes out those that are longer than a node takes.
    pub(crate) fn take_longer(&mut self, bytes_max: usize) -> Vec<Delivery> {
        self.take_if(|delivery| delivery.text.len() > bytes_max)
    }

    fn take_if(&mut self, taken: impl Fn(&Delivery) -> bool) -> Vec<Delivery> {
        let mut out = Vec::new();
        if self.queue.iter().any(&taken) {
            let (kept, gone): (VecDeque<_>, VecDeque<_>) =
                std::mem::take(&mut self.queue).into_iter().partition(|delivery| !taken(delivery));
            (out, self.queue) = (gone.into(), kept);
            self.in_flight = self.queue.iter().filter(|delivery| delivery.in_flight).count();
        }
        out
    }

    /// Takes out all: there will be no more connection.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Delivery> {
        self.in_flight = 0;
        std::mem::take(&mut self.queue).into_iter()
    }

    /// When to write again.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.in_flight < self.queue.len())
    }

    /// When to give up one that nobody waits for. All of them have the same time, so the first is the first to end.
    pub(crate) fn give_up_at(&self) -> Option<Instant> {
        self.queue.iter().find_map(|delivery| match delivery.sender {
            Sender::Gone { give_up_at } => Some(give_up_at),
            Sender::Waits { .. } | Sender::Asks { .. } => None,
        })
    }

    /// The oldest that is in flight: a node answers in order.
    fn find(&self, correlation: &str) -> Option<usize> {
        self.queue.iter().position(|delivery| delivery.in_flight && *delivery.correlation == *correlation)
    }
}

#[cfg(test)]
mod tests;
