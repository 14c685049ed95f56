//! Everybody at once: how soon all are in, and, when a node dies, how soon its clients are somewhere else.

mod client;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::client::{Client, Crowd};
use super::{new_report, run_name};
use crate::cluster::Cluster;
use crate::options::Storm;
use crate::processes::check_open_files;
use crate::procfs;
use crate::report::{Report, progress};

/// How often the crowd is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Clients end within this time.
const END_WITHIN: Duration = Duration::from_secs(10);

pub(crate) async fn run(options: &Storm, cluster: &Cluster) -> anyhow::Result<Report> {
    let mut report = new_report("storm", cluster).await;
    let clients = options.connections.max(1);
    report.setting("connections", clients);
    report.setting("within_seconds", options.within_seconds.as_secs_f64());
    check_open_files(clients)?;
    let (stop, run) = (CancellationToken::new(), run_name());
    let crowd = Rc::new(RefCell::new(Crowd::starting_now()));
    let mut tasks = JoinSet::new();
    for number in 0..clients {
        let roads = (0..cluster.nodes.len())
            .map(|turn| cluster.connect_as(number + turn, "passenger", &format!("{run}-{number}")))
            .collect();
        let mut client = Client::new(number, roads, Rc::clone(&crowd));
        client.leaves_once = options.planted.plant_loss && number == 0;
        tasks.spawn_local(stop.clone().run_until_cancelled_owned(client.stay()));
    }
    wave("arrival", clients, options, &crowd, &mut report).await;
    note_left(crowd.borrow().left_others, "arrival_left", &mut report);
    let of_first = crowd.borrow().on(0);
    if cluster.nodes.len() > 1 && !options.no_kill {
        let pid = *cluster.node_pids().first().context("a node is killed only if it was started here")?;
        crowd.borrow_mut().begin_anew();
        kill(pid)?;
        wave("return", of_first, options, &crowd, &mut report).await;
        note_left(crowd.borrow().left_others, "left_other_nodes", &mut report);
    }
    note_memory(cluster, &mut report);
    stop.cancel();
    if timeout(END_WITHIN, tasks.join_all()).await.is_err() {
        report.warning("some clients did not end in time");
    }
    progress("");
    Ok(report)
}

/// Waits until so many have come since the wave began, and notes how it went.
async fn wave(name: &str, clients: usize, options: &Storm, crowd: &RefCell<Crowd>, report: &mut Report) {
    let deadline = Instant::now() + options.within_seconds;
    while crowd.borrow().came() < clients && Instant::now() < deadline {
        sleep(LOOK_EVERY).await;
        progress(&format!("{name}: {} of {clients}", crowd.borrow().came()));
    }
    let crowd = crowd.borrow();
    report.result(format!("{name}_clients"), crowd.came());
    report
        .figure(format!("{name}_clients_per_second"), crowd.came() as f64 / crowd.last_after().as_secs_f64());
    report.latencies(name, crowd.took());
    report.result(format!("{name}_refused"), crowd.refused);
    report.result(format!("{name}_failed_attempts"), crowd.failed);
    let missing = clients.saturating_sub(crowd.came());
    if missing > 0 {
        report.failure(format!(
            "{name}: {missing} of {clients} clients were not in after {:?}",
            options.within_seconds
        ));
    }
}

/// Notes how many connections ended although their nodes live.
fn note_left(left: u64, name: &'static str, report: &mut Report) {
    report.result(name, left);
    if left > 0 {
        report.failure(format!("{left} connections to nodes that live ended: {name}"));
    }
}

fn kill(pid: u32) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process has an id")?;
    kill_process(pid, Signal::KILL).context("our own node can be killed")
}

fn note_memory(cluster: &Cluster, report: &mut Report) {
    let alive = cluster.node_pids().into_iter().filter_map(|pid| procfs::peak_resident_bytes(pid).ok());
    if let Some(peak) = alive.max() {
        report.result("node_resident_bytes_peak", peak);
    }
}
