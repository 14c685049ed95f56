//! The load tester: how fast, how many, how small.
//!
//! Each scenario stands in its own file and answers one question about a cluster that the tester starts
//! itself (servers and Redis on one core, the load on another) or is pointed at. Sending is an open loop:
//! latency counts from the moment at which a message was due, whether or not the tester was able to send
//! it then, and how late it was is told beside the result. Sequence numbers find what was lost, doubled
//! or overtaken.
//!
//! Scenarios about locks and boardings keep a `history` of every question and its answer, and a `checker`
//! judges it afterwards: a broken promise fails the run and is shown with the operations that prove it.
//!
//! All connections of a run live in one thread, so its figures need no synchronisation and its clients
//! share one clock. This crate speaks to nodes through `signalbox-client` and must never know how they
//! are built; the bare Redis hop that it compares with is spoken byte by byte in `resp`.

mod asking;
mod baseline;
mod chaos;
mod checker;
mod cluster;
mod commandstats;
mod crew;
mod dice;
mod history;
mod holdings;
mod hostile;
mod http;
mod latency;
mod meter;
mod observed;
mod options;
mod pace;
mod processes;
mod procfs;
mod report;
mod resp;
mod scenario;
mod sequence;
mod tick;
mod traffic;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use crate::cluster::Cluster;
use crate::options::Options;
use crate::report::Report;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(report) => report.exit_code(),
        Err(error) => {
            eprintln!("signalbox-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<Report> {
    let servers = options.scenario.servers();
    processes::pin_this_process(servers)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime can't start")?;
    let report = LocalSet::new().block_on(&runtime, measure(options))?;
    report.print();
    if let Some(path) = &options.scenario.output().json {
        report.write_json(path).with_context(|| format!("{} can't be written", path.display()))?;
    }
    Ok(report)
}

/// Opens the cluster, runs the scenario, and ends what was started, whatever happens in between.
async fn measure(options: &Options) -> anyhow::Result<Report> {
    let interrupted = interrupted()?;
    let mut cluster = Cluster::new(&options.scenario)?;
    let measuring = async {
        cluster.open(&options.scenario).await?;
        scenario::run(&options.scenario, &cluster).await
    };
    let report = tokio::select! {
        report = measuring => report,
        () = interrupted => Err(anyhow::anyhow!("interrupted")),
    };
    let all_ended = cluster.stop().await;
    let mut report = report?;
    if !all_ended {
        report.failure("a server did not end when it was asked to");
    }
    Ok(report)
}

/// Returns on Ctrl-C or SIGTERM.
fn interrupted() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("no handler for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("no handler for SIGTERM")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
