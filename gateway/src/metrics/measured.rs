//! Shows Prometheus what the registry measures.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use signalbox_registry::Measured;
use signalbox_registry::measured::{Failure, Spread};

/// Microseconds in a second.
const MICROS: f64 = 1e6;

const LAG: (&str, &str) =
    ("signalbox_bus_lag_seconds", "How long a probe of the node took over the bus and back to it.");
const PARCELS: (&str, &str) =
    ("signalbox_bus_batch_parcels", "Parcels in a batch that was sent over the bus.");
const COMMANDS: (&str, &str) = (
    "signalbox_redis_command_duration_seconds",
    "How long Redis took to answer, by command and by connection: shared, or of the pool.",
);
const FAILURES: (&str, &str) = (
    "signalbox_redis_command_failures_total",
    "Commands that Redis was not asked (down), did not answer in time, or refused, by reason.",
);

/// What the registry of a node measures, as metrics.
pub(super) struct Shown {
    measured: Arc<Measured>,
    descriptions: Vec<Desc>,
}

impl Shown {
    pub(super) fn new(measured: Arc<Measured>) -> Self {
        let describe = |(name, help): (&str, &str), labels: &[&str]| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, Default::default())
                .expect("metric names are constants of the right form")
        };
        let descriptions = vec![
            describe(LAG, &[]),
            describe(PARCELS, &[]),
            describe(COMMANDS, &["command", "connection"]),
            describe(FAILURES, &["reason"]),
        ];
        Self { measured, descriptions }
    }
}

impl Collector for Shown {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let measured = &self.measured;
        let commands = measured.commands().filter(|(_, _, spread)| spread.count() > 0);
        let commands = commands.map(|(way, name, spread)| {
            histogram(spread, MICROS, &[("command", name), ("connection", way.as_str())])
        });
        let failures = Failure::ALL.map(|failure| {
            let mut counter = Counter::default();
            counter.set_value(measured.failures(failure) as f64);
            let mut metric = Metric::from_label(labels(&[("reason", failure.as_str())]));
            metric.set_counter(counter);
            metric
        });
        let mut families = vec![
            family(LAG, MetricType::HISTOGRAM, vec![histogram(&measured.bus_lag, MICROS, &[])]),
            family(PARCELS, MetricType::HISTOGRAM, vec![histogram(&measured.batch_parcels, 1.0, &[])]),
            family(FAILURES, MetricType::COUNTER, failures.into()),
        ];
        let commands: Vec<_> = commands.collect();
        if !commands.is_empty() {
            families.push(family(COMMANDS, MetricType::HISTOGRAM, commands));
        }
        families
    }
}

fn family((name, help): (&str, &str), kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn labels(pairs: &[(&str, &str)]) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    pairs.iter().map(pair).collect()
}

/// `unit`: how many of what was counted make one of what is shown.
fn histogram(spread: &Spread, unit: f64, pairs: &[(&str, &str)]) -> Metric {
    let buckets = spread.buckets().map(|(end, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(end as f64 / unit);
        bucket.set_cumulative_count(count);
        bucket
    });
    let buckets: Vec<_> = buckets.collect();
    let mut histogram = Histogram::default();
    // Counted after the buckets, so that no bucket holds more.
    histogram.set_sample_count(spread.count());
    histogram.set_sample_sum(spread.sum() as f64 / unit);
    histogram.set_bucket(buckets);
    let mut metric = Metric::from_label(labels(pairs));
    metric.set_histogram(histogram);
    metric
}
