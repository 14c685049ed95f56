//! Taking passengers in: all or none, though Strapi takes one at a time.
//!
//! In this order: the push is put down in the outbox; Strapi creates the records; the claims take all in by
//! one step, which decides and announces; the push is struck out. Until the claims have them, nobody sees or
//! boards them. If it fails on the way, the records are removed again; if that fails too, or the node dies,
//! the worker of the outbox does it when the push is over. So nothing is announced that is undone.

use std::sync::atomic::{AtomicBool, Ordering};

use signalbox_protocol::PassengerId;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::fleet::Passenger;
use signalbox_protocol::timestamp::Timestamp;
use tokio::time::timeout;

use super::record::Record;
use super::store::Store;
use crate::outbox::Begun;
use crate::store::StoreError;
use crate::{Actor, Error};

/// Why a push failed.
struct Failed {
    error: Error,
    /// Strapi may still be creating a record of it.
    late: bool,
}

impl Failed {
    fn early(error: impl Into<Error>) -> Self {
        Self { error: error.into(), late: false }
    }
}

impl Store {
    pub(super) async fn take_in(&self, actor: &Actor, passengers: Vec<Passenger>) -> Result<(), Error> {
        let ids: Vec<_> = passengers.iter().map(|passenger| passenger.passenger_id.clone()).collect();
        match self.outbox.begin(&passengers, self.push_ends_within()).await? {
            Begun::Yes => {}
            Begun::Busy(id) => return Err(StoreError::Busy(id).into()),
            Begun::Full(waiting) => return Err(StoreError::OutboxFull { waiting }.into()),
        }
        let pushed: Vec<_> = ids.iter().cloned().zip(passengers.iter().map(|new| new.spawned_at)).collect();
        match self.create_and_claim(actor, passengers).await {
            Ok(()) => {
                self.struck_out(&ids).await;
                Ok(())
            }
            Err(Failed {
                error: Error::Registry(error @ signalbox_registry::Error::OutcomeUnknown(_)),
                ..
            }) => {
                // The claims may have them: the worker will know.
                self.hurry(&ids).await;
                Err(Error::Registry(error))
            }
            Err(failed) => Err(self.undo(&ids, pushed, failed).await),
        }
    }

    async fn create_and_claim(&self, actor: &Actor, passengers: Vec<Passenger>) -> Result<(), Failed> {
        let ids: Vec<_> = passengers.iter().map(|passenger| passenger.passenger_id.clone()).collect();
        let known = self.claims.passengers(&actor.tenant, &ids).await.map_err(Failed::early)?;
        if let Some(known) = known.into_iter().flatten().next() {
            return Err(Failed::early(Error::Exists(known.passenger_id)));
        }
        match timeout(self.settings.push_timeout, self.create_all(&passengers)).await {
            Ok(created) => created?,
            Err(late) => {
                return Err(Failed { error: StoreError::Lost(late.into()).into(), late: true });
            }
        }
        self.claims.push(actor, passengers).await.map_err(Failed::early)
    }

    /// Creates all records; after the first failure no more are begun, and those under way are waited for.
    async fn create_all(&self, passengers: &[Passenger]) -> Result<(), Failed> {
        let failed = AtomicBool::new(false);
        let create = |(index, passenger)| {
            let failed = &failed;
            async move {
                if failed.load(Ordering::Relaxed) {
                    return None;
                }
                let error = self.create(passenger).await.err()?;
                failed.store(true, Ordering::Relaxed);
                Some((index, error))
            }
        };
        let failures = self.in_parallel(passengers.iter().enumerate().map(create).collect()).await;
        let mut failures: Vec<_> = failures.into_iter().flatten().collect();
        failures.sort_by_key(|(index, _)| *index);
        let late = failures.iter().any(|(_, error)| matches!(error, StoreError::Lost(_)));
        // What Strapi says of one passenger tells more than that it could not be reached.
        let at =
            failures.iter().position(|(_, error)| matches!(error, StoreError::Answered { .. })).unwrap_or(0);
        if failures.is_empty() {
            return Ok(());
        }
        let (index, error) = failures.swap_remove(at);
        Err(Failed { error: of_element(index, error, passengers), late })
    }

    /// Creates one record. If the answer was lost, looks for the record: it may be there.
    async fn create(&self, passenger: &Passenger) -> Result<(), StoreError> {
        match self.collection.create(passenger).await {
            Err(lost @ StoreError::Lost(_)) => match self.collection.find(&passenger.passenger_id).await {
                Ok(Some(found)) if found.passenger.spawned_at == passenger.spawned_at => Ok(()),
                _ => Err(lost),
            },
            created => created.map(|_| ()),
        }
    }

    /// Removes what a failed push left; the error that the asker gets.
    async fn undo(
        &self,
        ids: &[PassengerId],
        pushed: Vec<(PassengerId, Timestamp)>,
        failed: Failed,
    ) -> Error {
        match self.remove_pushed(pushed).await {
            Ok(_) if failed.late => failed.error,
            Ok(_) => {
                self.struck_out(ids).await;
                failed.error
            }
            Err(error) => {
                tracing::warn!(%error, failed = %failed.error, "a failed push is still in strapi; the outbox has it");
                self.hurry(ids).await;
                StoreError::Undoing(Box::new(failed.error)).into()
            }
        }
    }

    /// Removes the records of a push, and only those; how many.
    pub(super) async fn remove_pushed(
        &self,
        pushed: Vec<(PassengerId, Timestamp)>,
    ) -> Result<usize, StoreError> {
        let ids: Vec<_> = pushed.iter().map(|(id, _)| id.clone()).collect();
        let mut ours = self.collection.find_all(&ids).await?;
        ours.retain(|record| {
            pushed.iter().any(|(id, spawned_at)| {
                *id == record.passenger.passenger_id && *spawned_at == record.passenger.spawned_at
            })
        });
        let count = ours.len();
        let remove = |record: Record| async move { self.collection.delete(&record.document).await };
        let removed = self.in_parallel(ours.into_iter().map(remove).collect()).await;
        removed.into_iter().collect::<Result<Vec<()>, _>>().map(|_| count)
    }

    /// Strikes a push out. If that fails the worker finds nothing left to do, later.
    async fn struck_out(&self, ids: &[PassengerId]) {
        if let Err(error) = self.outbox.end(ids).await {
            tracing::debug!(%error, "a push that has ended stays in the outbox for a while");
        }
    }

    /// Lets the worker see to a push soon. If that fails it does when the push is over.
    async fn hurry(&self, ids: &[PassengerId]) {
        // A script of the claims whose answer was lost may run until its own deadline.
        let soon = self.settings.retry_first.max(std::time::Duration::from_secs(1));
        if let Err(error) = self.outbox.over_in(ids, soon).await {
            tracing::debug!(%error, "a push is seen to only when its time is over");
        }
    }
}

/// What an asker is told of a passenger that Strapi did not take.
fn of_element(index: usize, error: StoreError, passengers: &[Passenger]) -> Error {
    let StoreError::Answered { status: 400, message, field, .. } = &error else { return error.into() };
    if field.as_deref() == Some("passenger_id") && message.contains("unique") {
        return Error::Exists(passengers[index].passenger_id.clone());
    }
    if passengers.len() == 1 {
        return error.into();
    }
    let mut fault = Fault::new(ErrorCode::InvalidData, format!("strapi refused it: {message}"));
    if let Some(field) = field {
        fault = fault.in_field(field);
    }
    Error::InvalidElement { index, fault }
}
