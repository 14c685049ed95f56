//! What all tasks of a run share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::FleetArgs;
use super::audit::Audit;
use super::tally::Tally;

/// How fast vehicles drive at the speed of 1: 30 km/h.
pub(super) const METRES_PER_SECOND: f64 = 30.0 / 3.6;

/// What all tasks of a run share. The locks are held for a few lines, never across an await, and never both.
#[derive(Debug)]
pub(super) struct Shared {
    audit: Mutex<Audit>,
    tally: Mutex<Tally>,
    /// Nobody drives on.
    pub(super) ending: CancellationToken,
    /// Nobody waits for an answer any more.
    pub(super) give_up: CancellationToken,
    pub(super) speed: f64,
    pub(super) query_every: Duration,
    pub(super) radius_km: f64,
}

impl Shared {
    pub(super) fn new(args: &FleetArgs) -> Self {
        let between_km = args.query_seconds * METRES_PER_SECOND * args.speed / 1_000.0;
        let radius_km = between_km.clamp(signalbox_protocol::limits::QUERY_RADIUS_KM, 10.0);
        Self {
            audit: Mutex::new(Audit::new()),
            tally: Mutex::default(),
            ending: CancellationToken::new(),
            give_up: CancellationToken::new(),
            speed: args.speed,
            query_every: args.query_every(),
            radius_km: args.radius_km.unwrap_or(radius_km),
        }
    }

    pub(super) fn audit(&self) -> MutexGuard<'_, Audit> {
        self.audit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
