//! `signalbox doctor`: looks at an installation from the machine that it runs on, and says what is wrong and what to do.
//!
//! It changes nothing, and every question ends within its time. Each check is a file that turns what it saw into
//! [`Finding`]s; what is seen and how it is judged are apart, so that the judgement is tested without a sick machine.

mod balancer;
mod finding;
mod machine;
mod nodes;
mod redis;

use clap::Args;
use hyper::Uri;
use thiserror::Error;

use self::finding::{Finding, Report};
use self::nodes::NodeRoad;
use super::credentials::TokenArgs;
use super::road::CaArgs;
use super::settings::SettingArgs;
use super::{Failure, say, small_runtime};
use crate::config::{Config, Loaded, Origin, SETTINGS};

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    settings: SettingArgs,
    /// Also try the load balancer at this address, e.g. wss://fleet.example.com; takes twice as long as a silence that it has to bear
    #[arg(long, value_name = "URL", value_parser = balancer::address)]
    url: Option<Uri>,
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    ca: CaArgs,
    /// Print JSON instead of lines
    #[arg(long)]
    json: bool,
}

/// How an examination ended that found something wrong.
#[derive(Debug, Error)]
pub(super) enum Unwell {
    /// So many things are wrong.
    #[error("{0} wrong: see above")]
    Wrong(usize),
    /// A node would not start with this configuration.
    #[error("the configuration is wrong: see above")]
    BadConfig,
}

pub(super) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let (report, bad_config) = match args.settings.load() {
        Ok(loaded) => (small_runtime()?.block_on(examine(args, &loaded))?, false),
        Err(bad) => (Report(bad.problems.iter().map(misconfigured).collect()), true),
    };
    say(&if args.json { report.to_json().to_string() } else { report.to_string() })?;
    match report.wrong() {
        _ if bad_config => Err(Failure::Unwell(Unwell::BadConfig)),
        0 => Ok(()),
        wrong => Err(Failure::Unwell(Unwell::Wrong(wrong))),
    }
}

fn misconfigured(problem: &crate::config::Problem) -> Finding {
    let advice = "`signalbox config default` explains every setting; nothing else was looked at";
    Finding::wrong("configuration", problem, advice)
}

async fn examine(args: &DoctorArgs, loaded: &Loaded) -> anyhow::Result<Report> {
    let config = &loaded.config;
    let mut findings = vec![configured(loaded), openness(config)];
    findings.extend(machine::findings(config).await);
    findings.extend(redis::findings(config, &NodeRoad::of(config, &args.ca)?).await);
    if let Some(url) = &args.url {
        findings.extend(balancer::findings(url, args.token.read()?.bearer(), &args.ca).await);
    }
    Ok(Report(findings))
}

fn configured(loaded: &Loaded) -> Finding {
    let set = SETTINGS.iter().filter(|setting| *loaded.origin(setting.key) != Origin::Default).count();
    Finding::ok("configuration", format_args!("{set} of {} settings are set", SETTINGS.len()))
}

fn openness(config: &Config) -> Finding {
    match (config.anonymous_allowed(), config.listens_on_loopback()) {
        (false, _) => Finding::ok("identities", "come from tokens"),
        (true, true) => Finding::ok("identities", "come from the query, on this machine alone"),
        (true, false) => Finding::warning(
            "identities",
            "whoever reaches the node says by the query who he is",
            "give keys of tokens (auth.*) and take allow_anonymous away, unless everybody in this network is trusted",
        ),
    }
}
