//! One line of the outbox: a passenger's record in Strapi is brought in line with the claims. Done twice it
//! does nothing more, so a lost answer or a second worker does no harm.

use std::time::SystemTime;

use signalbox_protocol::fleet::{Passenger, PassengerState};
use signalbox_protocol::timestamp::Timestamp;

use super::adopt::own;
use super::counters::Counted;
use super::record::{Record, of_state};
use super::store::Store;
use crate::Error;
use crate::outbox::{Line, Pushed};
use crate::store::StoreError;

/// Why a line still stands.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Strapi, or Redis, can do nothing at the moment, for nobody.
    Away(Error),
    /// Strapi fails at this one.
    Failing(StoreError),
}

impl From<signalbox_registry::Error> for Trouble {
    fn from(error: signalbox_registry::Error) -> Self {
        Self::Away(error.into())
    }
}

/// What Strapi's error means for a change.
enum Verdict {
    Away,
    Failing,
    Refused,
}

impl Verdict {
    fn of(error: &StoreError) -> Self {
        match error {
            // A missing token is for the operator to put right; so are the proxies that answer 502 to 504.
            StoreError::Answered { status: 401 | 408 | 429 | 502..=504, .. } => Self::Away,
            StoreError::Answered { status: 400..=499, .. } => Self::Refused,
            StoreError::Unreachable(_) | StoreError::Lost(_) => Self::Away,
            _ => Self::Failing,
        }
    }
}

impl Store {
    /// Brings a record in line; `last` gives up on an error of Strapi's own as on a refusal.
    pub(super) async fn work_off(&self, line: &Line, last: bool) -> Result<(), Trouble> {
        let known = self.claims.passenger(&self.settings.tenant, &line.passenger_id).await;
        if let Some(claim) = known.map_err(Trouble::Away)? {
            let outcome = self.bring_in_line(&claim).await;
            match outcome {
                Ok(written) => (0..written).for_each(|_| self.counters.count(Counted::Written)),
                Err(error) => match Verdict::of(&error) {
                    Verdict::Away => return Err(Trouble::Away(error.into())),
                    Verdict::Failing if !last => return Err(Trouble::Failing(error)),
                    Verdict::Failing | Verdict::Refused => {
                        self.compensate(&claim, &error).await.map_err(Trouble::Away)?;
                    }
                },
            }
        }
        if !self.outbox.strike(line).await? {
            // Something has changed since, or another worker was here meanwhile: what was written now may be
            // older.
            self.outbox.note(std::slice::from_ref(&line.passenger_id)).await?;
        }
        Ok(())
    }

    /// How many writes it took.
    async fn bring_in_line(&self, claim: &Passenger) -> Result<usize, StoreError> {
        let Some(record) = self.collection.find(&claim.passenger_id).await? else { return Err(gone()) };
        let steps = steps(&record, claim);
        for state in &steps {
            self.collection.update(&record.document, of_state(claim, *state)).await?;
        }
        Ok(steps.len())
    }

    /// Strapi will not have it: a boarding is undone, and who is gone from Strapi gives up waiting. Any other
    /// change stays as the claims have it.
    async fn compensate(&self, claim: &Passenger, error: &StoreError) -> Result<(), Error> {
        self.counters.count(Counted::Refused);
        let (actor, id) = (own(&self.settings.tenant, now()), &claim.passenger_id);
        let mut undone = false;
        if let (PassengerState::Boarded, Some(fence)) = (claim.state, claim.fence) {
            undone = self.claims.undo_board(&actor, id, fence).await?;
            if undone {
                self.counters.count(Counted::Undone);
            }
        }
        tracing::warn!(%error, passenger = %id, state = claim.state.as_str(), undone, "strapi refuses a change for good");
        if is_gone(error) {
            match self.claims.cancel(&actor, id).await {
                Ok(()) | Err(Error::State(_) | Error::NotFound(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// A push that did not end: what the claims have is kept, what they have not is removed.
    pub(super) async fn settle(&self, pushed: &Pushed) -> Result<(), Trouble> {
        let id = &pushed.passenger_id;
        let known = self.claims.passenger(&self.settings.tenant, id).await.map_err(Trouble::Away)?;
        if known.is_none_or(|known| known.spawned_at != pushed.spawned_at) {
            let removed = self.remove_pushed(vec![(id.clone(), pushed.spawned_at)]).await;
            let removed = removed.map_err(|error| match Verdict::of(&error) {
                Verdict::Away => Trouble::Away(error.into()),
                Verdict::Failing | Verdict::Refused => Trouble::Failing(error),
            })?;
            if removed > 0 {
                self.counters.count(Counted::Removed);
                tracing::info!(passenger = %id, "what a push left in strapi is removed");
            }
        }
        Ok(self.outbox.end(std::slice::from_ref(id)).await?)
    }
}

/// The states to write, one after the other: each state is seen in Strapi.
fn steps(record: &Record, claim: &Passenger) -> Vec<PassengerState> {
    let said = &record.passenger;
    match (said.state, claim.state) {
        (from, to) if from == to && said.vehicle_id == claim.vehicle_id => Vec::new(),
        (PassengerState::Waiting, PassengerState::Alighted) => {
            vec![PassengerState::Boarded, PassengerState::Alighted]
        }
        (_, to) => vec![to],
    }
}

/// There is no such record any more.
fn gone() -> StoreError {
    let [name, message] = ["NotFoundError", "no record of this passenger"].map(str::to_owned);
    StoreError::Answered { status: 404, name, message, field: None }
}

fn is_gone(error: &StoreError) -> bool {
    matches!(error, StoreError::Answered { status: 404, .. })
}

/// Nobody asks for what the worker does, so nobody tells it the time.
fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}
