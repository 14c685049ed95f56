//! The command line: one subcommand for each scenario, and those that run a file of them and compare results.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::pace::Schedule;
use crate::report::Bound;

mod bare;
mod exclusive;
mod faults;
mod files;
mod peers;
mod planted;
mod scenarios;

pub(crate) use bare::{Bare, BareServer};
pub(crate) use exclusive::{Boarding, Locks, Queries};
pub(crate) use faults::{CLOSES_PER_SECOND, Chaos, FAREWELL, Fault, HEARTBEAT, InFront, Soak, word};
pub(crate) use files::{Compare, Suite};
pub(crate) use peers::{Measure, Peers};
pub(crate) use planted::{Planted, PlantedLoss};
pub(crate) use scenarios::{Fanout, Hostile, Idle, Mixed, Redis, Storm, Unicast};

/// Measures a Signalbox cluster.
#[derive(Debug, Parser)]
#[command(name = "signalbox-load", version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Measure(Box<Scenario>),
    /// Runs a file of scenarios, and writes what came of each into a folder
    Run(Suite),
    /// Compares two reports
    Compare(Compare),
    /// What scenarios compare with; they start it themselves
    #[command(hide = true)]
    BareServer(BareServer),
    /// Drives a share of another run's clients, which tells it what to do on its standard input
    #[command(hide = true)]
    Worker,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// Memory of idle connections, and how fast they connect
    Idle(Idle),
    /// Clients that come at once, and again when a node dies: how soon all are in
    Storm(Storm),
    /// Latency, rate and cost of messages from clients of one node to clients of another
    Unicast(Unicast),
    /// A fleet: passengers who wait, vehicles that tell where they are, dashboards that follow many
    Mixed(Mixed),
    /// Latency, rate and cost of one topic with many subscribers
    Fanout(Fanout),
    /// Rate, latency, fairness and correctness of locks
    Locks(Locks),
    /// Vehicles that race for passengers: rate, latency, conflicts and correctness
    Boarding(Boarding),
    /// Latency and cost of asking who waits near a vehicle, and whether the answers are right
    #[command(visible_alias = "reservoir")]
    Queries(Queries),
    /// Durable traffic under a fault: what was lost, doubled, overtaken or late
    Chaos(Chaos),
    /// Good clients beside hostile ones: whether they notice, and what is left behind
    Hostile(Hostile),
    /// Clients that come and go: whether nodes are afterwards as they were
    Soak(Soak),
    /// Latency of a bare publish/subscribe hop through Redis, for comparison
    Redis(Redis),
    /// The same of Signalbox and of other products: NATS, nchan, Socket.IO
    Peers(Peers),
}

/// Which servers to measure.
#[derive(Debug, Args)]
pub(crate) struct Servers {
    /// A running node, ws://HOST:PORT/ws; repeat it for several. Without it nodes are started
    #[arg(long = "url")]
    pub(crate) urls: Vec<String>,
    /// The binary to start nodes with
    #[arg(long, default_value = "target/release/signalbox")]
    pub(crate) binary: PathBuf,
    /// Nodes to start [default: 2; 3 for chaos and hostile]
    #[arg(long)]
    pub(crate) nodes: Option<usize>,
    /// A further argument for each started node; repeat it for several
    #[arg(long = "server-arg", allow_hyphen_values = true)]
    pub(crate) server_args: Vec<String>,
    /// HOST:PORT of a running Redis. Without it one is started, unless --url is given
    #[arg(long)]
    pub(crate) redis: Option<String>,
    /// The core for what is started
    #[arg(long, default_value_t = 0)]
    pub(crate) server_cpu: usize,
    /// The core for the tester itself
    #[arg(long, default_value_t = 1)]
    pub(crate) load_cpu: usize,
    /// Let the system choose the cores
    #[arg(long)]
    pub(crate) no_pin: bool,
}

/// What messages carry.
#[derive(Debug, Args)]
pub(crate) struct Payload {
    /// Bytes of a message's data, 80 to 360
    #[arg(long = "payload-bytes", default_value_t = 200)]
    pub(crate) bytes: usize,
}

/// How long to measure.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// How long to measure
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// How long to run before that
    #[arg(long, default_value = "2", value_parser = seconds)]
    pub(crate) warm_up_seconds: Duration,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Whether the machine is watched beside the servers.
#[derive(Debug, Args)]
pub(crate) struct WatchHiccups {
    /// Tell latencies also without the messages that met a hiccup: a moment in which the host, or the kernel, kept a core from
    /// what was due there. Needs the right to real-time priorities
    #[arg(long)]
    pub(crate) watch_hiccups: bool,
}

/// How often to run, and what to do with the result besides printing it.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Run so many times, each on servers of its own, if it starts them; medians count
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) repeat: u32,
    /// Fail unless a figure's median keeps this bound, e.g. 'latency_p99_us<10ms'; repeat it for several
    #[arg(long = "assert", value_name = "BOUND")]
    pub(crate) bounds: Vec<Bound>,
    /// Write the report to this file as JSON
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Write the report to this file as tables in Markdown
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Draw plots into this folder, as SVG and PNG
    #[arg(long, value_name = "FOLDER")]
    pub(crate) plots: Option<PathBuf>,
}

impl Scenario {
    pub(crate) fn servers(&self) -> &Servers {
        match self {
            Self::Idle(options) => &options.servers,
            Self::Unicast(options) => &options.servers,
            Self::Fanout(options) => &options.servers,
            Self::Mixed(options) => &options.servers,
            Self::Locks(options) => &options.servers,
            Self::Boarding(options) => &options.servers,
            Self::Queries(options) => &options.servers,
            Self::Chaos(options) => &options.servers,
            Self::Soak(options) => &options.servers,
            Self::Storm(options) => &options.servers,
            Self::Hostile(options) => &options.servers,
            Self::Redis(options) => &options.servers,
            Self::Peers(options) => &options.servers,
        }
    }

    pub(crate) fn output(&self) -> &Output {
        match self {
            Self::Idle(options) => &options.run.output,
            Self::Unicast(options) => &options.run.output,
            Self::Fanout(options) => &options.run.output,
            Self::Mixed(options) => &options.run.output,
            Self::Locks(options) => &options.run.output,
            Self::Boarding(options) => &options.output,
            Self::Queries(options) => &options.run.output,
            Self::Chaos(options) => &options.output,
            Self::Soak(options) => &options.output,
            Self::Storm(options) => &options.output,
            Self::Hostile(options) => &options.run.output,
            Self::Redis(options) => &options.run.output,
            Self::Peers(options) => &options.run.output,
        }
    }
}

fn schedule(text: &str) -> Result<Schedule, String> {
    let rate = text.parse().ok().and_then(Schedule::try_new);
    rate.ok_or_else(|| "a rate is a positive number per second".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "seconds are a number, not negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_read() {
        Options::command().debug_assert();
        let line = "signalbox-load unicast --rate 2.5e3 --url ws://a/ws --url ws://b/ws --server-arg --x --seconds 0.5";
        let options = Options::parse_from(line.split(' '));
        let Command::Measure(scenario) = options.command else { panic!("it is a scenario") };
        assert_eq!(scenario.servers().urls.len(), 2);
        assert_eq!(scenario.servers().server_args, ["--x"]);
        let Scenario::Unicast(options) = *scenario else { panic!("it is unicast") };
        assert_eq!(options.run.seconds, Duration::from_millis(500));
        for wrong in [
            "unicast --rate 0",
            "unicast --rate x",
            "fanout --seconds -1",
            "boarding --vehicles 0",
            "unicast --nosuch",
            "unicast --repeat 0",
            "unicast --assert latency_p99_us",
            "compare a.json",
            "run",
            "",
        ] {
            assert!(Options::try_parse_from(["signalbox-load"].into_iter().chain(wrong.split(' '))).is_err());
        }
    }
}
