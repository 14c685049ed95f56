//! A scenario from the beginning to the end: as often as wanted, each time on servers of its own, and what came of it.

use std::fs;
use std::path::Path;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use crate::cluster::Cluster;
use crate::options::{Output, Scenario};
use crate::processes;
use crate::report::{Report, Summary};
use crate::scenario;

/// Somebody ended the run.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

/// Measures, prints and writes what was found; answers whether all that was promised was kept.
pub(crate) fn run(scenario: &Scenario) -> anyhow::Result<bool> {
    let output = scenario.output();
    processes::pin_this_process(scenario.servers())?;
    let mut runs = Vec::new();
    for number in 1..=output.repeat {
        if output.repeat > 1 {
            eprintln!("run {number} of {}", output.repeat);
        }
        runs.push(run_once(scenario)?);
    }
    let mut summary = Summary::try_new(runs).context("nothing was run")?;
    summary.judge(&output.bounds);
    summary.print();
    write(&summary, output)?;
    Ok(summary.is_success())
}

fn run_once(scenario: &Scenario) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime can't start")?;
    LocalSet::new().block_on(&runtime, measure(scenario))
}

/// Opens the cluster, runs the scenario, and ends what was started, whatever happens in between.
async fn measure(scenario: &Scenario) -> anyhow::Result<Report> {
    let interrupted = interrupted()?;
    let mut cluster = Cluster::new(scenario)?;
    let measuring = async {
        cluster.open(scenario).await?;
        scenario::run(scenario, &cluster).await
    };
    let report = tokio::select! {
        report = measuring => report,
        () = interrupted => Err(Interrupted.into()),
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

fn write(summary: &Summary, output: &Output) -> anyhow::Result<()> {
    let cannot = |path: &Path| format!("{} can't be written", path.display());
    if let Some(path) = &output.json {
        summary.write_json(path).with_context(|| cannot(path))?;
    }
    if let Some(path) = &output.markdown {
        summary.write_markdown(path).with_context(|| cannot(path))?;
    }
    if let Some(folder) = &output.plots {
        fs::create_dir_all(folder).with_context(|| cannot(folder))?;
        summary.draw(folder).with_context(|| format!("no plots in {}", folder.display()))?;
    }
    Ok(())
}
