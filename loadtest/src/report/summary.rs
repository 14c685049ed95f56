//! What one or several runs of a scenario say together: medians, how far the runs lie apart, and quantiles of all
//! latencies in one histogram.

use serde_json::Value;

use super::{Bound, QUANTILES, Report, Rows, micros, significant};
use crate::latency::Latencies;

/// The runs of a scenario, at least one, and what they say together.
#[derive(Debug)]
pub(crate) struct Summary {
    /// What was found, in the order in which it was noted.
    pub(super) rows: Vec<Row>,
    /// Of all runs.
    pub(super) histograms: Vec<(String, Latencies)>,
    pub(super) warnings: Vec<String>,
    pub(super) failures: Vec<String>,
    pub(super) runs: Vec<Report>,
}

/// One finding.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) found: Found,
}

/// What the runs found.
#[derive(Debug)]
pub(super) enum Found {
    Figure(Figure),
    /// No number; a list where runs found different things.
    Other(Value),
}

/// A number that each run found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figure {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    /// The same quantile of the latencies of all runs.
    pub(super) merged: Option<f64>,
}

impl Summary {
    /// `None` of no run.
    pub(crate) fn try_new(runs: Vec<Report>) -> Option<Self> {
        runs.first()?;
        let mut summary = Self {
            rows: Vec::new(),
            histograms: merged(&runs),
            warnings: told(&runs, |run| &run.warnings),
            failures: told(&runs, |run| &run.failures),
            runs,
        };
        for name in names(&summary.runs) {
            summary.add(name);
        }
        Some(summary)
    }

    /// A broken bound is a failure; so is a bound of a figure that there is not.
    pub(crate) fn judge(&mut self, bounds: &[Bound]) {
        let figures: Vec<(&str, f64)> = self.figures().map(|(name, figure)| (name, figure.median)).collect();
        let broken: Vec<String> = bounds.iter().filter_map(|bound| bound.broken(&figures)).collect();
        self.failures.extend(broken);
    }

    /// Whether no promise and no bound was broken.
    pub(crate) fn is_success(&self) -> bool {
        self.failures.is_empty()
    }

    pub(super) fn scenario(&self) -> &str {
        self.runs.first().map_or("", |run| run.scenario)
    }

    pub(super) fn machine(&self) -> &str {
        self.runs.first().map_or("", |run| &run.machine)
    }

    pub(super) fn settings(&self) -> &[(String, Value)] {
        self.runs.first().map_or(&[], |run| &run.settings)
    }

    pub(super) fn figures(&self) -> impl Iterator<Item = (&str, &Figure)> {
        self.rows.iter().filter_map(|row| match &row.found {
            Found::Figure(figure) => Some((row.name.as_str(), figure)),
            Found::Other(_) => None,
        })
    }

    fn add(&mut self, name: String) {
        let values: Vec<&Value> = self.runs.iter().filter_map(|run| value(&run.results, &name)).collect();
        let numbers: Option<Vec<f64>> = values.iter().map(|value| value.as_f64()).collect();
        let found = match numbers {
            Some(numbers) => Found::Figure(Figure { merged: self.merged_quantile(&name), ..figure(numbers) }),
            None => Found::Other(same_or_all(&values)),
        };
        if values.len() < self.runs.len() {
            let (some, all) = (values.len(), self.runs.len());
            self.warnings.push(format!("{name} was found in {some} of {all} runs"));
        }
        self.rows.push(Row { name, found });
    }

    /// The quantile with that name, if it is one, and if there were several runs.
    fn merged_quantile(&self, name: &str) -> Option<f64> {
        if self.runs.len() < 2 {
            return None;
        }
        self.histograms.iter().find_map(|(of, latencies)| {
            let suffix = name.strip_prefix(of.as_str())?.strip_prefix('_')?.strip_suffix("_us")?;
            let quantile = QUANTILES.iter().find(|(known, _)| *known == suffix);
            let longest = (suffix == "max").then(|| latencies.max());
            let latency = quantile.map(|(_, share)| latencies.quantile(*share)).or(longest)?;
            Some(significant(micros(latency)))
        })
    }
}

fn value<'a>(rows: &'a Rows, name: &str) -> Option<&'a Value> {
    rows.iter().find(|(noted, _)| noted == name).map(|(_, value)| value)
}

/// All names of results, those of the first run first.
fn names(runs: &[Report]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in runs.iter().flat_map(|run| &run.results) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn merged(runs: &[Report]) -> Vec<(String, Latencies)> {
    let mut merged: Vec<(String, Latencies)> = Vec::new();
    for (name, latencies) in runs.iter().flat_map(|run| &run.histograms) {
        match merged.iter_mut().find(|(noted, _)| noted == name) {
            Some((_, all)) => all.merge(latencies),
            None => merged.push((name.clone(), latencies.clone())),
        }
    }
    merged
}

/// What all runs told, with the run's number where there are several.
fn told(runs: &[Report], of: impl Fn(&Report) -> &Vec<String>) -> Vec<String> {
    let mut told = Vec::new();
    for (number, run) in (1..).zip(runs) {
        let prefix = if runs.len() > 1 { format!("run {number}: ") } else { String::new() };
        told.extend(of(run).iter().map(|text| format!("{prefix}{text}")));
    }
    told
}

fn figure(mut numbers: Vec<f64>) -> Figure {
    numbers.sort_by(f64::total_cmp);
    let (min, max) = (numbers.first().copied().unwrap_or(0.0), numbers.last().copied().unwrap_or(0.0));
    Figure { median: median(&numbers), min, max, merged: None }
}

/// Of sorted numbers; of an even number of them the mean of the two in the middle.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted {
        [] => 0.0,
        _ if sorted.len() % 2 == 1 => sorted[middle],
        _ => significant(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

fn same_or_all(values: &[&Value]) -> Value {
    match values {
        [first, others @ ..] if others.iter().all(|other| other == first) => (*first).clone(),
        all => Value::Array(all.iter().map(|value| (*value).clone()).collect()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;

    /// A run in which latencies of so many microseconds were seen.
    pub(in crate::report) fn run(micros: &[u64], rate: f64) -> Report {
        let mut report = Report::new("unicast", "a machine".to_owned());
        report.setting("pairs", 4);
        report.figure("messages_per_second", rate);
        let mut latencies = Latencies::default();
        micros.iter().for_each(|us| latencies.record(Duration::from_micros(*us)));
        report.latencies("latency", &latencies);
        report
    }

    fn found(summary: &Summary, name: &str) -> Figure {
        *summary.figures().find(|(noted, _)| *noted == name).unwrap().1
    }

    #[test]
    fn the_median_is_in_the_middle() {
        for (numbers, expected) in [
            (vec![], 0.0),
            (vec![7.0], 7.0),
            (vec![3.0, 1.0], 2.0),
            (vec![9.0, 1.0, 2.0], 2.0),
            (vec![4.0, 100.0, 1.0, 2.0], 3.0),
        ] {
            assert_eq!(figure(numbers.clone()).median, expected, "{numbers:?}");
        }
    }

    #[test]
    fn several_runs_have_medians_and_a_spread_and_one_histogram() {
        let runs = [(&[100, 100, 100][..], 10.0), (&[900], 30.0), (&[200], 20.0)];
        let runs = runs.map(|(micros, rate)| run(micros, rate));
        let summary = Summary::try_new(runs.into()).unwrap();
        let rate = Figure { median: 20.0, min: 10.0, max: 30.0, merged: None };
        assert_eq!(found(&summary, "messages_per_second"), rate);
        let p50 = found(&summary, "latency_p50_us");
        assert!((p50.median - 200.0).abs() < 1.0, "{p50:?}");
        // Three of the five were that short.
        assert!((p50.merged.unwrap() - 100.0).abs() < 1.0, "{p50:?}");
        assert!((found(&summary, "latency_max_us").merged.unwrap() - 900.0).abs() < 1.0);
        assert_eq!(summary.histograms[0].1.count(), 5);
    }

    #[test]
    fn one_run_is_told_as_it_was() {
        let mut single = run(&[100], 10.0);
        single.warning("late");
        let summary = Summary::try_new(vec![single]).unwrap();
        assert_eq!(found(&summary, "latency_p50_us").merged, None);
        assert_eq!(summary.warnings, ["late"]);
        assert!(summary.is_success() && Summary::try_new(Vec::new()).is_none());
    }

    #[test]
    fn what_single_runs_complain_of_is_kept_with_their_number() {
        let mut runs = [run(&[100], 10.0), run(&[100], 10.0)];
        runs[0].warning("late");
        runs[1].failure("lost");
        runs[1].result("renewals", 3);
        for (run, ending) in runs.iter_mut().zip(["cut", "408"]) {
            run.result("endings", ending);
            run.result("loop", "closed");
        }
        let summary = Summary::try_new(runs.into()).unwrap();
        assert_eq!(summary.warnings, ["run 1: late", "renewals was found in 1 of 2 runs"]);
        assert_eq!(summary.failures, ["run 2: lost"]);
        assert!(!summary.is_success());
        let other = |name| summary.rows.iter().find(|row| row.name == name).map(|row| &row.found);
        assert!(matches!(other("endings"), Some(Found::Other(Value::Array(all))) if all.len() == 2));
        assert!(matches!(other("loop"), Some(Found::Other(Value::String(word))) if word == "closed"));
    }

    #[test]
    fn bounds_are_judged_on_the_median() {
        let judged = |bounds: &[&str]| {
            let runs = [10.0, 90.0, 20.0].map(|rate| run(&[100], rate));
            let mut summary = Summary::try_new(runs.into()).unwrap();
            summary.judge(&bounds.iter().map(|bound| bound.parse().unwrap()).collect::<Vec<_>>());
            summary.failures
        };
        assert!(judged(&["messages_per_second<50", "latency_p99_us<1ms"]).is_empty());
        let failures = judged(&["messages_per_second<15", "latency_p98_us<1ms"]);
        assert_eq!(failures[0], "messages_per_second is 20, not < 15");
        let unknown =
            "no figure is called \"latency_p98_us\"; there are: messages_per_second, latency_p50_us,";
        assert!(failures[1].starts_with(unknown), "{}", failures[1]);
    }
}
