//! Who is talking: an agent type and an agent id.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::topic::{InvalidTopic, Topic};

/// Who is talking, e.g. `vehicle:V17`. Its text is also its own point topic.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Agent(Topic);

impl Agent {
    /// The agent `agent_type:agent_id`.
    ///
    /// # Errors
    /// [`InvalidTopic`] when either part holds a character that a topic can't.
    pub fn of(agent_type: &str, agent_id: &str) -> Result<Self, InvalidTopic> {
        Topic::of(agent_type, agent_id).map(Self)
    }

    /// Takes a topic as the agent whose point topic it is.
    pub fn from_topic(topic: Topic) -> Self {
        Self(topic)
    }

    /// The agent's type, e.g. `vehicle`.
    pub fn agent_type(&self) -> &str {
        self.0.kind()
    }

    /// The agent's id, e.g. `V17`.
    pub fn agent_id(&self) -> &str {
        self.0.id()
    }

    /// The agent's own point topic.
    pub fn topic(&self) -> &Topic {
        &self.0
    }

    /// The whole, `agent_type:agent_id`.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
