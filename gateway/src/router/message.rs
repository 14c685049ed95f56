//! What is sent, and what became of it.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::{Tenant, Topic};
use signalbox_registry::{Error, Parcel};
use smallvec::SmallVec;

/// A message ready to go: one frame for all its topics.
#[derive(Debug, Clone)]
pub struct Message {
    /// The customer.
    pub tenant: Tenant,
    /// Where it goes, each with the hash of its conflation key (0: none).
    pub to: SmallVec<[(Topic, u64); 1]>,
    /// The encoded frame.
    pub frame: Bytes,
    /// The sending connection, which gets no echo; its number on this node.
    pub except: Option<u64>,
    /// Whether the sender wants to know what became of it.
    pub confirm: bool,
}

impl Message {
    /// What the bus carries of it to the topic at this place.
    pub(super) fn parcel(&self, place: usize) -> Parcel {
        let (topic, conflation) = &self.to[place];
        Parcel::Deliver {
            tenant: self.tenant.clone(),
            topic: topic.clone(),
            conflation: *conflation,
            frame: self.frame.clone(),
        }
    }
}

/// What became of a message.
pub enum Routed {
    /// It is on its way (confirmed messages never end here).
    Done,
    /// Something has to be asked first; the sender's next message waits for this.
    Pending(BoxFuture<'static, Result<(), Fault>>),
}

impl std::fmt::Debug for Routed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Done) { "Done" } else { "Pending" })
    }
}

/// What a sender is told when the registry or the bus failed it.
pub fn fault(error: &Error, topic: &Topic) -> Fault {
    let (code, advice) = match error {
        Error::OutcomeUnknown(_) => (ErrorCode::OutcomeUnknown, "may or may not have been delivered"),
        Error::Unavailable(_) | Error::BusFull { .. } => {
            (ErrorCode::Unavailable, "was not handed to other nodes; try again")
        }
        Error::SessionTaken => (ErrorCode::Forbidden, "belongs to another subject"),
        Error::Unreadable { .. } | Error::Refused(_) | Error::Url(_) => {
            (ErrorCode::Internal, "could not be looked up")
        }
    };
    Fault::new(code, format!("{topic} {advice}"))
}
