//! What vehicles asked about passengers and were told.

use std::fmt;

use super::{Answer, Span};

/// Who boarded whom, and how many seats there are. Vehicles and passengers are numbered from 0.
#[derive(Debug, Clone, Default)]
pub(crate) struct BoardingHistory {
    pub(crate) operations: Vec<BoardingOperation>,
    /// Of each vehicle.
    pub(crate) capacities: Vec<u32>,
}

/// One question about a passenger, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BoardingOperation {
    pub(crate) passenger: u32,
    /// The vehicle that asks, for itself.
    pub(crate) vehicle: u32,
    pub(crate) span: Span,
    pub(crate) action: BoardingAction,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BoardingAction {
    /// To board. Attempts at one boarding share their request. Told is the fence, or who boarded instead.
    Board { request: u64, answer: Answer<u64, Option<u32>> },
    /// To alight what was boarded with this fence.
    Alight { fence: u64, answer: Answer<()> },
}

/// A question about a passenger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    Board { request: u64 },
    Alight { fence: u64 },
}

impl BoardingAction {
    /// Whether no answer came.
    pub(crate) fn is_unknown(&self) -> bool {
        match self {
            Self::Board { answer, .. } => answer.is_unknown(),
            Self::Alight { answer, .. } => answer.is_unknown(),
        }
    }

    /// What is asked. Repetitions share it.
    pub(crate) fn question(&self) -> Question {
        match *self {
            Self::Board { request, .. } => Question::Board { request },
            Self::Alight { fence, .. } => Question::Alight { fence },
        }
    }
}

impl fmt::Display for BoardingOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passenger, vehicle, span, .. } = self;
        write!(f, "vehicle {vehicle}, {span}: ")?;
        match self.action {
            BoardingAction::Board { answer: Answer::Ok(fence), .. } => {
                write!(f, "boarded passenger {passenger} with fence {fence}")
            }
            BoardingAction::Board { answer: Answer::Refused(Some(winner)), .. } => {
                write!(f, "refused passenger {passenger}, whom vehicle {winner} boarded")
            }
            BoardingAction::Board { answer: Answer::Refused(None), .. } => {
                write!(f, "refused passenger {passenger}")
            }
            BoardingAction::Board { answer: Answer::Unknown, .. } => {
                write!(f, "asked for passenger {passenger} without an answer")
            }
            BoardingAction::Alight { fence, answer } => {
                let outcome = match answer {
                    Answer::Ok(()) => "alighted",
                    Answer::Refused(()) => "was refused to alight",
                    Answer::Unknown => "had no answer when it wanted to alight",
                };
                write!(f, "{outcome} passenger {passenger} with fence {fence}")
            }
        }
    }
}
