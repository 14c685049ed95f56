//! Why the registry could not do what it was asked, told apart by what the caller can do about it.

use thiserror::Error;

/// What went wrong in the registry.
#[derive(Debug, Error)]
pub enum Error {
    /// Nothing was changed and nothing was sent; trying again later is safe. Also what a question gets
    /// whose answer was lost.
    #[error("the registry is unreachable")]
    Unavailable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The answer was lost or late: the command may have been carried out, or may still be.
    #[error("the registry's answer was lost; the command may have taken effect")]
    OutcomeUnknown(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The session was first used by another subject.
    #[error("the session belongs to another subject")]
    SessionTaken,
    /// A queue towards the other nodes is at its bound; nothing was queued.
    #[error("the queue towards {to} is full")]
    BusFull {
        /// The destination, for the log.
        to: String,
    },
    /// Redis answered, with something that this version can't read.
    #[error("the registry holds a {what} that this version can't read")]
    Unreadable {
        /// What it was.
        what: &'static str,
    },
    /// Redis refused the command: not allowed, no memory.
    #[error("the registry refused a command")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The URL of Redis can't be used. Only the start answers this.
    #[error("the URL of redis can't be used")]
    Url(#[source] Box<dyn std::error::Error + Send + Sync>),
}
