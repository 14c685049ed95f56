//! What a run came to.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::audit::Audit;
use super::tally::{Tally, Told};

/// Everything that is told at the end.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) name: String,
    pub(super) vehicles: usize,
    pub(super) routes: usize,
    pub(super) seconds: f64,
    pub(super) speed: f64,
    pushed: u64,
    boarded: u64,
    alighted: u64,
    on_board: usize,
    waiting: usize,
    conflicts: u64,
    denied: u64,
    unknown: u64,
    unresolved: u64,
    stops: u64,
    stops_unheard: u64,
    queries: u64,
    queries_failed: u64,
    query: Told,
    boarding: Told,
    waited: Told,
    driven_km: f64,
    connections_lost: u64,
    heard: Heard,
    violations: u64,
    violations_told: Vec<String>,
    /// Why parts of the fleet stopped early.
    pub(super) breakdowns: Vec<String>,
}

/// What the listeners heard.
#[derive(Debug, Serialize)]
struct Heard {
    changes: u64,
    copies: u64,
    gaps: u64,
    repeated: u64,
    missed: u64,
    unannounced: usize,
    unreadable: u64,
}

impl Summary {
    /// With the connections that the vehicles lost and the metres that they drove.
    pub(super) fn new(
        name: &str,
        audit: &Audit,
        tally: &Tally,
        (connections_lost, driven_m): (u64, f64),
    ) -> Self {
        Self {
            name: name.to_owned(),
            vehicles: 0,
            routes: 0,
            seconds: 0.0,
            speed: 1.0,
            pushed: tally.pushed,
            boarded: tally.boarded,
            alighted: tally.alighted,
            on_board: audit.aboard(),
            waiting: audit.pools.waiting(),
            conflicts: tally.conflicts,
            denied: tally.denied,
            unknown: tally.unknown,
            unresolved: tally.unresolved,
            stops: tally.stops,
            stops_unheard: tally.unheard,
            queries: tally.queries,
            queries_failed: tally.queries_failed,
            query: tally.query.told(),
            boarding: tally.boarding.told(),
            waited: tally.waited.told(),
            driven_km: (driven_m / 100.0).round() / 10.0,
            connections_lost,
            heard: Heard {
                changes: audit.pools.heard,
                copies: audit.namespace.heard,
                gaps: audit.pools.gaps + audit.namespace.gaps,
                repeated: audit.pools.repeated + audit.namespace.repeated,
                missed: audit.pools.missed + audit.namespace.missed,
                unannounced: audit.unannounced(),
                unreadable: tally.unreadable,
            },
            violations: audit.violations_total(),
            violations_told: audit.violations().iter().map(ToString::to_string).collect(),
            breakdowns: Vec::new(),
        }
    }

    /// Why the command fails, if it does.
    pub(super) fn failure(&self) -> Option<String> {
        match (self.violations, self.breakdowns.first()) {
            (0, None) => None,
            (0, Some(first)) => Some(first.clone()),
            (1, _) => Some("1 violation".to_owned()),
            (many, _) => Some(format!("{many} violations")),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, vehicles, routes, seconds, speed, .. } = self;
        writeln!(
            f,
            "{name}: {vehicles} vehicles on {routes} routes for {seconds:.0} s, {speed} times as fast"
        )?;
        let mut row = |name: &str, text: String| writeln!(f, "  {name:<14}{text}");
        row(
            "boarded",
            format!("{}; {} were pushed meanwhile, {} wait", self.boarded, self.pushed, self.waiting),
        )?;
        row("alighted", format!("{}, {} on board at the end", self.alighted, self.on_board))?;
        let (conflicts, denied) = (self.conflicts, self.denied);
        row(
            "conflicts",
            format!("{conflicts} asked for after another vehicle had them, {denied} otherwise denied"),
        )?;
        row(
            "unknown",
            format!("{} answers lost and asked for again, {} never known", self.unknown, self.unresolved),
        )?;
        row("stops", format!("{}, {} times the driver may not have heard", self.stops, self.stops_unheard))?;
        let rate = self.queries as f64 / self.seconds.max(0.001);
        row(
            "queries",
            format!("{}, {rate:.1}/s, {} failed: {}", self.queries, self.queries_failed, times(self.query)),
        )?;
        row("boardings", times(self.boarding))?;
        let wait = Duration::from_secs_f64(self.waited.mean_ms / 1_000.0);
        let simulated = wait.as_secs_f64() * self.speed / 60.0;
        let mean = wait.as_secs_f64();
        row("mean wait", format!("{mean:.1} s, {simulated:.1} simulated minutes, of {}", self.waited.count))?;
        row("driven", format!("{:.1} km; connections lost: {}", self.driven_km, self.connections_lost))?;
        let heard = &self.heard;
        row(
            "announced",
            format!(
                "{} changes heard and {} copies; gaps {}, repeated {}, missed {}, unannounced {}, unreadable {}",
                heard.changes,
                heard.copies,
                heard.gaps,
                heard.repeated,
                heard.missed,
                heard.unannounced,
                heard.unreadable
            ),
        )?;
        row("violations", self.violations.to_string())?;
        for told in &self.violations_told {
            row("", told.clone())?;
        }
        for told in &self.breakdowns {
            row("broken down", told.clone())?;
        }
        Ok(())
    }
}

fn times(told: Told) -> String {
    format!(
        "mean {:.2} ms, p99 {:.2} ms, max {:.2} ms of {}",
        told.mean_ms, told.p99_ms, told.max_ms, told.count
    )
}
