//! What was found, as JSON for programs. `results` holds medians, so that it is read in the same way whether a scenario
//! ran once or more often.

use std::fs::File;
use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::summary::{Found, Summary};
use super::{Report, micros, significant};
use crate::latency::Latencies;

impl Summary {
    /// Writes the JSON for programs.
    pub(crate) fn write_json(&self, path: &Path) -> io::Result<()> {
        Ok(serde_json::to_writer_pretty(File::create(path)?, &self.json())?)
    }

    pub(super) fn json(&self) -> Value {
        let runs: Vec<Value> = self.runs.iter().map(Report::json).collect();
        let mut json = json!({
            "scenario": self.scenario(),
            "machine": self.machine(),
            "settings": object(self.settings()),
            "results": self.results(),
            "percentiles_us": self.percentiles(),
            "runs": runs,
            "warnings": self.warnings,
            "failures": self.failures,
        });
        if self.runs.len() > 1 {
            json["spread"] = self.spread();
        }
        json
    }

    fn results(&self) -> Map<String, Value> {
        let results = self.rows.iter().map(|row| match &row.found {
            Found::Figure(figure) => (row.name.clone(), plain(figure.median)),
            Found::Other(value) => (row.name.clone(), value.clone()),
        });
        results.collect()
    }

    fn spread(&self) -> Value {
        let spread = self.figures().map(|(name, figure)| {
            let mut range = json!({ "min": plain(figure.min), "max": plain(figure.max) });
            if let Some(merged) = figure.merged {
                range["merged"] = plain(merged);
            }
            (name.to_owned(), range)
        });
        Value::Object(spread.collect())
    }

    fn percentiles(&self) -> Map<String, Value> {
        self.histograms.iter().map(|(name, latencies)| (name.clone(), percentiles(latencies))).collect()
    }
}

impl Report {
    /// What this run found by itself.
    pub(crate) fn json(&self) -> Value {
        let series: Map<String, Value> =
            self.series.iter().map(|series| (series.name.clone(), json!(series.points))).collect();
        json!({
            "results": object(&self.results),
            "series": series,
            "warnings": self.warnings,
            "failures": self.failures,
        })
    }
}

fn object(rows: &[(String, Value)]) -> Value {
    Value::Object(rows.iter().cloned().collect())
}

/// Shares and the microseconds that they did not exceed.
fn percentiles(latencies: &Latencies) -> Value {
    let percentiles = latencies.percentiles().into_iter();
    Value::Array(percentiles.map(|(share, time)| json!([share, significant(micros(time))])).collect())
}

/// A whole number without decimals.
fn plain(value: f64) -> Value {
    let whole = value as i64;
    if whole as f64 == value { Value::from(whole) } else { Value::from(value) }
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::run;
    use super::super::{Over, Summary};
    use super::*;

    #[test]
    fn one_run_is_written_as_it_was() {
        let mut report = run(&[250], 1_000.0);
        report.result("lost", 0);
        report.failure("a bound");
        let json = Summary::try_new(vec![report]).unwrap().json();
        assert_eq!((&json["scenario"], &json["settings"]["pairs"]), (&json!("unicast"), &json!(4)));
        let results = &json["results"];
        assert_eq!((&results["lost"], &results["messages_per_second"]), (&json!(0), &json!(1_000)));
        assert!((results["latency_p50_us"].as_f64().unwrap() - 250.0).abs() < 1.0);
        assert_eq!((&json["failures"], &json["spread"]), (&json!(["a bound"]), &Value::Null));
    }

    #[test]
    fn several_runs_are_written_with_their_spread_and_each_by_itself() {
        let mut runs = [10.0, 30.0, 20.5].map(|rate| run(&[100], rate));
        runs[1].series("messages_per_second", Over::Seconds, vec![(1.0, 31.0), (2.0, 29.0)]);
        let json = Summary::try_new(runs.into()).unwrap().json();
        assert_eq!(json["results"]["messages_per_second"], json!(20.5));
        assert_eq!(json["spread"]["messages_per_second"], json!({ "min": 10, "max": 30 }));
        assert!(json["spread"]["latency_p99_us"]["merged"].as_f64().unwrap() > 99.0);
        assert_eq!(json["runs"][2]["results"]["messages_per_second"], json!(20.5));
        assert_eq!(json["runs"][1]["series"]["messages_per_second"], json!([[1.0, 31.0], [2.0, 29.0]]));
        assert_eq!(json["percentiles_us"]["latency"].as_array().unwrap().len(), 6);
    }
}
