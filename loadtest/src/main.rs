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
//! share one clock; where that is not enough, several `workers`, processes of this same program, drive a share each, and
//! what they found adds up. This crate speaks to nodes through `signalbox-client` and must never know how they
//! are built; the bare Redis hop that it compares with is spoken byte by byte in `resp`.

mod asking;
mod bare;
mod baseline;
mod chaos;
mod checker;
mod cluster;
mod commandstats;
mod compare;
mod crew;
mod crowd;
mod dice;
mod hiccups;
mod history;
mod holdings;
mod hostile;
mod http;
mod latency;
mod listener;
mod measuring;
mod meter;
mod observed;
mod options;
mod pace;
mod peers;
mod plant;
mod processes;
mod procfs;
mod report;
mod resp;
mod scenario;
mod sequence;
mod suite;
mod tally;
mod tick;
mod traffic;
mod worker;
mod workers;

use std::process::ExitCode;

use clap::Parser;

use crate::options::{Command, Options};

fn main() -> ExitCode {
    let succeeded = match Options::parse().command {
        Command::Measure(scenario) => measuring::run(&scenario),
        Command::Run(suite) => suite::run(&suite),
        Command::Compare(compare) => compare::run(&compare),
        Command::BareServer(server) => bare::serve(&server).map(|()| true),
        Command::Worker => worker::run().map(|()| true),
    };
    match succeeded {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("signalbox-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}
