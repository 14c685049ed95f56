//! Good clients beside hostile ones: whether they notice, and whether the nodes are afterwards as they were.
//!
//! The same traffic runs quietly first, and then beside each kind of hostile client in turn: while they attack a
//! bystander, a node that serves no good client, which shows what they cost the machine, and then the first node.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use signalbox_client::protocol::{Target, Topic};
use tokio::time::{Instant, sleep};

use super::{new_report, note_run, run_name};
use crate::cluster::Cluster;
use crate::hostile::{Attack, Attackers, Ending, Endings};
use crate::http;
use crate::latency::Latencies;
use crate::observed::{Observed, Timeline};
use crate::options::Hostile;
use crate::processes::check_open_files;
use crate::procfs;
use crate::report::{Report, micros, progress};
use crate::sequence::Findings;
use crate::traffic::{Traffic, connect_all};

const AT_ONCE: usize = 32;
/// The node that serves no good client: they use the first two.
const BYSTANDER: usize = 2;
/// How long descriptors and tasks may take to be what they were: longer than any deadline of a node for a socket.
const BACK_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What was seen during an attack.
struct Attacked {
    latencies: Latencies,
    during: Held,
    endings: Endings,
}

/// What the nodes hold, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    files: u64,
    tasks: u64,
    /// Resident at most, ever.
    peak_bytes: u64,
}

pub(crate) async fn run(options: &Hostile, cluster: &Cluster) -> anyhow::Result<Report> {
    let mut report = new_report("hostile", cluster).await;
    note_run(&mut report, &options.run);
    report.setting("good_clients", 2 * options.pairs);
    report.setting("hostile_clients", options.attackers);
    report.setting("rate_per_second", options.rate.per_second());
    check_open_files(2 * options.pairs as usize + options.attackers)?;
    let mut run = Measuring { options, cluster, report, findings: Findings::default() };
    // What is made once, as buffers of threads and routes of Redis, is made before anything is compared.
    run.good_traffic("warm-up").await?;
    let start = settled(cluster, None).await?;
    let quiet = run.good_traffic("quiet").await?;
    let during = held(cluster).await?;
    run.note("quiet", &quiet, during);
    for attack in chosen(&options.attacks)? {
        run.under(&attack, start, quiet.quantile(0.99)).await?;
    }
    progress("");
    run.report.findings(run.findings);
    Ok(run.report)
}

/// A run under way.
struct Measuring<'a> {
    options: &'a Hostile,
    cluster: &'a Cluster,
    report: Report,
    findings: Findings,
}

impl Measuring<'_> {
    /// One kind of hostile clients, and what there is to say of it.
    async fn under(&mut self, attack: &Attack, start: Held, quiet_p99: Duration) -> anyhow::Result<()> {
        let name = attack.name;
        let before = settled(self.cluster, Some(start)).await?;
        let beside = match self.options.no_bounds {
            true => None,
            false => Some(self.attacked(attack, BYSTANDER).await?.latencies),
        };
        settled(self.cluster, Some(before)).await?;
        let Attacked { latencies, during, endings } = self.attacked(attack, 0).await?;
        self.note(name, &latencies, during);
        let p99 = |latencies: &Latencies| micros(latencies.quantile(0.99)).max(1.0);
        self.report
            .figure(format!("{name}: p99 in quiet p99s"), p99(&latencies) / micros(quiet_p99).max(1.0));
        if let Some(beside) = beside {
            let times = p99(&latencies) / p99(&beside);
            self.report.figure(format!("{name}: p99 us beside a bystander"), p99(&beside));
            self.report.figure(format!("{name}: p99 in bystander's p99s"), times);
            if times > 2.0 {
                let text = format!(
                    "{name}: the good clients' p99 is {times:.1} times that beside the same attack on a bystander"
                );
                self.report.failure(text);
            }
        }
        self.judge_endings(attack, &endings);
        let grown = during.peak_bytes.saturating_sub(start.peak_bytes);
        if grown > self.growth_allowed() {
            self.report.failure(format!("{name}: the nodes grew by {} MiB", grown >> 20));
        }
        let after = settled(self.cluster, Some(before)).await?;
        self.report
            .result(format!("{name}: files before and after"), format!("{}, {}", before.files, after.files));
        self.report
            .result(format!("{name}: tasks before and after"), format!("{}, {}", before.tasks, after.tasks));
        if after.files > before.files || after.tasks > before.tasks {
            self.report.failure(format!("{name}: something is left behind: {before:?}, then {after:?}"));
        }
        Ok(())
    }

    /// The good clients' traffic while somebody attacks the node of this number.
    async fn attacked(&mut self, attack: &Attack, node: usize) -> anyhow::Result<Attacked> {
        let node =
            self.cluster.nodes.get(node).context("three nodes are needed: the third is a bystander")?;
        let attackers = Attackers::start(attack, &node.address, self.options.attackers);
        let latencies = self.good_traffic(attack.name).await?;
        let during = held(self.cluster).await?;
        Ok(Attacked { latencies, during, endings: attackers.stop().await? })
    }

    /// For each attacker a message and an outbox of the default sizes, and what allocators keep.
    fn growth_allowed(&self) -> u64 {
        (self.options.attackers as u64 * 2 + 64) << 20
    }

    fn judge_endings(&mut self, attack: &Attack, endings: &Endings) {
        let name = attack.name;
        let told: Vec<String> = endings.iter().map(|(ending, count)| format!("{ending} x {count}")).collect();
        self.report.result(format!("{name}: endings"), told.join(", "));
        if let Some(strange) = endings.keys().find(|ending| !is_expected(attack, **ending)) {
            self.report.failure(format!("{name}: a connection was {strange}"));
        }
        if !endings.keys().any(|ending| attack.ends.contains(ending)) {
            self.report.failure(format!("{name}: nobody was parted with as it should be"));
        }
    }

    fn note(&mut self, name: &str, latencies: &Latencies, held: Held) {
        self.report.figure(format!("{name}: p50 us"), micros(latencies.quantile(0.5)));
        self.report.figure(format!("{name}: p99 us"), micros(latencies.quantile(0.99)));
        self.report.figure(format!("{name}: peak resident MiB"), held.peak_bytes as f64 / f64::from(1 << 20));
    }

    /// The good clients: pairs across nodes. Whatever they lose fails the run.
    async fn good_traffic(&mut self, name: &str) -> anyhow::Result<Latencies> {
        progress(&format!("{name}: connecting"));
        let (options, run) = (self.options, run_name());
        let pairs = options.pairs.max(1) as usize;
        let agents = |node, agent_type: &'static str| {
            let (cluster, run) = (self.cluster, &run);
            let config = move |pair| cluster.connect_as(node, agent_type, &format!("{run}-{pair}"));
            (0..pairs).map(config).collect()
        };
        let receivers = connect_all(agents(1, "vehicle"), AT_ONCE, |_| {}).await?;
        let senders = connect_all(agents(0, "passenger"), AT_ONCE, |_| {}).await?;
        let timeline = Timeline::starting_now(options.run.warm_up_seconds, options.run.seconds);
        let observed = Observed::new(timeline, pairs, pairs);
        let mut traffic = Traffic::new(Rc::clone(&observed), timeline, options.payload.bytes);
        let mut paced = Vec::new();
        for (pair, (receiver, sender)) in receivers.into_iter().zip(senders).enumerate() {
            let vehicle =
                Topic::of("vehicle", &format!("{run}-{pair}")).context("the run's name is an id")?;
            traffic.receive(pair, receiver, None);
            paced.push(traffic.send_when_due(pair, sender, Target::from(vehicle)));
        }
        let paced = Traffic::pace(timeline, options.rate, paced).await;
        // The last one was only told to its sender: how many were sent is not known there yet.
        let told = options.rate.arrivals_before(timeline.end());
        traffic.finish(|_| told).await;
        if let Err(error) = paced {
            self.report.failure(format!("{name}: {error}"));
        }
        let mut observed = observed.borrow_mut();
        self.findings += observed.findings(|receiver| receiver);
        if let Some((count, first)) = observed.errors() {
            self.report.failure(format!("{name}: {count} errors, the first: {first}"));
        }
        Ok(observed.latencies().clone())
    }
}

/// The kinds with these names; without names all.
fn chosen(names: &[String]) -> anyhow::Result<Vec<Attack>> {
    let mut all = Attack::all();
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|attack| attack.name != name.as_str())) {
        let known: Vec<&str> = all.iter().map(|attack| attack.name).collect();
        bail!("no attack is called {unknown:?}; there are: {}", known.join(", "));
    }
    all.retain(|attack| names.is_empty() || names.iter().any(|name| name == attack.name));
    Ok(all)
}

/// Whoever comes too often is turned away, where that is limited.
fn is_expected(attack: &Attack, ending: Ending) -> bool {
    ending == Ending::Status(429) || attack.ends.contains(&ending)
}

/// What the nodes hold once nothing of the clients is left, at most so long: no more than `like`, or twice the same.
async fn settled(cluster: &Cluster, like: Option<Held>) -> anyhow::Result<Held> {
    let deadline = Instant::now() + BACK_WITHIN;
    let mut last = held(cluster).await?;
    while Instant::now() < deadline {
        sleep(LOOK_EVERY).await;
        let now = held(cluster).await?;
        let is_settled = match like {
            Some(like) => now.files <= like.files && now.tasks <= like.tasks,
            None => (now.files, now.tasks) == (last.files, last.tasks),
        };
        last = now;
        if is_settled {
            break;
        }
    }
    Ok(last)
}

async fn held(cluster: &Cluster) -> anyhow::Result<Held> {
    let mut held = Held { files: 0, tasks: 0, peak_bytes: 0 };
    for pid in cluster.node_pids() {
        held.files += procfs::open_files(pid).context("a node ended")?;
        held.peak_bytes += procfs::peak_resident_bytes(pid).context("a node ended")?;
    }
    for node in &cluster.nodes {
        let (_, text) = http::get(&node.address, "/metrics").await?;
        held.tasks += http::metric(&text, "signalbox_tasks").context("no signalbox_tasks")? as u64;
    }
    Ok(held)
}
