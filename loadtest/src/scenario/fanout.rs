//! One publisher, one topic, many subscribers on all nodes.

mod beside;

use std::io;
use std::rc::Rc;

use anyhow::Context;
use signalbox_client::Wire;
use signalbox_client::protocol::{Target, Topic};

use super::subscribing::subscribe;
use super::{new_report, note_observed, note_run, run_name};
use crate::cluster::Cluster;
use crate::hiccups::Watch;
use crate::meter::{self, Spent};
use crate::observed::{Observed, Shared, Timeline};
use crate::options::Fanout;
use crate::processes::check_open_files;
use crate::report::Report;
use crate::traffic::{Traffic, Window, connect_all};

/// Handshakes under way at once.
const AT_ONCE: usize = 32;

pub(crate) async fn run(options: &Fanout, cluster: &Cluster) -> anyhow::Result<Report> {
    let mut report = new_report("fanout", cluster).await;
    note_settings(&mut report, options);
    check_open_files(subscribers(options) + 1)?;
    // Where the servers can't be measured there is nothing to compare.
    let compares = !options.bare.bare_seconds.is_zero() && !cluster.node_pids().is_empty();
    let bare = if compares { beside::measure(options, &mut report).await? } else { Vec::new() };

    let mut crowd = Crowd::connect(cluster, subscribers(options)).await?;
    for wire in &mut crowd.subscribers {
        subscribe(wire, vec![crowd.topic.clone()]).await?;
    }
    let watch = Watch::start(options.watch.watch_hiccups, &mut report);
    let timeline = Timeline::starting_now(options.run.warm_up_seconds, options.run.seconds);
    let Broadcast { observed, spent, paced } =
        broadcast(crowd, options, timeline, cluster, watch.as_ref()).await?;
    if let Err(error) = paced {
        report.failure(error.to_string());
    }
    spent.note(&mut report, "delivery", "deliveries");
    spent.judge(&mut report, observed.borrow().send_lags().quantile(0.99));
    beside::compare(&bare, options, &spent, &mut report);
    note_observed(&mut report, &observed, |_| 0);
    if let Some(watch) = watch {
        watch.note(&mut report);
    }
    Ok(report)
}

fn note_settings(report: &mut Report, options: &Fanout) {
    note_run(report, &options.run);
    report.setting("payload_bytes", options.payload.bytes);
    report.setting("subscribers", options.subscribers);
    if options.full_speed {
        report.setting("window", options.window);
    } else {
        report.setting("rate_per_second", options.rate.per_second());
    }
}

fn subscribers(options: &Fanout) -> usize {
    options.subscribers.max(1) as usize
}

/// All clients of the run, connected.
struct Crowd {
    subscribers: Vec<Wire>,
    publisher: Wire,
    topic: Topic,
}

impl Crowd {
    async fn connect(cluster: &Cluster, subscribers: usize) -> anyhow::Result<Self> {
        let run = run_name();
        let topic = Topic::of("route", &run).context("the run's name is an id")?;
        let config = |number| cluster.connect_as(number, "passenger", &format!("{run}-{number}"));
        let subscribers = connect_all((0..subscribers).map(config).collect(), AT_ONCE, |_| {}).await?;
        let publisher = vec![cluster.connect_as(0, "vehicle", &run)];
        let publisher = connect_all(publisher, 1, |_| {}).await?.pop().context("one was connected")?;
        Ok(Self { subscribers, publisher, topic })
    }
}

/// What came of all that was published.
struct Broadcast {
    observed: Shared,
    spent: Spent,
    paced: io::Result<()>,
}

/// Publishes for as long as the timeline says, and measures it.
async fn broadcast(
    crowd: Crowd,
    options: &Fanout,
    timeline: Timeline,
    cluster: &Cluster,
    watch: Option<&Watch>,
) -> anyhow::Result<Broadcast> {
    let subscribers = crowd.subscribers.len();
    let observed = Observed::new(timeline, 1, subscribers);
    observed.borrow_mut().plant(options.planted.plant);
    observed.borrow_mut().leave_out(watch.map(Watch::path))?;
    let mut traffic = Traffic::new(Rc::clone(&observed), timeline, options.payload.bytes);
    let window = options.full_speed.then(|| Window::shared_by(subscribers as u32, options.window));
    for (number, wire) in crowd.subscribers.into_iter().enumerate() {
        traffic.receive(number, wire, window.clone());
    }
    let target = Target::from(crowd.topic);
    let pacing = match window {
        Some(window) => {
            traffic.send_at_full_speed(0, crowd.publisher, target, window);
            None
        }
        None => {
            let due = traffic.send_when_due(0, crowd.publisher, target);
            Some(Traffic::pace(timeline, options.rate, vec![due]))
        }
    };
    let pacing = async { if let Some(pacing) = pacing { pacing.await } else { Ok(()) } };
    let (paced, spent) = tokio::join!(pacing, meter::measure(cluster, timeline, &*observed));
    traffic.finish(|sent| sent * subscribers as u64).await;
    Ok(Broadcast { observed, spent: spent.context("the servers can't be measured")?, paced })
}
