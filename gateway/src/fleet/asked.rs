//! What clients ask of locks and of the fleet, over WebSocket and HTTP alike: done, and counted by what came of it.

use signalbox_protocol::fleet::{NewPassenger, Passenger};
use signalbox_protocol::{Tenant, VehicleId};
use signalbox_registry::Error as RegistryError;
use signalbox_registry::lock::{Acquired, Ask};
use signalbox_reservoir::repository::{Alighting, Boarded, Boarding};
use signalbox_reservoir::reservoir::{Answer, Query};
use signalbox_reservoir::{Actor, Error};

use crate::node::Node;

impl Node {
    /// A lock.
    pub(crate) async fn acquire(&self, ask: &Ask) -> Result<Acquired, RegistryError> {
        let acquired = self.cluster.locks.acquire(ask).await;
        self.metrics.fleet.count_lock(&acquired);
        acquired
    }

    /// A passenger boards.
    pub(crate) async fn board(&self, actor: &Actor, boarding: &Boarding) -> Result<Boarded, Error> {
        let boarded = self.reservoir.mark_picked_up(actor, boarding).await;
        self.metrics.fleet.count_boarding(&boarded);
        boarded
    }

    /// A passenger alights; from which vehicle.
    pub(crate) async fn alight(&self, actor: &Actor, alighting: &Alighting) -> Result<VehicleId, Error> {
        let alighted = self.reservoir.mark_dropped_off(actor, alighting).await;
        self.metrics.fleet.count_alighting(&alighted);
        alighted
    }

    /// Who waits.
    pub(crate) async fn query(&self, tenant: &Tenant, query: &Query) -> Result<Answer, Error> {
        let answer = self.reservoir.query(tenant, query).await;
        self.metrics.fleet.count_query(answer.as_ref().ok().map(|answer| answer.source));
        answer
    }

    /// A passenger waits from now on.
    pub(crate) async fn push(&self, actor: &Actor, passenger: NewPassenger) -> Result<Passenger, Error> {
        let pushed = self.reservoir.push(actor, passenger).await?;
        self.metrics.fleet.pushed.inc();
        Ok(pushed)
    }

    /// All of them do, or none.
    pub(crate) async fn push_batch(
        &self,
        actor: &Actor,
        passengers: Vec<NewPassenger>,
    ) -> Result<Vec<Passenger>, Error> {
        let pushed = self.reservoir.push_batch(actor, passengers).await?;
        self.metrics.fleet.pushed.inc_by(pushed.len() as u64);
        Ok(pushed)
    }
}
