//! A fleet as it is: passengers who wait and say nothing, vehicles that tell where they are once a second on their
//! routes, dashboards that follow many routes each, and now and then somebody who boards. Passengers are the many, so
//! processes of their own hold them; everybody else lives in this one.

use std::cell::Cell;
use std::rc::Rc;

use anyhow::Context;
use signalbox_client::Wire;
use signalbox_client::protocol::{Target, Topic};

use super::arrival::{arrive, leave};
use super::boarding::Stream;
use super::subscribing::subscribe;
use super::{new_report, note_run, note_traffic, run_name};
use crate::cluster::Cluster;
use crate::meter;
use crate::observed::{Observed, Timeline};
use crate::options::Mixed;
use crate::pace::Schedule;
use crate::processes::check_open_files;
use crate::report::{Report, progress};
use crate::traffic::{Traffic, connect_all};
use crate::workers::{Plan, Workers};

/// Handshakes under way at once.
const AT_ONCE: usize = 32;

pub(crate) async fn run(options: &Mixed, cluster: &Cluster) -> anyhow::Result<Report> {
    let mut report = new_report("mixed", cluster).await;
    note_run(&mut report, &options.run);
    note_settings(&mut report, options);
    let fleet = Fleet::of(options);
    check_open_files(fleet.vehicles + fleet.dashboards)?;
    let run = run_name();
    let mut passengers = fleet.passengers(options.processes as usize, cluster, &run).await?;
    let mut dashboards = fleet.connect(cluster, &run, "dashboard", fleet.dashboards).await?;
    for (number, wire) in dashboards.iter_mut().enumerate() {
        subscribe(wire, fleet.followed(number).map(|route| topic(&run, route)).collect()).await?;
    }
    let vehicles = fleet.connect(cluster, &run, "vehicle", fleet.vehicles).await?;

    let time = options.run.warm_up_seconds + options.run.seconds;
    let boardings = Stream::try_new(cluster, options.boardings, time).await?;

    let timeline = Timeline::starting_now(options.run.warm_up_seconds, options.run.seconds);
    let observed = Observed::by_sender(timeline, fleet.vehicles, fleet.dashboards);
    observed.borrow_mut().plant(options.planted.plant);
    let mut traffic = Traffic::new(Rc::clone(&observed), timeline, options.payload.bytes);
    for (number, wire) in dashboards.into_iter().enumerate() {
        traffic.receive(number, wire, None);
    }
    let due = vehicles.into_iter().enumerate().map(|(number, wire)| {
        traffic.send_when_due(number, wire, Target::from(topic(&run, fleet.route_of(number))))
    });
    let due = due.collect();
    let each_second = Schedule::try_new(fleet.vehicles as f64).context("there is a vehicle")?;
    let pacing = Traffic::pace(timeline, each_second, due);
    let boarding = async {
        match boardings {
            Some(boardings) => boardings.run(timeline, &mut report).await,
            None => Ok(()),
        }
    };
    let mut generators = passengers.pids();
    generators.push(std::process::id());
    let measuring = meter::measure_with(cluster, generators, timeline, &*observed);
    let (paced, boarded, spent) = tokio::join!(pacing, boarding, measuring);
    boarded?;
    let expected = observed_by_all(&fleet, time, each_second);
    traffic.finish(|_| expected).await;
    if let Err(error) = paced {
        report.failure(error.to_string());
    }
    let spent = spent.context("the servers can't be measured")?;
    spent.note(&mut report, "delivery", "deliveries");
    spent.judge(&mut report, observed.borrow().send_lags().quantile(0.99));
    let findings = observed.borrow().findings_by_sender(|dashboard, vehicle| fleet.hears(dashboard, vehicle));
    note_traffic(&mut report, &observed, findings);
    let lost = leave(&mut passengers).await?;
    passengers.stop().await;
    report.result("lost_connections", lost);
    if lost > 0 {
        report.failure(format!("{lost} passengers were disconnected"));
    }
    Ok(report)
}

fn note_settings(report: &mut Report, options: &Mixed) {
    report.setting("payload_bytes", options.payload.bytes);
    report.setting("passengers", options.passengers);
    report.setting("processes", options.processes);
    report.setting("vehicles", options.vehicles);
    report.setting("dashboards", options.dashboards);
    report.setting("routes", options.routes);
    report.setting("routes_followed", options.routes_followed);
    report.setting("boardings_per_second", options.boardings);
}

fn topic(run: &str, route: usize) -> Topic {
    Topic::of("route", &format!("{run}-{route}")).expect("the run's name is an id")
}

/// How many there are of each, and who hears whom.
struct Fleet {
    passengers: usize,
    vehicles: usize,
    dashboards: usize,
    routes: usize,
    followed: usize,
}

impl Fleet {
    fn of(options: &Mixed) -> Self {
        let routes = options.routes as usize;
        Self {
            passengers: options.passengers as usize,
            vehicles: options.vehicles as usize,
            dashboards: options.dashboards as usize,
            routes,
            followed: (options.routes_followed as usize).min(routes),
        }
    }

    /// The processes that hold the passengers, who are connected.
    async fn passengers(&self, processes: usize, cluster: &Cluster, run: &str) -> anyhow::Result<Workers> {
        let all = self.passengers;
        let plan = Plan { connections: all, processes: processes.min(all), cluster };
        plan.check_beside(self.vehicles + self.dashboards)?;
        let mut workers = Workers::start(plan.processes)?;
        let connected = Cell::new(0);
        let more = |more| {
            connected.set(connected.get() + more);
            progress(&format!("{} of {all} passengers connected", connected.get()));
        };
        arrive(cluster, &mut workers, &plan.shares(run, AT_ONCE), more).await?;
        Ok(workers)
    }

    async fn connect(
        &self,
        cluster: &Cluster,
        run: &str,
        agent_type: &str,
        count: usize,
    ) -> anyhow::Result<Vec<Wire>> {
        let config = |number| cluster.connect_as(number, agent_type, &format!("{run}-{number}"));
        connect_all((0..count).map(config).collect(), AT_ONCE, |_| {}).await
    }

    fn route_of(&self, vehicle: usize) -> usize {
        vehicle % self.routes
    }

    /// The routes that a dashboard follows: so many from its own on, round and round.
    fn followed(&self, dashboard: usize) -> impl Iterator<Item = usize> {
        let routes = self.routes;
        (dashboard..dashboard + self.followed).map(move |route| route % routes)
    }

    fn hears(&self, dashboard: usize, vehicle: usize) -> bool {
        self.followed(dashboard).any(|route| route == self.route_of(vehicle))
    }
}

/// How many deliveries there will be in all.
fn observed_by_all(fleet: &Fleet, time: std::time::Duration, schedule: Schedule) -> u64 {
    let hearers =
        |vehicle| (0..fleet.dashboards).filter(|dashboard| fleet.hears(*dashboard, vehicle)).count();
    let hearers: Vec<u64> = (0..fleet.vehicles).map(|vehicle| hearers(vehicle) as u64).collect();
    (0..schedule.arrivals_before(time)).map(|number| hearers[number as usize % hearers.len()]).sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dashboards_hear_the_vehicles_of_their_routes() {
        let fleet = Fleet { passengers: 0, vehicles: 6, dashboards: 3, routes: 3, followed: 2 };
        assert_eq!(fleet.followed(2).collect::<Vec<_>>(), [2, 0]);
        let heard = (0..6).filter(|vehicle| fleet.hears(2, *vehicle));
        assert_eq!(heard.collect::<Vec<_>>(), [0, 2, 3, 5]);
        let schedule = Schedule::try_new(6.0).unwrap();
        assert_eq!(observed_by_all(&fleet, Duration::from_secs(2), schedule), 12 * 2);
    }
}
