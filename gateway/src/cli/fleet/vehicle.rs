//! One vehicle of the fleet: its task drives, asks, boards and lets off, one thing after the other.
//!
//! What must stay true: a boarding whose answer was lost is asked again, with the same `request_id`, until it is
//! answered; meanwhile the vehicle stands. So its conductor always knows who is on board.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use fastrand::Rng;
use serde_json::json;
use signalbox_protocol::control::{CommutersFound, QueryCommuters};
use signalbox_protocol::fleet::Pool;
use signalbox_protocol::{Fault, PassengerId, Received, VehicleId};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::conductor::Conductor;
use super::link::{Asked, Link, NoLink};
use super::shared::{METRES_PER_SECOND, Shared};

mod boarding;

/// How often a vehicle looks where it is.
const TICK: Duration = Duration::from_millis(100);
/// How often it tells.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// A vehicle with its conductor.
#[derive(Debug)]
pub(super) struct Vehicle {
    pub(super) id: VehicleId,
    pub(super) route: Pool,
    pub(super) conductor: Conductor,
    pub(super) link: Link,
    pub(super) shared: Arc<Shared>,
    pub(super) rng: Rng,
    /// Passengers whose boarding nobody knew of at the end.
    pub(super) unresolved: HashSet<PassengerId>,
}

impl Vehicle {
    /// Drives until the run ends.
    pub(super) async fn work(mut self) -> anyhow::Result<Self> {
        let name = self.id.clone();
        match self.drive_on().await {
            Ok(()) => Ok(self),
            Err(error) => Err(error.context(format!("vehicle {name} broke down"))),
        }
    }

    async fn drive_on(&mut self) -> anyhow::Result<()> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut moved_at = Instant::now();
        let mut report_at = moved_at;
        let mut query_at = moved_at + self.shared.query_every.mul_f64(self.rng.f64());
        loop {
            tokio::select! {
                () = self.shared.ending.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            let now = Instant::now();
            let metres = (now - moved_at).as_secs_f64() * METRES_PER_SECOND * self.shared.speed;
            let reached = self.conductor.drive(metres);
            if now >= report_at {
                report_at = now + REPORT_EVERY;
                self.report().await?;
            }
            if !reached.is_empty() {
                self.let_off(reached).await?;
            }
            if now >= query_at {
                query_at = now + self.shared.query_every;
                self.pick_up().await?;
            }
            // It stood still meanwhile.
            moved_at = Instant::now();
        }
    }

    /// Tells whoever follows the route where the vehicle is.
    async fn report(&mut self) -> anyhow::Result<()> {
        let data = json!({
            "vehicle_id": self.id, "route_id": self.route.id(), "position": self.conductor.position(),
            "direction": self.conductor.heading(), "seats_left": self.conductor.free_seats(),
        });
        match self.link.mention("vehicle:position_update", &data, self.route.as_str()).await {
            Ok(()) | Err(NoLink::GivenUp) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Looks who waits nearby, and boards whom it can.
    async fn pick_up(&mut self) -> anyhow::Result<()> {
        let Some(found) = self.query().await? else { return Ok(()) };
        let choices = self.conductor.choose(&found.commuters);
        if choices.is_empty() {
            return Ok(());
        }
        self.halt("boarding", choices.len()).await?;
        let mut boarded = 0;
        for choice in choices {
            boarded += u32::from(self.board(choice).await?);
        }
        self.go_on(boarded).await
    }

    async fn query(&mut self) -> anyhow::Result<Option<CommutersFound>> {
        let free = self.conductor.free_seats();
        if free == 0 {
            return Ok(None);
        }
        let query = QueryCommuters {
            route_id: Some(self.route.id().to_owned()),
            depot_id: None,
            position: self.conductor.position(),
            radius_km: self.shared.radius_km,
            max_results: free.min(signalbox_protocol::limits::QUERY_RESULTS_MAX),
        };
        let begun = Instant::now();
        let asked = match self.link.ask("vehicle:query_commuters", &query).await {
            Err(NoLink::GivenUp) => return Ok(None),
            asked => asked?,
        };
        match asked {
            Asked::Answered(answer) => {
                let mut tally = self.shared.tally();
                tally.queries += 1;
                tally.query.record(begun.elapsed());
                Ok(Some(read(&answer, "vehicle:commuters_found")?))
            }
            Asked::Refused(fault) if !fault.code.retryable() => Err(anyhow!(told(&fault))),
            Asked::Refused(_) | Asked::Unknown | Asked::NotSent => {
                self.shared.tally().queries_failed += 1;
                Ok(None)
            }
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: &Received, expected: &str) -> anyhow::Result<T> {
    if answer.message_type != expected {
        bail!("instead of {expected} came {}", answer.message_type);
    }
    Ok(answer.data()?)
}

fn told(fault: &Fault) -> String {
    format!("{} ({})", fault.message, fault.code)
}
