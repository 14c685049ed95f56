//! Good clients beside hostile ones: whether they notice, and whether the nodes are afterwards as they were.
//!
//! The same traffic runs quietly first, and then beside each kind of hostile client in turn: while they attack a
//! bystander, a node that serves no good client, which shows what they cost the machine, and then the first node.

mod held;

use std::rc::Rc;

use anyhow::{Context, bail};

use self::held::{Held, held, settled};
use super::pairs;
use super::{new_report, note_run};
use crate::cluster::Cluster;
use crate::hostile::{Attack, Attackers, Ending, Endings};
use crate::latency::Latencies;
use crate::observed::{Observed, Timeline};
use crate::options::Hostile;
use crate::processes::check_open_files;
use crate::report::{Report, micros, progress};
use crate::sequence::Findings;
use crate::traffic::Traffic;

/// The node that serves no good client: they use the first two.
const BYSTANDER: usize = 2;

/// What was seen of one kind of hostile clients, round by round.
#[derive(Default)]
struct Attacked {
    p50s: Vec<f64>,
    p99s: Vec<f64>,
    /// The same while they attacked the bystander.
    beside_p99s: Vec<f64>,
    peak_bytes: u64,
    endings: Endings,
}

pub(crate) async fn run(options: &Hostile, cluster: &Cluster) -> anyhow::Result<Report> {
    let mut report = new_report("hostile", cluster).await;
    note_run(&mut report, &options.run);
    report.setting("good_clients", 2 * options.pairs);
    report.setting("hostile_clients", options.attackers);
    report.setting("rounds", options.rounds);
    report.setting("rate_per_second", options.rate.per_second());
    check_open_files(2 * options.pairs as usize + options.attackers)?;
    let mut run = Measuring { options, cluster, report, findings: Findings::default() };
    // What is made once, as buffers of threads and routes of Redis, is made before anything is compared.
    run.good_traffic("warm-up").await?;
    let start = settled(cluster, None).await?;
    let quiet = run.good_traffic("quiet").await?;
    let during = held(cluster).await?;
    let quiet_p99 = quantile(&quiet, 0.99);
    run.note("quiet", quantile(&quiet, 0.5), quiet_p99, during.peak_bytes);
    for attack in chosen(&options.attacks)? {
        run.under(&attack, start, quiet_p99).await?;
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
    async fn under(&mut self, attack: &Attack, start: Held, quiet_p99: f64) -> anyhow::Result<()> {
        let before = settled(self.cluster, Some(start)).await?;
        let mut attacked = Attacked::default();
        for _ in 0..if self.options.no_bounds { 1 } else { self.options.rounds } {
            self.round(attack, &mut attacked).await?;
            settled(self.cluster, Some(before)).await?;
        }
        self.judge_latencies(attack.name, &attacked, quiet_p99);
        self.judge_endings(attack, &attacked.endings);
        self.judge_remains(attack.name, attacked.peak_bytes, start, before).await
    }

    /// First the bystander is attacked, where that is wanted, and then the first node.
    async fn round(&mut self, attack: &Attack, attacked: &mut Attacked) -> anyhow::Result<()> {
        if !self.options.no_bounds {
            let before = held(self.cluster).await?;
            let (beside, _) = self.attacked(attack, BYSTANDER).await?;
            attacked.beside_p99s.push(quantile(&beside, 0.99));
            settled(self.cluster, Some(before)).await?;
        }
        let (latencies, endings) = self.attacked(attack, 0).await?;
        attacked.p50s.push(quantile(&latencies, 0.5));
        attacked.p99s.push(quantile(&latencies, 0.99));
        attacked.peak_bytes = held(self.cluster).await?.peak_bytes;
        for (ending, count) in endings {
            *attacked.endings.entry(ending).or_default() += count;
        }
        Ok(())
    }

    /// The good clients' traffic while somebody attacks the node of this number.
    async fn attacked(&mut self, attack: &Attack, node: usize) -> anyhow::Result<(Latencies, Endings)> {
        let node =
            self.cluster.nodes.get(node).context("three nodes are needed: the third is a bystander")?;
        let attackers = Attackers::start(attack, &node.address, self.options.attackers);
        let latencies = self.good_traffic(attack.name).await?;
        Ok((latencies, attackers.stop().await?))
    }

    fn judge_latencies(&mut self, name: &str, attacked: &Attacked, quiet_p99: f64) {
        let (p99, beside) = (median(&attacked.p99s), median(&attacked.beside_p99s));
        self.note(name, median(&attacked.p50s), p99, attacked.peak_bytes);
        self.report.figure(format!("{name}: p99 in quiet p99s"), p99 / quiet_p99);
        if attacked.beside_p99s.is_empty() {
            return;
        }
        let times = p99 / beside;
        self.report.figure(format!("{name}: p99 us beside a bystander"), beside);
        self.report.figure(format!("{name}: p99 in bystander's p99s"), times);
        if times > 2.0 {
            let text = format!(
                "{name}: the good clients' p99 is {times:.1} times that beside the same attack on a bystander"
            );
            self.report.failure(text);
        }
    }

    async fn judge_remains(
        &mut self,
        name: &str,
        peak: u64,
        start: Held,
        before: Held,
    ) -> anyhow::Result<()> {
        let grown = peak.saturating_sub(start.peak_bytes);
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

    fn note(&mut self, name: &str, p50: f64, p99: f64, peak_bytes: u64) {
        self.report.figure(format!("{name}: p50 us"), p50);
        self.report.figure(format!("{name}: p99 us"), p99);
        self.report.figure(format!("{name}: peak resident MiB"), peak_bytes as f64 / f64::from(1 << 20));
    }

    /// The good clients: pairs across nodes. Whatever they lose fails the run.
    async fn good_traffic(&mut self, name: &str) -> anyhow::Result<Latencies> {
        progress(&format!("{name}: connecting"));
        let options = self.options;
        let pairs = options.pairs.max(1) as usize;
        let connected = pairs::connect(self.cluster, pairs).await?;
        let timeline = Timeline::starting_now(options.run.warm_up_seconds, options.run.seconds);
        let observed = Observed::new(timeline, pairs, pairs);
        let mut traffic = Traffic::new(Rc::clone(&observed), timeline, options.payload.bytes);
        let paced = pairs::start(&mut traffic, connected, None);
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

/// In microseconds; at least one, so that it can be divided by.
fn quantile(latencies: &Latencies, quantile: f64) -> f64 {
    micros(latencies.quantile(quantile)).max(1.0)
}

/// The middle one; of an even number the higher of the two in the middle.
fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
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
