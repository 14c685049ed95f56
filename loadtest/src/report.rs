//! What one run of a scenario found out, as it is noted. What several runs say together is a [`Summary`], which is told
//! as lines for people, as JSON for programs, as Markdown, as plots, and as an exit code.

mod bound;
mod json;
mod lines;
mod markdown;
mod plots;
mod summary;

use std::borrow::Cow;
use std::io::{self, IsTerminal};
use std::time::Duration;

use serde_json::Value;

use crate::latency::Latencies;
use crate::sequence::Findings;

pub(crate) use self::bound::Bound;
pub(crate) use self::lines::{number, table, text};
pub(crate) use self::summary::Summary;

/// The quantiles that are noted of every histogram.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];

/// The findings of one run. A name tells its unit, and is the same in all forms.
#[derive(Debug)]
pub(crate) struct Report {
    scenario: &'static str,
    machine: String,
    settings: Rows,
    results: Rows,
    histograms: Vec<(String, Latencies)>,
    series: Vec<Series>,
    warnings: Vec<String>,
    failures: Vec<String>,
}

/// Names and values in the order in which they were noted.
type Rows = Vec<(String, Value)>;

/// How a figure went on.
#[derive(Debug, Clone)]
struct Series {
    name: String,
    over: Over,
    points: Points,
}

/// What a series is noted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Of the measured part.
    Seconds,
    /// That were there.
    Connections,
}

/// Where it was noted, and what.
pub(crate) type Points = Vec<(f64, f64)>;

impl Report {
    pub(crate) fn new(scenario: &'static str, machine: String) -> Self {
        Self {
            scenario,
            machine,
            settings: Rows::new(),
            results: Rows::new(),
            histograms: Vec::new(),
            series: Vec::new(),
            warnings: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Notes how the scenario was run.
    pub(crate) fn setting(&mut self, name: &str, value: impl Into<Value>) {
        self.settings.push((name.to_owned(), value.into()));
    }

    /// Notes a result.
    pub(crate) fn result(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        self.results.push((name.into().into_owned(), value.into()));
    }

    /// Notes a result that is a quotient or a measure; four significant digits are more than it is worth.
    pub(crate) fn figure(&mut self, name: impl Into<Cow<'static, str>>, value: f64) {
        self.result(name, significant(value));
    }

    /// Notes `<name>_p50_us`, `_p90_us`, `_p99_us` and `_max_us`, and keeps the histogram.
    pub(crate) fn latencies(&mut self, name: &str, latencies: &Latencies) {
        for (suffix, share) in QUANTILES {
            self.figure(format!("{name}_{suffix}_us"), micros(latencies.quantile(share)));
        }
        self.figure(format!("{name}_max_us"), micros(latencies.max()));
        self.histograms.push((name.to_owned(), latencies.clone()));
    }

    /// Notes how a figure went on, for a plot.
    pub(crate) fn series(&mut self, name: impl Into<String>, over: Over, points: Points) {
        self.series.push(Series { name: name.into(), over, points });
    }

    /// Notes what went missing or astray; anything is a failure.
    pub(crate) fn findings(&mut self, findings: Findings) {
        self.result("lost", findings.lost);
        self.result("duplicated", findings.duplicated);
        self.result("reordered", findings.reordered);
        if !findings.is_clean() {
            let Findings { lost, duplicated, reordered } = findings;
            self.failure(format!("{lost} messages lost, {duplicated} duplicated, {reordered} reordered"));
        }
    }

    /// Notes a reason to doubt the figures.
    pub(crate) fn warning(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// Notes a broken promise: the run fails.
    pub(crate) fn failure(&mut self, text: impl Into<String>) {
        self.failures.push(text.into());
    }

    /// Adds what another report found, its names with `name` in front of them. Its broken promises are reasons to doubt
    /// unless they are `ours`.
    pub(crate) fn absorb(&mut self, name: &str, other: Self, ours: bool) {
        let named = |text: String| format!("{name}_{text}");
        self.results.extend(other.results.into_iter().map(|(result, value)| (named(result), value)));
        self.histograms.extend(other.histograms.into_iter().map(|(of, latencies)| (named(of), latencies)));
        let series = other.series.into_iter().map(|series| Series { name: named(series.name), ..series });
        self.series.extend(series);
        let told = |text: String| format!("{name}: {text}");
        self.warnings.extend(other.warnings.into_iter().map(told));
        let broken = if ours { &mut self.failures } else { &mut self.warnings };
        broken.extend(other.failures.into_iter().map(told));
    }

    /// The result of that name, if there is one and it is a number.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.results.iter().find(|(noted, _)| noted == name)?.1.as_f64()
    }

    /// Whether a result of that name was noted.
    #[cfg(test)]
    pub(crate) fn has_result(&self, name: &str) -> bool {
        self.results.iter().any(|(noted, _)| noted == name)
    }

    /// The broken promises so far.
    #[cfg(test)]
    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }
}

/// A line on the terminal that the next one overwrites; nothing where nobody watches.
pub(crate) fn progress(text: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    }
}

pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn significant(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    if digits <= 0 {
        return value.round();
    }
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_report_found_keeps_its_name_and_only_our_promises_count() {
        let found = || {
            let mut found = Report::new("peers", String::new());
            found.figure("rate", 2.0);
            found.warning("busy");
            found.failure("lost");
            found
        };
        let mut report = Report::new("peers", String::new());
        report.absorb("other", found(), false);
        assert!(report.failures().is_empty());
        assert_eq!(report.warnings, ["other: busy", "other: lost"]);
        report.absorb("this", found(), true);
        assert_eq!(report.failures(), ["this: lost"]);
        assert_eq!((report.number("other_rate"), report.number("this_rate")), (Some(2.0), Some(2.0)));
    }

    #[test]
    fn figures_have_four_digits() {
        for (value, expected) in [
            (0.0, 0.0),
            (f64::NAN, 0.0),
            (1.23456, 1.235),
            (0.0012349, 0.001235),
            (1234.56, 1235.0),
            (123_456.7, 123_457.0),
            (-98.765, -98.77),
        ] {
            assert!((significant(value) - expected).abs() < 1e-9, "{value}");
        }
    }
}
