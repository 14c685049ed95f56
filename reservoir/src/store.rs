//! Why a store outside of the cluster did not do what it was asked.

use signalbox_protocol::PassengerId;
use signalbox_protocol::error::ErrorCode;
use thiserror::Error;

/// What the failure of a store came from.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the store did not do it. As an answer to a change it means that nothing was changed, unless it says
/// otherwise.
#[derive(Debug, Error)]
pub enum StoreError {
    /// It was not reached, so it has done nothing.
    #[error("the store can't be reached")]
    Unreachable(#[source] Cause),
    /// Its answer was lost or late. A single write may have been carried out, or may still be; who writes
    /// for others undoes it or looks again before they are told.
    #[error("the store's answer was lost")]
    Lost(#[source] Cause),
    /// It answered that it did not do it.
    #[error("the store answered {status} {name}: {message}")]
    Answered {
        /// Of HTTP.
        status: u16,
        /// What it calls such an error.
        name: String,
        /// For people.
        message: String,
        /// What it complains of, if it says so.
        field: Option<String>,
    },
    /// It answered something that this version can't read.
    #[error("the store answered with a {what} that can't be read")]
    Unreadable {
        /// What it was.
        what: &'static str,
    },
    /// More passengers are in the area than an answer could be made of.
    #[error("more than {most} passengers are in the area")]
    Crowded {
        /// The bound.
        most: usize,
    },
    /// Too many changes wait for the store already.
    #[error("{waiting} changes wait for the store: no more are taken")]
    OutboxFull {
        /// How many.
        waiting: u64,
    },
    /// A load that others waited for as well came to nothing.
    #[error("the load that was waited for failed")]
    LoadFailed,
    /// A push of this passenger is under way, or what is left of one is being removed.
    #[error("a push of {0} has not ended yet")]
    Busy(PassengerId),
    /// A push failed, and some of it could not be removed from the store yet: that is still being tried, and
    /// until then nobody sees or boards those passengers.
    #[error("the store is being rid of what it had taken of the push")]
    Undoing(#[source] Cause),
}

impl StoreError {
    /// As whoever asked is told.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unreachable(_)
            | Self::Lost(_)
            | Self::OutboxFull { .. }
            | Self::LoadFailed
            | Self::Busy(_)
            | Self::Undoing(_) => ErrorCode::Unavailable,
            Self::Answered { status: 429 | 500.., .. } => ErrorCode::Unavailable,
            Self::Answered { status: 400 | 413 | 422, .. } => ErrorCode::InvalidData,
            Self::Answered { .. } | Self::Unreadable { .. } => ErrorCode::Internal,
            Self::Crowded { .. } => ErrorCode::TooLarge,
        }
    }
}
