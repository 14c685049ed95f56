//! What a node says over a WebSocket once it is open. In production there is one manner, [`GATEWAY`]; the conformance
//! run (`examples/echo.rs`) has another, so that a node whose way in, reader, outbox and writer are the very same
//! sends back what it gets. No setting and no route leads to that.

use std::sync::Arc;

use signalbox_protocol::error::{ErrorCode, Fault};

use super::answer;
use super::dispatch::{self, Step};
use crate::hub::Connection;
use crate::metrics::Class;
use crate::node::Node;

/// What is made of messages.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Whether a connection is welcomed with its first frame.
    pub welcomes: bool,
    /// Handles one text message.
    pub text: fn(&Arc<Node>, &Arc<Connection>, &str) -> Step,
    /// Handles one binary message.
    pub binary: fn(&Arc<Node>, &Arc<Connection>, &[u8]) -> Step,
}

/// Envelopes in, envelopes out.
pub const GATEWAY: Manner = Manner { welcomes: true, text: dispatch::handle, binary: refuse_binary };

fn refuse_binary(node: &Arc<Node>, connection: &Arc<Connection>, bytes: &[u8]) -> Step {
    node.metrics.messages_received.count_one(Class::Refused, bytes.len());
    let text = "binary frames are not supported: send text frames";
    answer::fail(connection, &node.metrics, &Fault::new(ErrorCode::InvalidEnvelope, text), None);
    Step::Malformed
}
