//! What contenders for locks asked and were told.

use std::fmt;

use super::{Answer, Span};

/// One question about a lock, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LockOperation {
    pub(crate) client: u32,
    pub(crate) resource: u32,
    /// Names an acquisition: all attempts at it, and what is later done with the lock that it got.
    pub(crate) request: u64,
    pub(crate) span: Span,
    pub(crate) action: LockAction,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockAction {
    Acquire(Answer<Granted>),
    /// Told is the new time to live, counted from then.
    Renew {
        fence: u64,
        answer: Answer<u32>,
    },
    Release {
        fence: u64,
        answer: Answer<()>,
    },
}

/// What a granted acquisition tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) fence: u64,
    pub(crate) ttl_ms: u32,
}

impl LockAction {
    /// Whether no answer came.
    pub(crate) fn is_unknown(&self) -> bool {
        match self {
            Self::Acquire(answer) => answer.is_unknown(),
            Self::Renew { answer, .. } => answer.is_unknown(),
            Self::Release { answer, .. } => answer.is_unknown(),
        }
    }

    /// Whether `other` asks for the same thing again.
    pub(crate) fn repeats(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Acquire(_), Self::Acquire(_)) => true,
            (Self::Renew { fence, .. }, Self::Renew { fence: before, .. })
            | (Self::Release { fence, .. }, Self::Release { fence: before, .. }) => fence == before,
            (Self::Acquire(_) | Self::Renew { .. } | Self::Release { .. }, _) => false,
        }
    }
}

impl fmt::Display for LockOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, span, .. } = self;
        write!(f, "client {client}, {span}: ")?;
        match self.action {
            LockAction::Acquire(Answer::Ok(granted)) => {
                write!(f, "granted with fence {} for {} ms", granted.fence, granted.ttl_ms)
            }
            LockAction::Acquire(answer) => write!(f, "acquire {}", outcome(&answer)),
            LockAction::Renew { fence, answer } => write!(f, "renew fence {fence} {}", outcome(&answer)),
            LockAction::Release { fence, answer } => write!(f, "release fence {fence} {}", outcome(&answer)),
        }
    }
}

fn outcome<T>(answer: &Answer<T>) -> &'static str {
    match answer {
        Answer::Ok(_) => "confirmed",
        Answer::Refused(()) => "refused",
        Answer::Unknown => "not answered",
    }
}
