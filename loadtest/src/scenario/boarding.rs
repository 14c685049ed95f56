//! Vehicles that race for passengers: how many board, how soon, and whether each was boarded once.

mod fleet;
mod line;
mod names;
mod record;
mod stream;
mod terms;
mod vehicle;
mod words;

use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::fleet::Fleet;
use self::line::Line;
use self::names::Names;
use self::record::{Record, Shared};
pub(super) use self::stream::Stream;
use self::terms::Terms;
use self::vehicle::Vehicle;
use super::{new_report, run_name};
use crate::asking::connect_askers;
use crate::checker::boardings::judge;
use crate::cluster::Cluster;
use crate::crew;
use crate::meter::{Meter, Spent};
use crate::options::Boarding;
use crate::processes::check_open_files;
use crate::report::Report;

pub(crate) async fn run(options: &Boarding, cluster: &Cluster) -> anyhow::Result<Report> {
    let mut report = new_report("boarding", cluster).await;
    note_settings(&mut report, options);
    check_open_files(2 * options.vehicles as usize)?;
    let terms = Rc::new(terms(options));
    let fleet = Fleet { cluster, terms: &terms, pools: options.pools };
    fleet.create().await.context("the fleet can't be created")?;
    let (record, spent) = race(options, cluster, &terms, &mut report).await?;
    report.figure("seconds", spent.wall.as_secs_f64());
    spent.note(&mut report, "boarding", "boardings");
    spent.judge(&mut report, Duration::ZERO);
    let outcome = fleet.outcome().await.context("the fleet can't be looked at")?;
    let record = record.borrow();
    record.note(&mut report);
    let verdict = judge(&record.history, Some(&outcome));
    verdict.note(&mut report, |number| record.history.operations[number as usize].to_string());
    Ok(report)
}

fn note_settings(report: &mut Report, options: &Boarding) {
    for (name, value) in [
        ("vehicles", options.vehicles),
        ("passengers", options.passengers),
        ("pools", options.pools),
        ("capacity", options.capacity),
        ("rivals", options.rivals),
    ] {
        report.setting(name, value);
    }
    report.setting("alight_percent", options.alight_percent);
    report.setting("double_percent", options.double_percent);
}

fn terms(options: &Boarding) -> Terms {
    Terms {
        names: Names::new(&run_name()),
        vehicles: options.vehicles,
        passengers: options.passengers,
        capacity: options.capacity,
        rivals: options.rivals,
        alight_percent: options.alight_percent,
        double_percent: options.double_percent,
        stop: CancellationToken::new(),
    }
}

/// Connects the vehicles and lets them race.
async fn race(
    options: &Boarding,
    cluster: &Cluster,
    terms: &Rc<Terms>,
    report: &mut Report,
) -> anyhow::Result<(Shared, Spent)> {
    let agent_id = |number| terms.names.vehicle(number);
    let first = connect_askers(cluster, options.vehicles, 0, agent_id).await?;
    let second = connect_askers(cluster, options.vehicles, 1, agent_id).await?;
    let tries = options.passengers as usize * options.rivals.min(options.vehicles) as usize;
    let record = Record::new(vec![options.capacity; options.vehicles as usize], 2 * tries);
    let meter = Meter::start(cluster, 0).await.context("the servers can't be measured")?;
    let mut vehicles = JoinSet::new();
    for (number, askers) in (0..).zip(first.into_iter().zip(second)) {
        let line = |asker| Line::new(number, asker, Rc::clone(&record), Rc::clone(terms));
        let lines = [line(askers.0), line(askers.1)];
        let vehicle = Vehicle::new(number, lines, Rc::clone(&record), Rc::clone(terms));
        vehicles.spawn_local(vehicle.run());
    }
    crew::finish(vehicles, options.seconds_max, &terms.stop, report).await;
    if terms.stop.is_cancelled() {
        let seconds = options.seconds_max.as_secs_f64();
        report.warning(format!("the race was stopped after {seconds} s"));
    }
    let boardings = record.borrow().boardings;
    let spent = meter.stop(boardings).await.context("the servers can't be measured")?;
    Ok((record, spent))
}
