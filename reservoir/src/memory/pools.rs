//! Who is in which pool: everybody by id, and those who wait by how far north they are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use signalbox_protocol::PassengerId;
use signalbox_protocol::fleet::{GeoPoint, Passenger, Pool};

use crate::repository::METRES_PER_DEGREE;

/// How fine the order from south to north is, per degree.
const STEPS_PER_DEGREE: f64 = 1e7;

/// The pools of a fleet; one that nobody is in takes no memory.
#[derive(Debug, Default)]
pub(super) struct Pools(HashMap<Pool, OnePool>);

#[derive(Debug, Default)]
struct OnePool {
    all: BTreeSet<PassengerId>,
    waiting: BTreeMap<i64, BTreeSet<PassengerId>>,
    waiting_count: usize,
}

fn step(degrees: f64) -> i64 {
    (degrees * STEPS_PER_DEGREE).floor() as i64
}

impl Pools {
    /// Takes one in who waits.
    pub(super) fn add(&mut self, passenger: &Passenger) {
        let pool = self.0.entry(passenger.pool.clone()).or_default();
        pool.all.insert(passenger.passenger_id.clone());
        let here = pool.waiting.entry(step(passenger.position.lat())).or_default();
        pool.waiting_count += usize::from(here.insert(passenger.passenger_id.clone()));
    }

    /// The passenger waits no longer.
    pub(super) fn wait_over(&mut self, passenger: &Passenger) {
        let Some(pool) = self.0.get_mut(&passenger.pool) else { return };
        let at = step(passenger.position.lat());
        let Some(here) = pool.waiting.get_mut(&at) else { return };
        pool.waiting_count -= usize::from(here.remove(&passenger.passenger_id));
        if here.is_empty() {
            pool.waiting.remove(&at);
        }
    }

    /// The passenger, who does not wait, is forgotten.
    pub(super) fn forget(&mut self, passenger: &Passenger) {
        let Some(pool) = self.0.get_mut(&passenger.pool) else { return };
        pool.all.remove(&passenger.passenger_id);
        if pool.all.is_empty() {
            self.0.remove(&passenger.pool);
        }
    }

    /// Everybody in a pool, by id.
    pub(super) fn all(&self, pool: &Pool) -> Option<&BTreeSet<PassengerId>> {
        self.0.get(pool).map(|pool| &pool.all)
    }

    /// How many wait.
    pub(super) fn waiting_count(&self, pool: &Pool) -> usize {
        self.0.get(pool).map_or(0, |pool| pool.waiting_count)
    }

    /// Who waits.
    pub(super) fn waiting(&self, pool: &Pool) -> impl Iterator<Item = &PassengerId> {
        self.0.get(pool).into_iter().flat_map(|pool| pool.waiting.values().flatten())
    }

    /// Who waits no further to the north or south of a place than `metres`, and some more.
    pub(super) fn in_band(
        &self,
        pool: &Pool,
        middle: GeoPoint,
        metres: f64,
    ) -> impl Iterator<Item = &PassengerId> {
        let degrees = metres / METRES_PER_DEGREE;
        let band = step(middle.lat() - degrees)..=step(middle.lat() + degrees);
        self.0
            .get(pool)
            .into_iter()
            .flat_map(move |pool| pool.waiting.range(band.clone()).flat_map(|(_, ids)| ids))
    }
}
