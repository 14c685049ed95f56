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
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, Args)]
pub(crate) struct Redis {
    /// Messages per second
    #[arg(long, default_value = "1000", value_parser = schedule)]
    pub(crate) rate: Schedule,
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

/// How long to measure, and what to do with the result.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// How long to measure
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// How long to run before that
    #[arg(long, default_value = "2", value_parser = seconds)]
    pub(crate) warm_up_seconds: Duration,
    /// Bytes of a message's data, 80 to 360
    #[arg(long, default_value_t = 200)]
    pub(crate) payload_bytes: usize,
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
            Self::Redis(options) => &options.servers,
        }
    }

    pub(crate) fn run(&self) -> &Run {
        match self {
            Self::Idle(options) => &options.run,
            Self::Unicast(options) => &options.run,
            Self::Fanout(options) => &options.run,
            Self::Redis(options) => &options.run,
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
        assert_eq!(options.scenario.run().seconds, Duration::from_millis(500));
        for wrong in ["unicast --rate 0", "unicast --rate x", "fanout --seconds -1", "unicast --nosuch", ""] {
            assert!(Options::try_parse_from(["signalbox-load"].into_iter().chain(wrong.split(' '))).is_err());
        }
    }
}
