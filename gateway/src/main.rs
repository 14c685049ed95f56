//! The `signalbox` binary: the command line of the library.

use std::process::ExitCode;

use clap::Parser;
use signalbox_gateway::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
