//! Who sent a command. What it may do is asked here, and a command gets hold of the connection, and with it of the
//! tenant, in no other way: it can't forget to ask.

use std::sync::Arc;

use signalbox_identity::Verb;
use signalbox_protocol::error::Fault;
use signalbox_protocol::{Agent, Topic};

use super::commands::is_own;
use crate::hub::Connection;
use crate::metrics::AccessMetrics;
use crate::node::Node;

/// The connection that sent a command, before it is known whether it may.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    connection: &'a Arc<Connection>,
    metrics: &'a AccessMetrics,
}

impl<'a> Asker<'a> {
    pub(super) fn new(node: &'a Node, connection: &'a Arc<Connection>) -> Self {
        Self { connection, metrics: &node.metrics.access }
    }

    /// Who it speaks as.
    pub(super) fn agent(self) -> &'a Agent {
        &self.connection.profile().agent
    }

    /// The connection, if it may do `verb` to `what`.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn may(self, verb: Verb, what: &str) -> Result<&'a Arc<Connection>, Fault> {
        self.connection.rights().may(self.metrics, verb, what)?;
        Ok(self.connection)
    }

    /// The connection, if it may do `verb` to something; to what, is checked once it is known.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn may_some(self, verb: Verb) -> Result<&'a Arc<Connection>, Fault> {
        self.connection.rights().may_some(self.metrics, verb)?;
        Ok(self.connection)
    }

    /// The connection, if it may follow all of these topics. Its own it follows in any case.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn may_follow(self, topics: &[Topic]) -> Result<&'a Arc<Connection>, Fault> {
        let rights = self.connection.rights();
        let others = topics.iter().filter(|topic| !is_own(self.connection, topic));
        others.into_iter().try_for_each(|topic| rights.may_follow(self.metrics, topic))?;
        Ok(self.connection)
    }

    /// The connection, if it may see who is there.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn may_see_members(self, topic: &Topic) -> Result<&'a Arc<Connection>, Fault> {
        self.connection.rights().may_follow(self.metrics, topic)?;
        Ok(self.connection)
    }

    /// The connection, for what concerns nobody but itself and needs no right.
    pub(super) fn itself(self) -> &'a Arc<Connection> {
        self.connection
    }
}
