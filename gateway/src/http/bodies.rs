//! Bodies of requests as they arrive: each bounded, and all of them together. What has arrived counts, not what was
//! announced: who sends slowly holds no more than it has sent.

use std::sync::Arc;

use axum::body::Body;
use http_body_util::BodyExt;
use signalbox_protocol::error::ErrorCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::problem::Problem;
use crate::limits::Limit;
use crate::node::Node;

/// A request's body may hold this many messages of the largest size.
const MESSAGES: usize = 8;

/// Room for bodies.
#[derive(Debug)]
pub struct Bodies {
    room: Arc<Semaphore>,
    one_max: usize,
}

impl Bodies {
    /// Room for so many bytes, and in any case for one body of the largest size.
    pub fn new(bytes_max: usize, message_bytes_max: usize) -> Self {
        let one_max = MESSAGES * message_bytes_max;
        Self { room: Arc::new(Semaphore::new(bytes_max.max(one_max))), one_max }
    }

    /// Bytes that have room now.
    pub fn free(&self) -> usize {
        self.room.available_permits()
    }
}

/// A body that has arrived. Its room is free again when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    pub(super) bytes: Vec<u8>,
    pub(super) room: Option<OwnedSemaphorePermit>,
}

impl Arrived {
    fn push(&mut self, bytes: &[u8], bodies: &Bodies) -> Result<(), Limit> {
        if self.bytes.len() + bytes.len() > bodies.one_max {
            return Err(Limit::MessageBytes);
        }
        let count = u32::try_from(bytes.len()).map_err(|_| Limit::MessageBytes)?;
        let taken = Arc::clone(&bodies.room).try_acquire_many_owned(count).map_err(|_| Limit::HttpBodies)?;
        match &mut self.room {
            Some(room) => room.merge(taken),
            none => *none = Some(taken),
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// The whole body, if it arrives in time and there is room for it.
pub(super) async fn read(node: &Node, body: Body) -> Result<Arrived, Problem> {
    let arrived = timeout(node.settings.handshake_timeout, collect(node, body)).await;
    arrived.unwrap_or_else(|_late| {
        node.metrics.count_limit(Limit::HandshakeTime);
        Err(super::too_late())
    })
}

async fn collect(node: &Node, mut body: Body) -> Result<Arrived, Problem> {
    let mut arrived = Arrived::default();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|_| Problem::of(ErrorCode::InvalidJson, "the body did not arrive whole"))?;
        let bytes = frame.data_ref().map(AsRef::as_ref).unwrap_or_default();
        arrived.push(bytes, &node.bodies).map_err(|limit| refused(node, limit))?;
    }
    Ok(arrived)
}

fn refused(node: &Node, limit: Limit) -> Problem {
    if limit == Limit::HttpBodies {
        node.metrics.count_limit(limit);
        return Problem::of(ErrorCode::Unavailable, "too many bodies are being read: try again");
    }
    Problem::of(ErrorCode::TooLarge, "the body is too large")
}
