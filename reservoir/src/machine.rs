//! The life of a passenger: what may follow what, and nothing else. Both repositories decide as this does.

use signalbox_protocol::fleet::PassengerState;
use thiserror::Error;

/// What can happen to a passenger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// A vehicle takes the passenger.
    Board,
    /// The vehicle drops the passenger off.
    Alight,
    /// The passenger gives up.
    Cancel,
    /// The passenger waited for too long.
    Expire,
}

/// A change that a passenger's state does not allow.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("a passenger who is {} can't {}", .state.as_str(), .change.as_str())]
pub struct Refused {
    /// The state.
    pub state: PassengerState,
    /// The change.
    pub change: Change,
}

impl Change {
    /// All changes.
    pub const ALL: [Self; 4] = [Self::Board, Self::Alight, Self::Cancel, Self::Expire];

    /// The verb.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Board => "board",
            Self::Alight => "alight",
            Self::Cancel => "cancel",
            Self::Expire => "expire",
        }
    }

    /// The state after this change of a passenger in `state`.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn after(self, state: PassengerState) -> Result<PassengerState, Refused> {
        match (state, self) {
            (PassengerState::Waiting, Self::Board) => Ok(PassengerState::Boarded),
            (PassengerState::Waiting, Self::Cancel) => Ok(PassengerState::Cancelled),
            (PassengerState::Waiting, Self::Expire) => Ok(PassengerState::Expired),
            (PassengerState::Boarded, Self::Alight) => Ok(PassengerState::Alighted),
            _ => Err(Refused { state, change: self }),
        }
    }
}

#[cfg(test)]
mod tests {
    use PassengerState::{Alighted, Boarded, Cancelled, Expired, Waiting};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn four_changes_are_allowed_and_no_others() {
        let allowed = [
            (Waiting, Change::Board, Boarded),
            (Waiting, Change::Cancel, Cancelled),
            (Waiting, Change::Expire, Expired),
            (Boarded, Change::Alight, Alighted),
        ];
        for state in PassengerState::ALL {
            for change in Change::ALL {
                let row = allowed.iter().find(|(from, by, _)| (*from, *by) == (state, change));
                let expected = row.map(|(.., to)| *to).ok_or(Refused { state, change });
                assert_eq!(change.after(state), expected, "{state:?} {change:?}");
            }
        }
    }

    #[test]
    fn a_refusal_says_what_was_refused() {
        let refused = Change::Board.after(Expired).unwrap_err();
        assert_eq!(refused.to_string(), "a passenger who is expired can't board");
    }

    proptest! {
        #[test]
        fn a_life_is_boarded_at_most_once_and_ends_for_good(changes in prop::collection::vec(0..4_usize, 0..40)) {
            let (mut state, mut lived) = (Waiting, vec![]);
            for change in changes.into_iter().map(|number| Change::ALL[number]) {
                if let Ok(next) = change.after(state) {
                    state = next;
                    lived.push(change);
                }
            }
            let whole: &[&[Change]] = &[
                &[], &[Change::Board], &[Change::Board, Change::Alight], &[Change::Cancel], &[Change::Expire],
            ];
            prop_assert!(whole.contains(&lived.as_slice()), "{lived:?}");
        }
    }
}
