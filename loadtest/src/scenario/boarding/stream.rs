//! Boardings beside other traffic: whenever one is due, two of a few vehicles try for the next passenger.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::fleet::Fleet;
use super::line::Line;
use super::names::Names;
use super::record::{Record, Shared};
use super::terms::Terms;
use super::vehicle::Vehicle;
use crate::asking::connect_askers;
use crate::checker::boardings::judge;
use crate::cluster::Cluster;
use crate::crew;
use crate::observed::Timeline;
use crate::pace::{Pacer, Schedule};
use crate::report::Report;
use crate::scenario::run_name;

const VEHICLES: u32 = 8;
const CAPACITY: u32 = 16;
const POOLS: u32 = 2;

/// How many vehicles try for each passenger: one of them is denied.
const RIVALS: u32 = 2;

/// How often, in percent, a vehicle lets somebody alight before it boards the next.
const ALIGHT_PERCENT: u64 = 30;

/// How often, in percent, a vehicle asks the same through both connections at once.
const DOUBLE_PERCENT: u64 = 10;

/// Passengers that a vehicle may have been told of and not have tried for.
const TOLD_MAX: usize = 64;

/// What was begun when the last one was due ends within this time.
const END_WITHIN: Duration = Duration::from_secs(15);

/// The vehicles, connected, and the passengers that wait for them.
#[derive(Debug)]
pub(in crate::scenario) struct Stream<'a> {
    cluster: &'a Cluster,
    schedule: Schedule,
    terms: Rc<Terms>,
    record: Shared,
    vehicles: Vec<Vehicle>,
}

impl<'a> Stream<'a> {
    /// Creates passengers for so many boardings a second, and connects the vehicles. `None` if there are to be none.
    pub(in crate::scenario) async fn try_new(
        cluster: &'a Cluster,
        per_second: u32,
        time: Duration,
    ) -> anyhow::Result<Option<Self>> {
        let Some(schedule) = Schedule::try_new(per_second.into()) else { return Ok(None) };
        let terms = Rc::new(Terms {
            names: Names::new(&run_name()),
            vehicles: VEHICLES,
            passengers: u32::try_from(schedule.arrivals_before(time)).context("so many never board")?,
            capacity: CAPACITY,
            rivals: RIVALS,
            alight_percent: ALIGHT_PERCENT,
            double_percent: DOUBLE_PERCENT,
            stop: CancellationToken::new(),
        });
        let fleet = Fleet { cluster, terms: &terms, pools: POOLS };
        fleet.create().await.context("the passengers who board can't be created")?;
        let agent_id = |number| terms.names.vehicle(number);
        let first = connect_askers(cluster, VEHICLES, 0, agent_id).await?;
        let second = connect_askers(cluster, VEHICLES, 1, agent_id).await?;
        let attempts = terms.passengers as usize * RIVALS as usize;
        let record = Record::new(vec![CAPACITY; VEHICLES as usize], 2 * attempts);
        let vehicles = (0..).zip(first.into_iter().zip(second)).map(|(number, askers)| {
            let line = |asker| Line::new(number, asker, Rc::clone(&record), Rc::clone(&terms));
            let lines = [line(askers.0), line(askers.1)];
            Vehicle::new(number, lines, Rc::clone(&record), Rc::clone(&terms))
        });
        let vehicles = vehicles.collect();
        Ok(Some(Self { cluster, schedule, terms, record, vehicles }))
    }

    /// Boards until the timeline ends, and notes what came of it; any violation is a failure.
    pub(in crate::scenario) async fn run(
        mut self,
        timeline: Timeline,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let (mut tasks, mut told) = (JoinSet::new(), Vec::new());
        for vehicle in self.vehicles.drain(..) {
            let (tell, hear) = mpsc::channel(TOLD_MAX);
            told.push(tell);
            tasks.spawn_local(vehicle.run_when_told(hear));
        }
        let not_tried = self.tell_when_due(timeline, &told).await?;
        drop(told);
        crew::finish(tasks, END_WITHIN, &self.terms.stop, report).await;
        self.note(report).await?;
        if not_tried > 0 {
            report.warning(format!("{not_tried} boardings were due and never tried"));
        }
        Ok(())
    }

    /// Tells those who try for it of each passenger in turn; answers how often one had too much to do.
    async fn tell_when_due(&self, timeline: Timeline, told: &[mpsc::Sender<u32>]) -> anyhow::Result<u64> {
        let (mut pacer, mut not_tried) = (Pacer::new()?, 0);
        for passenger in 0..self.terms.passengers {
            pacer.until(timeline.began + self.schedule.due(passenger.into())).await?;
            for (number, vehicle) in (0..).zip(told) {
                if self.terms.tries(number, passenger) && vehicle.try_send(passenger).is_err() {
                    not_tried += 1;
                }
            }
        }
        Ok(not_tried)
    }

    async fn note(&self, report: &mut Report) -> anyhow::Result<()> {
        let fleet = Fleet { cluster: self.cluster, terms: &self.terms, pools: POOLS };
        let outcome = fleet.outcome().await.context("those who boarded can't be looked at")?;
        let record = self.record.borrow();
        record.note(report);
        let verdict = judge(&record.history, Some(&outcome));
        verdict.note(report, |number| record.history.operations[number as usize].to_string());
        Ok(())
    }
}
