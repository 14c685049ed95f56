//! Makes metrics and registers them. Names are constants of the right form, and each is registered once.

use prometheus::core::Collector;
use prometheus::{Gauge, IntCounter, IntCounterVec, Opts, Registry};

pub(super) fn seconds(registry: &Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::new(name, help).expect("metric names are constants of the right form");
    register(registry, &gauge);
    gauge
}

pub(super) fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    let counter = IntCounter::new(name, help).expect("metric names are constants of the right form");
    register(registry, &counter);
    counter
}

pub(super) fn labelled(registry: &Registry, name: &str, help: &str, label: &str) -> IntCounterVec {
    let counters = IntCounterVec::new(Opts::new(name, help), &[label])
        .expect("metric names are constants of the right form");
    register(registry, &counters);
    counters
}

pub(super) fn register(registry: &Registry, metric: &(impl Collector + Clone + 'static)) {
    registry.register(Box::new(metric.clone())).expect("each name is registered once");
}
