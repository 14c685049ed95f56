//! What is counted of locks, orders, boardings and queries.

use prometheus::{IntCounter, IntCounterVec, Registry};
use signalbox_protocol::control::BoardingDenial;
use signalbox_registry::Error as RegistryError;
use signalbox_registry::lock::Acquired;
use signalbox_reservoir::Error;
use signalbox_reservoir::reservoir::Source;

use super::make::{counter, labelled};

/// Counters of one node's part in the fleet; what is asked for, is by a client of this node.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the help texts stand in `FleetMetrics::new`, where Prometheus gets them from"
)]
pub struct FleetMetrics {
    pub locks: IntCounterVec,
    pub orders: IntCounterVec,
    pub orders_untold: IntCounter,
    pub boardings: IntCounterVec,
    pub alightings: IntCounterVec,
    pub queries: IntCounterVec,
    pub pushed: IntCounter,
    pub expired: IntCounter,
    unknown: IntCounterVec,
}

/// Redis may or may not have done it.
const UNKNOWN: &str = "unknown";
const LOCK: &str = "lock";
const ORDER: &str = "order";
const BOARDING: &str = "boarding";
const ALIGHTING: &str = "alighting";
const DECIDED: [&str; 4] = ["granted", "denied", UNKNOWN, "failed"];
const BOARDED: [&str; 8] =
    ["confirmed", "not_found", "state", "boarded", "full", "stale_fence", UNKNOWN, "failed"];
const QUERIED: [&str; 4] = ["hit", "miss", "bypass", "failed"];

impl FleetMetrics {
    pub(super) fn new(r: &Registry, unknown: &IntCounterVec) -> Self {
        for operation in [LOCK, ORDER, BOARDING, ALIGHTING] {
            unknown.with_label_values(&[operation]);
        }
        let by_result = |name, help, results: &[&str]| {
            let counters = labelled(r, name, help, "result");
            results.iter().for_each(|result| drop(counters.with_label_values(&[result])));
            counters
        };
        Self {
            locks: by_result("signalbox_lock_acquisitions_total", "Locks asked for, by result.", &DECIDED),
            orders: by_result("signalbox_order_acceptances_total", "Orders asked for, by result.", &DECIDED),
            orders_untold: counter(
                r,
                "signalbox_orders_untold_total",
                "Acceptances that could not be told to all; who accepted was told to ask again.",
            ),
            boardings: by_result("signalbox_boardings_total", "Boardings asked for, by result.", &BOARDED),
            alightings: by_result("signalbox_alightings_total", "Alightings asked for, by result.", &BOARDED),
            queries: by_result(
                "signalbox_queries_total",
                "Queries of pools, by where the answer came from.",
                &QUERIED,
            ),
            pushed: counter(r, "signalbox_passengers_pushed_total", "Passengers taken into pools."),
            expired: counter(r, "signalbox_passengers_expired_total", "Passengers who waited for too long."),
            unknown: unknown.clone(),
        }
    }

    /// Counts what became of a lock that was asked for.
    pub fn count_lock(&self, acquired: &Result<Acquired, RegistryError>) {
        let granted = acquired.as_ref().map(|acquired| matches!(acquired, Acquired::Granted(_)));
        self.count(&self.locks, LOCK, decided(granted));
    }

    /// Counts what became of an order that was asked for.
    pub fn count_order(&self, granted: Result<bool, &RegistryError>) {
        self.count(&self.orders, ORDER, decided(granted));
    }

    /// Counts a query; `None` for one that failed.
    pub fn count_query(&self, source: Option<Source>) {
        let result = match source {
            Some(Source::Hit) => "hit",
            Some(Source::Miss) => "miss",
            Some(Source::Bypass) => "bypass",
            None => "failed",
        };
        self.queries.with_label_values(&[result]).inc();
    }

    /// Counts what became of a boarding.
    pub fn count_boarding<T>(&self, result: &Result<T, Error>) {
        self.count(&self.boardings, BOARDING, outcome(result));
    }

    /// Counts what became of an alighting.
    pub fn count_alighting<T>(&self, result: &Result<T, Error>) {
        self.count(&self.alightings, ALIGHTING, outcome(result));
    }

    fn count(&self, counters: &IntCounterVec, operation: &str, result: &str) {
        counters.with_label_values(&[result]).inc();
        if result == UNKNOWN {
            self.unknown.with_label_values(&[operation]).inc();
        }
    }
}

fn decided(granted: Result<bool, &RegistryError>) -> &'static str {
    match granted {
        Ok(true) => "granted",
        Ok(false) => "denied",
        Err(RegistryError::OutcomeUnknown(_)) => UNKNOWN,
        Err(_) => "failed",
    }
}

fn outcome<T>(result: &Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => "confirmed",
        Err(Error::NotFound(_)) => "not_found",
        Err(Error::Denied(denied)) => match denied.reason {
            BoardingDenial::NotFound => "not_found",
            BoardingDenial::State => "state",
            BoardingDenial::Boarded => "boarded",
            BoardingDenial::Full => "full",
            BoardingDenial::StaleFence => "stale_fence",
        },
        Err(Error::Registry(RegistryError::OutcomeUnknown(_))) => UNKNOWN,
        Err(_) => "failed",
    }
}
