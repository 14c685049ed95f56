//! A closed loop: so many messages may be under way.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

/// What ties a sender to its receivers.
#[derive(Debug)]
pub(crate) struct Window {
    room: Cell<u32>,
    /// Deliveries that make room for one message: one to each receiver.
    deliveries: u32,
    /// Deliveries since room was made.
    heard: Cell<u32>,
    pub(super) changed: Notify,
}

impl Window {
    /// For one receiver.
    pub(crate) fn new(messages: u32) -> Rc<Self> {
        Self::shared_by(1, messages)
    }

    /// For so many receivers, all of whom get each message.
    pub(crate) fn shared_by(receivers: u32, messages: u32) -> Rc<Self> {
        let (room, heard) = (Cell::new(messages.max(1)), Cell::new(0));
        Rc::new(Self { room, deliveries: receivers.max(1), heard, changed: Notify::new() })
    }

    pub(super) fn take(&self) -> bool {
        let room = self.room.get();
        self.room.set(room.saturating_sub(1));
        room > 0
    }

    pub(super) fn has_room(&self) -> bool {
        self.room.get() > 0
    }

    pub(super) fn give_back(&self) {
        self.heard.set(self.heard.get() + 1);
        if self.heard.get() == self.deliveries {
            self.heard.set(0);
            self.room.set(self.room.get() + 1);
            self.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_room_again_when_all_receivers_got_a_message() {
        let window = Window::shared_by(3, 2);
        assert!(window.take() && window.take() && !window.take());
        window.give_back();
        window.give_back();
        assert!(!window.take());
        window.give_back();
        assert!(window.take() && !window.take());
    }
}
