//! What is done with files: of scenarios, and of results.

use std::path::PathBuf;

use clap::Args;

use crate::report::Bound;

#[derive(Debug, Args)]
pub(crate) struct Suite {
    /// A file of scenarios in TOML, e.g. loadtest/scenarios/bench.toml
    pub(crate) file: PathBuf,
    /// Where to write NAME.json, NAME.md and the plots NAME/ of each scenario
    #[arg(long, value_name = "FOLDER")]
    pub(crate) into: PathBuf,
    /// Only the scenario with this name; repeat it for several
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// An option of all scenarios that know it, whatever the file says; repeat it for several
    #[arg(long = "set", value_name = "OPTION=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// What to compare with, as --json wrote it
    pub(crate) before: PathBuf,
    /// What is compared with it
    pub(crate) after: PathBuf,
    /// Also if the scenarios or their settings differ
    #[arg(long)]
    pub(crate) anyway: bool,
    /// Fail unless a figure's ratio, after to before, keeps this bound, e.g. 'latency_p99_us<1.2'; repeat it for several
    #[arg(long = "assert", value_name = "BOUND")]
    pub(crate) bounds: Vec<Bound>,
}
