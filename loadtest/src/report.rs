//! What a run found out: as lines for people, as JSON for programs, and as an exit code.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use crate::latency::Latencies;
use crate::sequence::Findings;

/// The findings of one scenario. A name tells its unit, and is the same in both forms.
#[derive(Debug)]
pub(crate) struct Report {
    scenario: &'static str,
    machine: String,
    settings: Rows,
    results: Rows,
    warnings: Vec<String>,
    failures: Vec<String>,
}

/// Names and values in the order in which they were noted.
type Rows = Vec<(String, Value)>;

impl Report {
    pub(crate) fn new(scenario: &'static str, machine: String) -> Self {
        Self {
            scenario,
            machine,
            settings: Rows::new(),
            results: Rows::new(),
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

    /// Notes `<name>_p50_us`, `_p90_us`, `_p99_us` and `_max_us`.
    pub(crate) fn latencies(&mut self, name: &str, latencies: &Latencies) {
        for (suffix, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)] {
            self.figure(format!("{name}_{suffix}_us"), micros(latencies.quantile(share)));
        }
        self.figure(format!("{name}_max_us"), micros(latencies.max()));
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

    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Prints the lines for people.
    #[expect(clippy::print_stdout, reason = "this is the tester's output")]
    pub(crate) fn print(&self) {
        print!("{}", self.lines());
    }

    /// Writes the JSON for programs.
    pub(crate) fn write_json(&self, path: &Path) -> io::Result<()> {
        Ok(serde_json::to_writer_pretty(File::create(path)?, &self.json())?)
    }

    fn lines(&self) -> String {
        let mut out = format!("{} on {}\n", self.scenario, self.machine);
        for (title, rows) in [("settings", &self.settings), ("results", &self.results)] {
            out += &format!("{title}\n");
            let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            for (name, value) in rows {
                let text = value.to_string();
                let text = text.strip_suffix(".0").unwrap_or(&text);
                out += &format!("  {name:<width$}  {text:>12}\n");
            }
        }
        for (title, texts) in [("warning", &self.warnings), ("FAILED", &self.failures)] {
            for text in texts {
                out += &format!("{title}: {text}\n");
            }
        }
        out
    }

    fn json(&self) -> Value {
        json!({
            "scenario": self.scenario,
            "machine": self.machine,
            "settings": object(&self.settings),
            "results": object(&self.results),
            "warnings": self.warnings,
            "failures": self.failures,
        })
    }
}

fn object(rows: &Rows) -> Value {
    Value::Object(rows.iter().cloned().collect())
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

    #[test]
    fn lines_and_json_tell_the_same() {
        let mut report = Report::new("unicast", "a machine".to_owned());
        report.setting("rate", 1_000);
        let mut latencies = Latencies::default();
        latencies.record(Duration::from_micros(250));
        report.latencies("latency", &latencies);
        report.findings(Findings::default());
        assert_eq!(report.exit_code(), ExitCode::SUCCESS);
        report.findings(Findings { lost: 2, ..Findings::default() });
        report.warning("the tester was busy");
        assert_eq!(report.exit_code(), ExitCode::FAILURE);
        let lines = report.lines();
        for line in [
            "unicast on a machine",
            "  rate          1000",
            "  lost                       2",
            "warning: the tester was busy",
            "FAILED: 2 messages lost, 0 duplicated, 0 reordered",
        ] {
            assert!(lines.contains(line), "{line}\n{lines}");
        }
        let json = report.json();
        assert_eq!((&json["results"]["lost"], &json["settings"]["rate"]), (&json!(2), &json!(1_000)));
        assert!((json["results"]["latency_p50_us"].as_f64().unwrap() - 250.0).abs() < 1.0);
    }
}
