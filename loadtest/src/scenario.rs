//! What can be measured. A file for each scenario, and what they share.

mod arrival;
mod boarding;
mod chaos;
mod fanout;
mod hostile;
mod idle;
mod locks;
mod mixed;
pub(crate) mod pairs;
mod peers;
mod queries;
mod redis;
mod soak;
mod storm;
mod subscribing;
mod unicast;

use crate::cluster::Cluster;
use crate::observed::Shared;
use crate::options::{Run, Scenario};
use crate::procfs;
use crate::report::Report;
use crate::resp::RedisConnection;
use crate::sequence::Findings;
use crate::tally::Tally;

/// Runs a scenario on a cluster.
pub(crate) async fn run(scenario: &Scenario, cluster: &Cluster) -> anyhow::Result<Report> {
    match scenario {
        Scenario::Idle(options) => idle::run(options, cluster).await,
        Scenario::Unicast(options) => unicast::run(options, cluster).await,
        Scenario::Fanout(options) => fanout::run(options, cluster).await,
        Scenario::Locks(options) => locks::run(options, cluster).await,
        Scenario::Boarding(options) => boarding::run(options, cluster).await,
        Scenario::Queries(options) => queries::run(options, cluster).await,
        Scenario::Chaos(options) => chaos::run(options).await,
        Scenario::Soak(options) => soak::run(options, cluster).await,
        Scenario::Storm(options) => storm::run(options, cluster).await,
        Scenario::Mixed(options) => mixed::run(options, cluster).await,
        Scenario::Hostile(options) => hostile::run(options, cluster).await,
        Scenario::Redis(options) => redis::run(options, cluster).await,
        Scenario::Peers(options) => peers::run(options).await,
    }
}

/// A report with all that is the same in every scenario.
async fn new_report(name: &'static str, cluster: &Cluster) -> Report {
    let mut machine = procfs::machine();
    if let Some(version) = redis_version(cluster).await {
        machine += &format!(", Redis {version}");
    }
    let mut report = Report::new(name, machine);
    report.setting("nodes", cluster.nodes.len());
    report
}

/// Notes how long a scenario runs.
fn note_run(report: &mut Report, run: &Run) {
    report.setting("seconds", run.seconds.as_secs_f64());
    report.setting("warm_up_seconds", run.warm_up_seconds.as_secs_f64());
}

async fn redis_version(cluster: &Cluster) -> Option<String> {
    let mut redis = RedisConnection::connect(cluster.redis.as_deref()?).await.ok()?;
    redis.info("redis_version").await.ok()
}

/// Notes what the receivers saw, once all tasks have ended.
fn note_observed(report: &mut Report, observed: &Shared, sender_of: impl Fn(usize) -> usize) {
    let findings = observed.borrow().findings(sender_of);
    note_traffic(report, observed, findings);
}

/// The same, where it was found out in another way what went missing.
fn note_traffic(report: &mut Report, observed: &Shared, findings: Findings) {
    Tally::of(&mut observed.borrow_mut(), findings).note(report);
}

/// A word that keeps the agents and topics of this run apart from those of others.
fn run_name() -> String {
    uuid::Uuid::now_v7().simple().to_string()[..12].to_owned()
}
