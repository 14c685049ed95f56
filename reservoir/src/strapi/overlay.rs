//! What the claims know, laid over what Strapi says: the claims are ahead of it.

use signalbox_protocol::PassengerId;
use signalbox_protocol::fleet::{Passenger, PassengerState};

use super::record::Record;
use super::store::Store;
use crate::Error;

/// Records with what is known of them.
#[derive(Debug, Default)]
pub(super) struct Overlaid {
    /// As they are: the claims' word where they have one.
    pub(super) passengers: Vec<Passenger>,
    /// Those of them whom the claims don't know.
    pub(super) unknown: Vec<PassengerId>,
}

impl Store {
    /// Lays the claims over records. Leaves out whoever is of a push that has not ended. Puts down in the
    /// outbox whose record is behind: it is there already, unless Redis has lost it.
    pub(super) async fn overlay(&self, records: Vec<Record>) -> Result<Overlaid, Error> {
        if records.is_empty() {
            return Ok(Overlaid::default());
        }
        let ids: Vec<_> = records.iter().map(|record| record.passenger.passenger_id.clone()).collect();
        let known = self.claims.passengers(&self.settings.tenant, &ids).await?;
        let unknown: Vec<_> =
            ids.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(id, _)| id.clone()).collect();
        // After the records were read: a push that has ended by now has been seen whole, or not at all.
        let pushing = self.outbox.pushing(&unknown).await?;
        let mut overlaid = Overlaid { unknown, ..Overlaid::default() };
        overlaid.unknown.retain(|id| !pushing.contains(id));
        let mut behind = Vec::new();
        for (record, known) in records.into_iter().zip(known) {
            let said = record.passenger;
            match known {
                Some(known) => {
                    if known.state != said.state {
                        behind.push(said.passenger_id);
                    }
                    overlaid.passengers.push(known);
                }
                None if pushing.contains(&said.passenger_id) => {}
                None => overlaid.passengers.push(said),
            }
        }
        self.note_behind(&behind).await;
        Ok(overlaid)
    }

    async fn note_behind(&self, behind: &[PassengerId]) {
        if behind.is_empty() {
            return;
        }
        match self.outbox.note(behind).await {
            Ok(()) => self.wake.notify_one(),
            Err(error) => tracing::debug!(%error, "records behind the claims are not in the outbox"),
        }
    }
}

/// The states in which Strapi may hold somebody who is in `state`: it is behind, never ahead.
pub(super) fn may_be_told_as(state: PassengerState) -> &'static [PassengerState] {
    use PassengerState::{Alighted, Boarded, Cancelled, Expired, Waiting};
    match state {
        // A boarding that is being undone may still stand there.
        Waiting | Boarded => &[Waiting, Boarded],
        Alighted => &[Waiting, Boarded, Alighted],
        Cancelled => &[Waiting, Boarded, Cancelled],
        Expired => &[Waiting, Boarded, Expired],
    }
}
