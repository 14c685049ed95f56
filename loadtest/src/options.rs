//! The command line: one subcommand for each scenario.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::pace::Schedule;

/// Measures a Signalbox cluster.
#[derive(Debug, Parser)]
#[command(name = "signalbox-load", version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// Memory of idle connections, and how fast they connect
    Idle(Idle),
    /// Latency, rate and cost of messages from clients of one node to clients of another
    Unicast(Unicast),
    /// Latency, rate and cost of one topic with many subscribers
    Fanout(Fanout),
    /// Rate, latency, fairness and correctness of locks
    Locks(Locks),
    /// Vehicles that race for passengers: rate, latency, conflicts and correctness
    Boarding(Boarding),
    /// Latency of a bare publish/subscribe hop through Redis, for comparison
    Redis(Redis),
}

#[derive(Debug, Args)]
pub(crate) struct Idle {
    /// Connections to open
    #[arg(long, default_value_t = 10_000)]
    pub(crate) connections: usize,
    /// Handshakes under way at once
    #[arg(long, default_value_t = 64)]
    pub(crate) at_once: usize,
    /// How long the memory may take to stand still, in seconds
    #[arg(long, default_value_t = 30)]
    pub(crate) settle_seconds: u64,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, Args)]
pub(crate) struct Unicast {
    /// Pairs of clients: one on the first node sends to one on the second
    #[arg(long, default_value_t = 100)]
    pub(crate) pairs: u32,
    /// Messages per second of all pairs together
    #[arg(long, default_value = "1000", value_parser = schedule)]
    pub(crate) rate: Schedule,
    /// Send as fast as messages arrive instead, in a closed loop
    #[arg(long)]
    pub(crate) full_speed: bool,
    /// With --full-speed: messages of a pair that may be under way
    #[arg(long, default_value_t = 32)]
    pub(crate) window: u32,
    /// Do not measure a bare hop through Redis first
    #[arg(long)]
    pub(crate) no_baseline: bool,
    #[command(flatten)]
    pub(crate) payload: Payload,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, Args)]
pub(crate) struct Fanout {
    /// Subscribers, spread over the nodes
    #[arg(long, default_value_t = 1_000)]
    pub(crate) subscribers: u32,
    /// Messages per second of the one publisher
    #[arg(long, default_value = "50", value_parser = schedule)]
    pub(crate) rate: Schedule,
    #[command(flatten)]
    pub(crate) payload: Payload,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, Args)]
pub(crate) struct Locks {
    /// Contenders, each on a connection of its own, spread over the nodes
    #[arg(long, default_value_t = 64)]
    pub(crate) contenders: u32,
    /// Resources, of which each contender picks one at random each time
    #[arg(long, default_value_t = 100_000)]
    pub(crate) resources: u32,
    /// All contend for one resource
    #[arg(long)]
    pub(crate) hot: bool,
    /// Acquisitions per second of all contenders together; each is followed by a release
    #[arg(long, default_value = "1000", value_parser = schedule)]
    pub(crate) rate: Schedule,
    /// Acquire again as soon as the release is answered instead, in a closed loop
    #[arg(long)]
    pub(crate) closed: bool,
    /// How long to wait in line, in milliseconds; 0 to be denied at once and try again
    #[arg(long, default_value_t = 0)]
    pub(crate) wait_ms: u64,
    /// A denied contender tries again when it is told to, but after so many milliseconds at most
    #[arg(long, default_value_t = 100)]
    pub(crate) retry_ms_max: u64,
    /// How long a lock lasts unless it is renewed, in milliseconds
    #[arg(long, default_value_t = 5_000)]
    pub(crate) ttl_ms: u32,
    /// How long a contender holds a lock, in milliseconds; it renews it if that is long
    #[arg(long, default_value_t = 0)]
    pub(crate) hold_ms: u64,
    /// Run redis-benchmark first (SET key value NX EX 5, random keys, 50 connections) and compare
    #[arg(long)]
    pub(crate) baseline: bool,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, Args)]
pub(crate) struct Boarding {
    /// Vehicles, each with two connections, to two of the nodes
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) vehicles: u32,
    /// Passengers, spread over the pools
    #[arg(long, default_value_t = 500)]
    pub(crate) passengers: u32,
    /// Pools, routes and depots in turn; every vehicle boards from all of them
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pools: u32,
    /// Seats of each vehicle
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) capacity: u32,
    /// How many vehicles try for each passenger
    #[arg(long, default_value_t = 5)]
    pub(crate) rivals: u32,
    /// How often, in percent, a vehicle lets somebody alight before it boards the next
    #[arg(long, default_value_t = 30)]
    pub(crate) alight_percent: u64,
    /// How often, in percent, a request is sent twice at once, through two nodes
    #[arg(long, default_value_t = 10)]
    pub(crate) double_percent: u64,
    /// The race is stopped after so many seconds
    #[arg(long, default_value = "60", value_parser = seconds)]
    pub(crate) seconds_max: Duration,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Redis {
    /// Messages per second
    #[arg(long, default_value = "1000", value_parser = schedule)]
    pub(crate) rate: Schedule,
    #[command(flatten)]
    pub(crate) payload: Payload,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) run: Run,
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
    /// Nodes to start
    #[arg(long, default_value_t = 2)]
    pub(crate) nodes: usize,
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

/// What to do with the result, besides printing it.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// Write the report to this file as JSON
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

impl Scenario {
    pub(crate) fn servers(&self) -> &Servers {
        match self {
            Self::Idle(options) => &options.servers,
            Self::Unicast(options) => &options.servers,
            Self::Fanout(options) => &options.servers,
            Self::Locks(options) => &options.servers,
            Self::Boarding(options) => &options.servers,
            Self::Redis(options) => &options.servers,
        }
    }

    pub(crate) fn output(&self) -> &Output {
        match self {
            Self::Idle(options) => &options.run.output,
            Self::Unicast(options) => &options.run.output,
            Self::Fanout(options) => &options.run.output,
            Self::Locks(options) => &options.run.output,
            Self::Boarding(options) => &options.output,
            Self::Redis(options) => &options.run.output,
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
        assert_eq!(options.scenario.servers().urls.len(), 2);
        assert_eq!(options.scenario.servers().server_args, ["--x"]);
        let Scenario::Unicast(options) = options.scenario else { panic!("it is unicast") };
        assert_eq!(options.run.seconds, Duration::from_millis(500));
        for wrong in [
            "unicast --rate 0",
            "unicast --rate x",
            "fanout --seconds -1",
            "boarding --vehicles 0",
            "unicast --nosuch",
            "",
        ] {
            assert!(Options::try_parse_from(["signalbox-load"].into_iter().chain(wrong.split(' '))).is_err());
        }
    }
}
