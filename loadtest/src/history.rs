//! What clients asked and what they were told, each with its moments: the evidence that a checker judges.
//!
//! All instants are nanoseconds of one monotonic clock since the run began. Operations stand in the order
//! in which they ended, and an operation's number is its place in the history.

pub(crate) mod boardings;
pub(crate) mod locks;

use std::fmt;

/// From the moment before a question was sent to the moment after its answer was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) invoked_ns: u64,
    /// Of a question without an answer: when its client gave up.
    pub(crate) returned_ns: u64,
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer<T, R = ()> {
    /// It was done.
    Ok(T),
    /// It was not done, and never will be.
    Refused(R),
    /// No answer came: it was done, or not, or still will be.
    Unknown,
}

impl<T, R> Answer<T, R> {
    /// Whether no answer came.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    /// The same with something else told.
    #[cfg(test)]
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U, R> {
        match self {
            Self::Ok(told) => Answer::Ok(change(told)),
            Self::Refused(reason) => Answer::Refused(reason),
            Self::Unknown => Answer::Unknown,
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [invoked, returned] = [self.invoked_ns, self.returned_ns].map(|ns| ns as f64 / 1e9);
        write!(f, "{invoked:.6} to {returned:.6} s")
    }
}
