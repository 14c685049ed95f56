//! Passengers whom others put into Strapi: taken into the claims when something is to be decided about them.

use signalbox_protocol::control::BoardingDenial;
use signalbox_protocol::fleet::{Passenger, PassengerState};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{Agent, PassengerId, Tenant};

use super::store::Store;
use crate::error::{Denied, Missing};
use crate::{Actor, Error};

impl Store {
    /// Takes somebody into the claims whom they don't know and who waits in Strapi. Whoever does not wait
    /// there is answered as they stand; their claims have been forgotten.
    pub(super) async fn adopt(&self, now: Timestamp, id: &PassengerId) -> Result<Option<Passenger>, Error> {
        let Some(record) = self.collection.find(id).await? else { return Ok(None) };
        // After the record was read: if a push of it has ended by now, the claims know it.
        if !self.outbox.pushing(std::slice::from_ref(id)).await?.is_empty() {
            return Ok(None);
        }
        if record.passenger.state == PassengerState::Waiting {
            self.adopt_all(now, vec![record.passenger.clone()]).await?;
        }
        Ok(Some(record.passenger))
    }

    /// Takes those who wait into the claims. Announced as a push is: for the cluster they begin to wait now.
    pub(super) async fn adopt_all(&self, now: Timestamp, passengers: Vec<Passenger>) -> Result<(), Error> {
        let actor = own(&self.settings.tenant, now);
        for passenger in passengers {
            match self.claims.push(&actor, vec![passenger]).await {
                // Somebody else was faster.
                Ok(()) | Err(Error::Exists(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// Asks the claims, and once more if they did not know the passenger but Strapi did.
    pub(super) async fn decided<T, Fut>(
        &self,
        now: Timestamp,
        id: &PassengerId,
        decide: impl Fn() -> Fut,
    ) -> Result<T, Error>
    where
        Fut: Future<Output = Result<T, Error>>,
    {
        match decide().await {
            Err(Error::NotFound(Missing::Passenger)) => {}
            decided => return decided,
        }
        match self.adopt(now, id).await? {
            None => Err(Error::NotFound(Missing::Passenger)),
            Some(passenger) if passenger.state == PassengerState::Waiting => decide().await,
            Some(passenger) => Err(denied(&passenger)),
        }
    }
}

/// Why nothing can be decided about somebody who is only remembered by Strapi: the fence is forgotten.
fn denied(passenger: &Passenger) -> Error {
    let reason = match passenger.state {
        PassengerState::Boarded => BoardingDenial::Boarded,
        _ => BoardingDenial::State,
    };
    Error::Denied(Denied { reason, state: Some(passenger.state), boarded_by: passenger.vehicle_id.clone() })
}

/// The node itself, when nobody asked.
pub(super) fn own(tenant: &Tenant, now: Timestamp) -> Actor {
    let agent = Agent::of("service", "signalbox").expect("a constant agent");
    Actor { tenant: tenant.clone(), subject: agent.to_string(), agent, request_id: None, now }
}
