//! One publisher, one topic, many subscribers on all nodes.

use std::rc::Rc;

use anyhow::Context;
use signalbox_client::protocol::{Target, Topic};

use super::subscribing::subscribe;
use super::{new_report, note_observed, note_run, run_name};
use crate::cluster::Cluster;
use crate::meter;
use crate::observed::{Observed, Timeline};
use crate::options::Fanout;
use crate::processes::check_open_files;
use crate::report::Report;
use crate::traffic::{Traffic, Window, connect_all};

/// Handshakes under way at once.
const AT_ONCE: usize = 32;

pub(crate) async fn run(options: &Fanout, cluster: &Cluster) -> anyhow::Result<Report> {
    let mut report = new_report("fanout", cluster).await;
    note_run(&mut report, &options.run);
    report.setting("payload_bytes", options.payload.bytes);
    report.setting("subscribers", options.subscribers);
    if options.full_speed {
        report.setting("window", options.window);
    } else {
        report.setting("rate_per_second", options.rate.per_second());
    }
    let subscribers = options.subscribers.max(1) as usize;
    check_open_files(subscribers + 1)?;

    let run = run_name();
    let topic = Topic::of("route", &run).context("the run's name is an id")?;
    let config = |number| cluster.connect_as(number, "passenger", &format!("{run}-{number}"));
    let mut receivers = connect_all((0..subscribers).map(config).collect(), AT_ONCE, |_| {}).await?;
    for wire in &mut receivers {
        subscribe(wire, vec![topic.clone()]).await?;
    }
    let publisher = vec![cluster.connect_as(0, "vehicle", &run)];
    let publisher = connect_all(publisher, 1, |_| {}).await?.pop().context("one was connected")?;

    let timeline = Timeline::starting_now(options.run.warm_up_seconds, options.run.seconds);
    let observed = Observed::new(timeline, 1, subscribers);
    let mut traffic = Traffic::new(Rc::clone(&observed), timeline, options.payload.bytes);
    let window = options.full_speed.then(|| Window::shared_by(options.subscribers.max(1), options.window));
    for (number, wire) in receivers.into_iter().enumerate() {
        traffic.receive(number, wire, window.clone());
    }
    let pacing = match window {
        Some(window) => {
            traffic.send_at_full_speed(0, publisher, Target::from(topic), window);
            None
        }
        None => {
            let due = traffic.send_when_due(0, publisher, Target::from(topic));
            Some(Traffic::pace(timeline, options.rate, vec![due]))
        }
    };
    let pacing = async { if let Some(pacing) = pacing { pacing.await } else { Ok(()) } };
    let (paced, spent) = tokio::join!(pacing, meter::measure(cluster, timeline, &*observed));
    traffic.finish(|sent| sent * subscribers as u64).await;
    if let Err(error) = paced {
        report.failure(error.to_string());
    }
    let spent = spent.context("the servers can't be measured")?;
    spent.note(&mut report, "delivery", "deliveries");
    spent.judge(&mut report, observed.borrow().send_lags().quantile(0.99));
    note_observed(&mut report, &observed, |_| 0);
    Ok(report)
}
