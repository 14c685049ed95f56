//! What scenarios can be told that ask for locks, seats and passengers.

use std::time::Duration;

use clap::Args;

use super::{Output, Planted, Run, Servers, schedule, seconds};
use crate::pace::Schedule;

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
    /// How often, in percent, a vehicle asks through both connections at once: twice the same, or for two
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
pub(crate) struct Queries {
    /// Vehicles that ask
    #[arg(long, default_value_t = 1_200, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) vehicles: u32,
    /// Questions per second of all vehicles together
    #[arg(long, default_value = "2400", value_parser = schedule)]
    pub(crate) rate: Schedule,
    /// Passengers who wait, in all pools together
    #[arg(long, default_value_t = 10_000)]
    pub(crate) passengers: u32,
    /// Routes on which they wait
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pools: u32,
    /// Length of each route
    #[arg(long, default_value_t = 20.0)]
    pub(crate) length_km: f64,
    /// How far around a vehicle to look
    #[arg(long, default_value_t = 0.2)]
    pub(crate) radius_km: f64,
    /// Free seats of a vehicle
    #[arg(long, default_value_t = 12)]
    pub(crate) max_results: u32,
    /// Ask over HTTP, on a kept connection for each vehicle
    #[arg(long)]
    pub(crate) http: bool,
    #[command(flatten)]
    pub(crate) planted: Planted,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) run: Run,
}
