//! What was received and is being handed to the application.
//!
//! Usually that is over at once. When a reader has no room for a durable message, this waits for it, and until then
//! nothing more is read from the socket. It survives the connection: what was received is handed over in any case.
//! It holds at most what one frame brought.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;

use signalbox_protocol::Topic;

use crate::subscription::{Inbox, Item, Offer};

#[derive(Debug, Default)]
pub(crate) struct Handover {
    steps: VecDeque<Step>,
}

#[derive(Debug)]
struct Step {
    item: Item,
    readers: Vec<Arc<Inbox>>,
    place: Option<(Topic, u64)>,
}

/// What [`Handover::proceed`] has done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Handed {
    /// The places of the durable messages that all their readers have.
    pub(crate) places: Vec<(Topic, u64)>,
    /// Ephemeral messages that were dropped.
    pub(crate) dropped: u64,
}

impl Handover {
    /// Hands `item` to `readers`, behind what is waiting already; `place` is its own, if it is a durable message.
    pub(crate) fn push(&mut self, item: Item, readers: Vec<Arc<Inbox>>, place: Option<(Topic, u64)>) {
        self.steps.push_back(Step { item, readers, place });
    }

    /// Whether everything is handed over.
    pub(crate) fn is_done(&self) -> bool {
        self.steps.is_empty()
    }

    /// Hands over as much as there is room for.
    pub(crate) fn proceed(&mut self) -> Handed {
        let mut handed = Handed::default();
        while let Some(step) = self.steps.front_mut() {
            step.readers.retain(|reader| match reader.offer(&step.item) {
                Offer::Taken { dropped } => {
                    handed.dropped += dropped;
                    false
                }
                Offer::Full => true,
            });
            if !step.readers.is_empty() {
                break;
            }
            let step = self.steps.pop_front();
            handed.places.extend(step.and_then(|step| step.place));
        }
        handed
    }

    /// Waits until it may be worth proceeding; for ever if everything is handed over.
    ///
    /// # Cancel safety
    /// Nothing is handed over here.
    pub(crate) async fn room(&self) {
        match self.steps.front().and_then(|step| step.readers.first()) {
            Some(reader) => reader.room().await,
            None => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listeners::Listeners;
    use signalbox_protocol::Received;

    fn durable(offset: u64) -> (Item, Option<(Topic, u64)>) {
        let text = format!(
            r#"{{"id":"1","type":"a:b","timestamp":"","source":"s:s","data":{offset},"metadata":{{}},
                 "topic":"route:1","offset":{offset}}}"#
        );
        let message: Received = serde_json::from_str(&text).expect("it is a message");
        let place = message.topic.clone().zip(message.offset);
        (Item::Message(Arc::new(message)), place)
    }

    #[tokio::test]
    async fn a_place_is_told_when_the_last_reader_has_the_message() {
        let listeners = Listeners::new(1, 1_000);
        let (mut slow, mut quick) = (listeners.on("a:b"), listeners.on("a:b"));
        let mut handover = Handover::default();
        for offset in 1..=3 {
            let (item, place) = durable(offset);
            handover.push(item, listeners.of("a:b"), place);
        }
        let mut places = Vec::new();
        let mut proceed = |handover: &mut Handover| {
            places.extend(handover.proceed().places.into_iter().map(|(_, offset)| offset));
            places.clone()
        };
        assert_eq!(proceed(&mut handover), [1]);
        quick.recv().await.unwrap();
        assert_eq!(proceed(&mut handover), [1], "the slow one has no room for the second");
        let ((), first) = tokio::join!(handover.room(), slow.recv());
        assert_eq!(first.unwrap().offset, Some(1));
        assert_eq!(proceed(&mut handover), [1, 2]);
        assert_eq!(quick.recv().await.unwrap().offset, Some(2), "once");
        assert!(quick.try_recv().is_none());
        assert!(!handover.is_done());
        drop(slow);
        handover.room().await;
        assert_eq!(proceed(&mut handover), [1, 2, 3], "nobody waits for one that has gone");
        assert!(handover.is_done());
    }

    #[test]
    fn a_message_for_nobody_is_handed_over() {
        let mut handover = Handover::default();
        let (item, place) = durable(1);
        handover.push(item, Vec::new(), place);
        assert_eq!(handover.proceed().places.len(), 1);
    }
}
