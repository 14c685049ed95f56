//! What is counted of messages on sockets: by direction, and by what kind of message it is.

use prometheus::{IntCounter, IntCounterVec, Registry};
use signalbox_protocol::catalogue::{Entry, Kind};

use super::make::labelled;

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// An event that is delivered to whoever is there.
    Ephemeral,
    /// An event that is stored first.
    Durable,
    /// From a client: what asks the node for something. To a client: an answer, or what the node says by itself.
    Control,
    /// Could not be read, or was one too many. Nothing that is sent is.
    Refused,
}

impl Class {
    /// All of them, each at the place of its number.
    pub const ALL: [Self; 4] = [Self::Ephemeral, Self::Durable, Self::Control, Self::Refused];

    /// Its name as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ephemeral => "ephemeral",
            Self::Durable => "durable",
            Self::Control => "control",
            Self::Refused => "refused",
        }
    }

    /// Of a message of this entry of the catalogue.
    pub fn of(entry: &Entry) -> Self {
        match entry.kind {
            Kind::Command => Self::Control,
            Kind::Event { .. } | Kind::Reply if entry.is_durable() => Self::Durable,
            Kind::Event { .. } | Kind::Reply => Self::Ephemeral,
        }
    }
}

/// Messages of each class, and their bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Volumes([(usize, usize); Class::ALL.len()]);

impl Volumes {
    /// Adds one message.
    pub fn add(&mut self, class: Class, bytes: usize) {
        let (messages, sum) = &mut self.0[class as usize];
        *messages += 1;
        *sum += bytes;
    }

    /// Adds all of `other`.
    pub fn add_all(&mut self, other: &Self) {
        for (sum, one) in self.0.iter_mut().zip(other.0) {
            *sum = (sum.0 + one.0, sum.1 + one.1);
        }
    }

    /// All messages.
    pub fn messages(&self) -> usize {
        self.0.iter().map(|(messages, _)| messages).sum()
    }
}

/// One direction: messages, and the bytes of their frames or texts.
#[derive(Debug, Clone)]
pub struct Direction(Vec<(IntCounter, IntCounter)>);

impl Direction {
    pub(super) fn received(r: &Registry) -> Self {
        Self::of(
            &Class::ALL,
            &labelled(
                r,
                "signalbox_messages_received_total",
                "Messages read from sockets, by class.",
                "class",
            ),
            &labelled(
                r,
                "signalbox_messages_received_bytes_total",
                "Bytes of the texts of messages read from sockets, by class.",
                "class",
            ),
        )
    }

    pub(super) fn sent(r: &Registry) -> Self {
        Self::of(
            &Class::ALL[..3],
            &labelled(r, "signalbox_messages_sent_total", "Messages written to sockets, by class.", "class"),
            &labelled(
                r,
                "signalbox_messages_sent_bytes_total",
                "Bytes of the frames of messages written to sockets, by class.",
                "class",
            ),
        )
    }

    fn of(classes: &[Class], messages: &IntCounterVec, bytes: &IntCounterVec) -> Self {
        let counters = classes.iter().map(|class| {
            let labels = [class.as_str()];
            (messages.with_label_values(&labels), bytes.with_label_values(&labels))
        });
        Self(counters.collect())
    }

    /// Counts one message.
    pub fn count_one(&self, class: Class, bytes: usize) {
        let mut one = Volumes::default();
        one.add(class, bytes);
        self.count(&one);
    }

    /// Counts messages.
    pub fn count(&self, volumes: &Volumes) {
        for ((messages, bytes), (count, sum)) in self.0.iter().zip(volumes.0) {
            if count > 0 {
                messages.inc_by(count as u64);
                bytes.inc_by(sum as u64);
            }
        }
    }

    /// All messages so far.
    pub fn messages(&self) -> u64 {
        self.0.iter().map(|(messages, _)| messages.get()).sum()
    }
}
