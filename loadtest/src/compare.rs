//! Two reports side by side: what changed, and whether by more than the runs of each differ.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::options::Compare;
use crate::report::{Bound, number, table, text};

/// A report as it was written, as much of it as is compared.
#[derive(Debug, Deserialize)]
struct Saved {
    scenario: String,
    machine: String,
    settings: Map<String, Value>,
    results: Map<String, Value>,
    /// Where it ran more than once.
    #[serde(default)]
    spread: BTreeMap<String, Spread>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Spread {
    min: f64,
    max: f64,
}

/// A figure that both have.
#[derive(Debug)]
struct Pair<'a> {
    name: &'a str,
    before: f64,
    after: f64,
    /// Unless one of them ran only once.
    overlap: Option<bool>,
}

/// Prints the table; answers whether all bounds were kept.
#[expect(clippy::print_stdout, reason = "this is the tester's output")]
pub(crate) fn run(options: &Compare) -> anyhow::Result<bool> {
    let (before, after) = (read(&options.before)?, read(&options.after)?);
    let differences = differences(&before, &after);
    ensure!(
        options.anyway || differences.is_empty(),
        "these are two different things; --anyway compares them still:\n  {}",
        differences.join("\n  ")
    );
    let pairs = pairs(&before, &after);
    let title = format!("{}: {}, {}", before.scenario, options.before.display(), options.after.display());
    print!("{}", lines(&title, &pairs));
    differences.iter().for_each(|difference| println!("warning: {difference}"));
    if before.machine != after.machine {
        println!("warning: two machines: {}; {}", before.machine, after.machine);
    }
    let broken = broken(&pairs, &options.bounds);
    broken.iter().for_each(|broken| println!("FAILED: {broken}"));
    Ok(broken.is_empty())
}

fn read(path: &Path) -> anyhow::Result<Saved> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    serde_json::from_reader(file).with_context(|| format!("{} is no report", path.display()))
}

/// What was not the same for both.
fn differences(before: &Saved, after: &Saved) -> Vec<String> {
    let mut differences = Vec::new();
    if before.scenario != after.scenario {
        differences.push(format!("scenario: {}, {}", before.scenario, after.scenario));
    }
    let added = after.settings.keys().filter(|name| !before.settings.contains_key(*name));
    for name in before.settings.keys().chain(added) {
        let [left, right] = [before, after].map(|report| report.settings.get(name));
        if left != right {
            let [left, right] = [left, right].map(|value| value.map_or("not set".to_owned(), text));
            differences.push(format!("{name}: {left}, {right}"));
        }
    }
    differences
}

/// The figures that both have.
fn pairs<'a>(before: &'a Saved, after: &'a Saved) -> Vec<Pair<'a>> {
    let pair = |(name, value): (&'a String, &Value)| {
        let spreads = before.spread.get(name).zip(after.spread.get(name));
        Some(Pair {
            name,
            before: value.as_f64()?,
            after: after.results.get(name)?.as_f64()?,
            overlap: spreads.map(|(before, after)| before.overlaps(*after)),
        })
    };
    before.results.iter().filter_map(pair).collect()
}

fn lines(title: &str, pairs: &[Pair<'_>]) -> String {
    let row = |pair: &Pair<'_>| {
        let overlap = pair.overlap.map_or("", |overlap| if overlap { "overlap" } else { "apart" });
        let ratio = pair.ratio().map_or(String::new(), |ratio| format!("{ratio:.3}"));
        vec![number(pair.before), number(pair.after), ratio, overlap.to_owned()]
    };
    let rows: Vec<_> = pairs.iter().map(|pair| (pair.name, row(pair))).collect();
    format!("{title}\n{}", table("figure", &["before", "after", "ratio", "spreads"], &rows))
}

/// The bounds that ratios do not keep.
fn broken(pairs: &[Pair<'_>], bounds: &[Bound]) -> Vec<String> {
    let ratios: Vec<(&str, f64)> = pairs.iter().filter_map(|pair| Some((pair.name, pair.ratio()?))).collect();
    let broken = bounds.iter().filter_map(|bound| bound.broken(&ratios));
    broken.map(|text| format!("as a ratio, {text}")).collect()
}

impl Spread {
    fn overlaps(self, other: Self) -> bool {
        self.min <= other.max && other.min <= self.max
    }
}

impl Pair<'_> {
    /// `None` of nothing.
    fn ratio(&self) -> Option<f64> {
        let ratio = self.after / self.before;
        ratio.is_finite().then_some(ratio)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use serde_json::json;
    use tempfile::NamedTempFile;

    use super::*;

    fn file(report: &Value) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(report.to_string().as_bytes()).unwrap();
        file
    }

    fn report(p99: f64, spread: Option<(f64, f64)>) -> Value {
        let mut report = json!({
            "scenario": "unicast", "machine": "a machine", "settings": { "pairs": 4 }, "warnings": [],
            "results": { "latency_p99_us": p99, "lost": 0, "endings": "cut" },
        });
        if let Some((min, max)) = spread {
            report["spread"] = json!({ "latency_p99_us": { "min": min, "max": max, "merged": p99 } });
        }
        report
    }

    /// Whether bounds were kept, or why it was refused.
    fn compared(before: &Value, after: &Value, anyway: bool, bounds: &[&str]) -> Result<bool, String> {
        let (before, after) = (file(before), file(after));
        let options = Compare {
            before: before.path().into(),
            after: after.path().into(),
            anyway,
            bounds: bounds.iter().map(|bound| bound.parse().unwrap()).collect(),
        };
        run(&options).map_err(|error| error.to_string())
    }

    #[test]
    fn what_did_not_change_keeps_every_bound_and_what_grew_breaks_it() {
        let (before, after) = (report(100.0, None), report(150.0, None));
        assert_eq!(compared(&before, &before, false, &["latency_p99_us<=1"]), Ok(true));
        assert_eq!(compared(&before, &after, false, &[]), Ok(true));
        assert_eq!(compared(&before, &after, false, &["latency_p99_us<1.2"]), Ok(false));
        assert_eq!(compared(&after, &before, false, &["latency_p99_us<1.2"]), Ok(true));
        assert_eq!(compared(&before, &after, false, &["latency_p98_us<1.2"]), Ok(false), "there is none");
    }

    #[test]
    fn different_settings_or_scenarios_are_refused_unless_it_is_wanted() {
        let before = report(100.0, None);
        let mut after = report(100.0, None);
        after["settings"] = json!({ "pairs": 5, "window": 32 });
        let refusal = compared(&before, &after, false, &[]).unwrap_err();
        assert!(refusal.ends_with("\n  pairs: 4, 5\n  window: not set, 32"), "{refusal}");
        assert_eq!(compared(&before, &after, true, &[]), Ok(true));
        let mut other = report(100.0, None);
        other["scenario"] = json!("fanout");
        let refusal = compared(&before, &other, false, &[]).unwrap_err();
        assert!(refusal.ends_with("\n  scenario: unicast, fanout"), "{refusal}");
        assert!(
            compared(&before, &json!({ "scenario": 1 }), true, &[]).unwrap_err().contains("is no report")
        );
    }

    #[test]
    fn the_table_tells_ratios_and_whether_spreads_overlap() {
        let row = |before: Value, after: Value| {
            let [before, after] =
                [before, after].map(|report| serde_json::from_value::<Saved>(report).unwrap());
            let lines = lines("title", &pairs(&before, &after));
            assert_eq!(lines.lines().count(), 4, "words have no ratio: {lines}");
            let line = lines.lines().find(|line| line.contains("latency_p99_us")).unwrap();
            line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
        };
        let before = || report(100.0, Some((90.0, 120.0)));
        assert_eq!(row(before(), report(150.0, Some((140.0, 160.0)))), "100 150 1.500 apart");
        assert_eq!(row(before(), report(110.0, Some((100.0, 160.0)))), "100 110 1.100 overlap");
        assert_eq!(row(before(), report(50.0, None)), "100 50 0.500");
        assert_eq!(row(report(0.0, None), report(50.0, None)), "0 50");
    }
}
