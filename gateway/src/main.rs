//! The `signalbox` binary: the command line of the library.

use std::process::ExitCode;

use clap::Parser;
use signalbox_gateway::cli::Cli;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    Cli::parse().run()
}
