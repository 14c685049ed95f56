//! What each scenario can be told whose clients send messages or none.

use std::time::Duration;

use clap::Args;

use super::{Bare, Output, Payload, Planted, PlantedLoss, Run, Servers, WatchHiccups, schedule, seconds};
use crate::pace::Schedule;

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
    /// Processes that open them; each may have as many open files as one process may
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) processes: u32,
    /// When all are in: messages to each of them, through another node
    #[arg(long, default_value_t = 0)]
    pub(crate) messages: u32,
    /// Messages per second to all of them together
    #[arg(long, default_value = "2000", value_parser = schedule)]
    pub(crate) rate: Schedule,
    #[command(flatten)]
    pub(crate) payload: Payload,
    #[command(flatten)]
    pub(crate) bare: Bare,
    #[command(flatten)]
    pub(crate) planted: PlantedLoss,
    #[command(flatten)]
    pub(crate) watch: WatchHiccups,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, Args)]
pub(crate) struct Storm {
    /// Clients that come at once
    #[arg(long, default_value_t = 5_000)]
    pub(crate) connections: usize,
    /// All have to be in after so many seconds
    #[arg(long, default_value = "60", value_parser = seconds)]
    pub(crate) within_seconds: Duration,
    /// Do not kill the first node when all are in
    #[arg(long)]
    pub(crate) no_kill: bool,
    #[command(flatten)]
    pub(crate) planted: PlantedLoss,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct Mixed {
    /// Passengers who wait and say nothing
    #[arg(long, default_value_t = 2_000)]
    pub(crate) passengers: u32,
    /// Processes that hold the passengers; each may have as many open files as one process may
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) processes: u32,
    /// Vehicles, each of which tells its position once a second
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) vehicles: u32,
    /// Dashboards
    #[arg(long, default_value_t = 20)]
    pub(crate) dashboards: u32,
    /// Routes, over which the vehicles are spread
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) routes: u32,
    /// Routes that each dashboard follows
    #[arg(long, default_value_t = 25)]
    pub(crate) routes_followed: u32,
    /// Passengers who board per second; two of eight further vehicles try for each. 0 for none
    #[arg(long, default_value_t = 10)]
    pub(crate) boardings: u32,
    #[command(flatten)]
    pub(crate) payload: Payload,
    #[command(flatten)]
    pub(crate) planted: Planted,
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
    /// Processes that send and receive. With several, each pair goes from a node to the next, round and round
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) processes: u32,
    /// Do not measure a bare hop through Redis first
    #[arg(long)]
    pub(crate) no_baseline: bool,
    #[command(flatten)]
    pub(crate) payload: Payload,
    #[command(flatten)]
    pub(crate) planted: Planted,
    #[command(flatten)]
    pub(crate) watch: WatchHiccups,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) run: Run,
}

impl Unicast {
    /// Messages of a pair that may be under way in the closed loop.
    pub(crate) fn window(&self) -> Option<u32> {
        self.full_speed.then_some(self.window)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Hostile {
    /// Pairs of good clients: one on the first node sends to one on the second
    #[arg(long, default_value_t = 250)]
    pub(crate) pairs: u32,
    /// Messages per second of all pairs together
    #[arg(long, default_value = "1000", value_parser = schedule)]
    pub(crate) rate: Schedule,
    /// Hostile clients at once, all on the first node
    #[arg(long, default_value_t = 20)]
    pub(crate) attackers: usize,
    /// Only this kind of hostile client, as the table names it; repeat it for several
    #[arg(long = "attack")]
    pub(crate) attacks: Vec<String>,
    /// How often each kind attacks the bystander and the first node in turn; medians count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) rounds: u32,
    /// Do not judge the good clients' p99, nor attack a bystander for comparison: for busy machines
    #[arg(long)]
    pub(crate) no_bounds: bool,
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
    /// Publish as fast as all subscribers get it instead, in a closed loop
    #[arg(long)]
    pub(crate) full_speed: bool,
    /// With --full-speed: messages that may be under way
    #[arg(long, default_value_t = 16)]
    pub(crate) window: u32,
    #[command(flatten)]
    pub(crate) bare: Bare,
    #[command(flatten)]
    pub(crate) payload: Payload,
    #[command(flatten)]
    pub(crate) planted: Planted,
    #[command(flatten)]
    pub(crate) watch: WatchHiccups,
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
    pub(crate) payload: Payload,
    #[command(flatten)]
    pub(crate) planted: Planted,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) run: Run,
}
