//! `signalbox seed`: fills the reservoirs of routes and depots with made-up passengers.
//!
//! Chance comes from `--seed` alone, so the same command makes the same passengers under the same ids.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{ArgGroup, Args};
use serde_json::json;

use self::plan::Plan;
use super::api::{ApiArgs, period};
use super::world::{Day, Network, Profile};
use super::{Failure, say, small_runtime};

pub(super) use self::push::{Outcome, push};
pub(super) use self::timetable::Timetable;

mod earlier;
mod plan;
mod progress;
mod push;
mod timetable;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("pools").required(true).multiple(true).args(["routes", "depots"]))]
pub(super) struct SeedArgs {
    /// A route whose reservoir is filled; may be repeated
    #[arg(long = "route", value_name = "ID")]
    routes: Vec<String>,
    /// A depot whose reservoir is filled; may be repeated
    #[arg(long = "depot", value_name = "ID")]
    depots: Vec<String>,
    /// The day: a weekday's name or a date. Saturdays and Sundays are quieter
    #[arg(long, value_name = "DAY", default_value = "monday", value_parser = Day::parse)]
    day: Day,
    /// Passengers come from this hour on
    #[arg(long, value_name = "HOUR", default_value_t = 6, value_parser = clap::value_parser!(u32).range(0..24))]
    start_hour: u32,
    /// Passengers come until this hour begins
    #[arg(long, value_name = "HOUR", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=24))]
    end_hour: u32,
    /// When in the day passengers come, and which way they go
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value_t = Profile::Commute)]
    profile: Profile,
    /// Passengers per hour and pool at the busiest hour of a working day
    #[arg(long, value_name = "NUMBER", default_value_t = 60.0, value_parser = rate)]
    rate: f64,
    /// Exactly so many passengers in all, whatever the rate
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: Option<u32>,
    /// Where chance starts: the same number, the same passengers
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Cancel those of an earlier run with this seed who still wait, and push under new ids
    #[arg(long)]
    replace: bool,
    /// Push passengers when they come, with time running so many times faster; without it all at once
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    speed: Option<f64>,
    /// Passengers give up after this time; without it after what the node is configured to
    #[arg(long, value_name = "TIME", value_parser = period)]
    expires_in: Option<Duration>,
    /// Take routes and depots from this GeoJSON file instead of the built-in network. A single line without
    /// `route_id` is any route
    #[arg(long, value_name = "FILE")]
    geojson: Option<PathBuf>,
    /// Print the passengers as JSON lines and push nobody
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    api: ApiArgs,
}

pub(super) fn run(args: &SeedArgs) -> Result<(), Failure> {
    let plan = plan(args).map_err(Failure::Usage)?;
    if args.dry_run {
        return Ok(print(&plan)?);
    }
    let pushed = small_runtime()?.block_on(push::push_all(args, &plan))?;
    tell(args, &pushed)?;
    Ok(())
}

/// What the flags ask for.
fn plan(args: &SeedArgs) -> anyhow::Result<Plan> {
    if args.start_hour >= args.end_hour {
        return Err(anyhow!("--start-hour {} is not before --end-hour {}", args.start_hour, args.end_hour));
    }
    Plan::new(args, &network(args.geojson.as_ref())?)
}

/// The network of the file, or the built-in one.
pub(super) fn network(geojson: Option<&PathBuf>) -> anyhow::Result<Network> {
    let Some(path) = geojson else { return Ok(Network::lantern_bay()) };
    let text = std::fs::read_to_string(path);
    let network = text.map_err(anyhow::Error::from).and_then(|text| Network::read(&text));
    network.with_context(|| format!("{} is no network", path.display()))
}

fn print(plan: &Plan) -> anyhow::Result<()> {
    for (second, passenger) in plan.arrivals(0)? {
        let mut line = serde_json::to_value(&passenger)?;
        line["arrives_at"] = json!(plan::clock(second));
        say(&line.to_string())?;
    }
    Ok(())
}

fn tell(args: &SeedArgs, pushed: &push::Pushed) -> anyhow::Result<()> {
    let count: usize = pushed.by_pool.values().sum();
    if args.api.json {
        let told = json!({
            "pushed": count, "pools": pushed.by_pool, "cancelled": pushed.cancelled, "label": pushed.label,
            "seconds": pushed.took.as_secs_f64(),
        });
        return say(&told.to_string());
    }
    let pools: Vec<String> = pushed.by_pool.iter().map(|(pool, count)| format!("{pool} {count}")).collect();
    if pushed.cancelled > 0 {
        say(&format!("cancelled {} who still waited", pushed.cancelled))?;
    }
    let seconds = pushed.took.as_secs_f64();
    say(&format!("pushed {count} passengers {}-... in {seconds:.1} s: {}", pushed.label, pools.join(", ")))
}

/// A rate of passengers per hour.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    number(text, 0.001, 1_000_000.0)
}

/// How many times faster than a clock.
pub(super) fn factor(text: &str) -> Result<f64, String> {
    number(text, 0.01, 100_000.0)
}

fn number(text: &str, min: f64, max: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| format!("it has to be a number from {min} to {max}"))
}
