//! Which messages came already, by who sent them and their `id`.
//!
//! Positions tell what a topic repeats. This window tells what comes through several topics, and what a sender
//! that got no answer stored twice. Only messages that can come twice are remembered: durable ones and those
//! with several targets.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use signalbox_protocol::Received;

/// The newest messages that can come twice.
#[derive(Debug)]
pub(crate) struct Duplicates {
    known: HashSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
    messages_max: usize,
}

impl Duplicates {
    /// Remembers so many; none if it is 0.
    pub(crate) fn new(messages_max: usize) -> Self {
        Self { known: HashSet::new(), order: VecDeque::new(), messages_max }
    }

    /// Whether `message` came already. If not, it is remembered, and the oldest forgotten.
    pub(crate) fn came_already(&mut self, message: &Received) -> bool {
        let can_come_twice = message.offset.is_some() || message.target.topics().len() > 1;
        if !can_come_twice || self.messages_max == 0 {
            return false;
        }
        // A source holds no space, so no other pair reads the same.
        let key: Arc<str> = format!("{} {}", message.source, message.id).into();
        if !self.known.insert(Arc::clone(&key)) {
            return true;
        }
        self.order.push_back(key);
        if self.order.len() > self.messages_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn message(source: &str, id: &str, targets: usize, offset: Option<u64>) -> Received {
        let target: Vec<_> = (0..targets).map(|number| format!("route:{number}")).collect();
        let message = json!({"id": id, "type": "a:b", "timestamp": "", "source": source, "data": {},
            "target": target, "metadata": {}, "offset": offset});
        serde_json::from_value(message).expect("it is a message")
    }

    #[test]
    fn the_second_of_a_sender_and_id_came_already() {
        let mut seen = Duplicates::new(10);
        assert!(!seen.came_already(&message("driver:1", "x", 2, None)));
        assert!(seen.came_already(&message("driver:1", "x", 2, None)));
        assert!(seen.came_already(&message("driver:1", "x", 1, Some(3))));
        assert!(
            !seen.came_already(&message("driver:2", "x", 2, None)),
            "another sender may choose the same id"
        );
        assert!(!seen.came_already(&message("driver:1", "y", 2, None)));
    }

    #[test]
    fn what_can_come_only_once_takes_no_room() {
        let mut seen = Duplicates::new(10);
        for _ in 0..3 {
            assert!(!seen.came_already(&message("driver:1", "x", 1, None)));
        }
        assert!(seen.known.is_empty());
        let mut off = Duplicates::new(0);
        assert!(![(); 2].iter().any(|()| off.came_already(&message("driver:1", "x", 2, None))));
    }

    proptest! {
        #[test]
        fn the_newest_are_known_and_no_more_than_the_bound(
            ids in prop::collection::vec(0_u8..40, 0..300),
            messages_max in 1_usize..20,
        ) {
            let mut seen = Duplicates::new(messages_max);
            let mut model: Vec<u8> = Vec::new();
            for id in ids {
                let expected = model.iter().rev().take(messages_max).any(|known| *known == id);
                prop_assert_eq!(seen.came_already(&message("driver:1", &id.to_string(), 2, None)), expected);
                if !expected {
                    model.push(id);
                }
                prop_assert!(seen.known.len() <= messages_max && seen.order.len() == seen.known.len());
            }
        }
    }
}
