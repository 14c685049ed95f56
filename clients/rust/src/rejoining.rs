//! Topics that a node would not resume, and that are joined anew, one `system:subscribe` each. Pure.

use std::collections::HashMap;

use signalbox_protocol::Topic;
use uuid::Uuid;

/// What was asked for on this connection. At most as many as a client may join.
#[derive(Debug, Default)]
pub(crate) struct Rejoining {
    asked: HashMap<Uuid, Topic>,
}

impl Rejoining {
    pub(crate) fn ask(&mut self, id: Uuid, topic: Topic) {
        self.asked.insert(id, topic);
    }

    /// The topic that this answers for.
    pub(crate) fn answered(&mut self, id: Uuid) -> Option<Topic> {
        self.asked.remove(&id)
    }

    /// The next connection begins with a resume of everything.
    pub(crate) fn disconnected(&mut self) {
        self.asked.clear();
    }
}
