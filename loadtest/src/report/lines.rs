//! What was found, as lines for people.

use serde_json::Value;

use super::summary::{Found, Row, Summary};

impl Summary {
    /// Prints the lines for people.
    #[expect(clippy::print_stdout, reason = "this is the tester's output")]
    pub(crate) fn print(&self) {
        print!("{}", self.lines());
    }

    pub(super) fn lines(&self) -> String {
        let mut out = format!("{} on {}\n", self.scenario(), self.machine());
        let settings = self.settings().iter().map(|(name, value)| (name.as_str(), vec![text(value)]));
        out += &table("settings", &[], &settings.collect::<Vec<_>>());
        let heads: &[&str] = if self.runs.len() > 1 { &["median", "min", "max", "merged"] } else { &[] };
        let rows = self.rows.iter().map(|row| (row.name.as_str(), row.cells(heads.len())));
        out += &table("results", heads, &rows.collect::<Vec<_>>());
        for (title, texts) in [("warning", &self.warnings), ("FAILED", &self.failures)] {
            for text in texts {
                out += &format!("{title}: {text}\n");
            }
        }
        out
    }
}

impl Row {
    /// Its number, and its spread where there is room for it.
    pub(super) fn cells(&self, room: usize) -> Vec<String> {
        match &self.found {
            Found::Other(value) => vec![text(value)],
            Found::Figure(figure) if room < 2 => vec![number(figure.median)],
            Found::Figure(figure) => {
                let numbers = [Some(figure.median), Some(figure.min), Some(figure.max), figure.merged];
                numbers.into_iter().map(|cell| cell.map_or(String::new(), number)).collect()
            }
        }
    }
}

/// A number as short as it is.
pub(crate) fn number(value: f64) -> String {
    let text = Value::from(value).to_string();
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// A value for people.
pub(crate) fn text(value: &Value) -> String {
    value.as_f64().map_or_else(|| value.to_string(), number)
}

/// A title, and rows below it whose cells stand on the right of their columns.
pub(crate) fn table(title: &str, heads: &[&str], rows: &[(&str, Vec<String>)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let heads: String = heads.iter().map(|head| format!("  {head:>12}")).collect();
    let title_width = if heads.is_empty() { 0 } else { width + 2 };
    let mut out = format!("{title:<title_width$}{heads}\n");
    for (name, cells) in rows {
        let cells: String = cells.iter().map(|cell| format!("  {cell:>12}")).collect();
        out += format!("  {name:<width$}{cells}").trim_end();
        out += "\n";
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::run;
    use super::*;
    use crate::sequence::Findings;

    #[test]
    fn one_run_is_told_in_one_column() {
        let mut report = run(&[250], 1_000.0);
        report.findings(Findings { lost: 2, ..Findings::default() });
        report.warning("the tester was busy");
        let lines = Summary::try_new(vec![report]).unwrap().lines();
        for line in [
            "unicast on a machine\nsettings\n  pairs             4\nresults\n",
            "  messages_per_second          1000\n",
            "  lost                            2\n",
            "warning: the tester was busy\n",
            "FAILED: 2 messages lost, 0 duplicated, 0 reordered\n",
        ] {
            assert!(lines.contains(line), "{line}\n{lines}");
        }
    }

    #[test]
    fn several_runs_are_told_with_their_spread() {
        let lines =
            Summary::try_new([30.0, 10.0, 20.5].map(|rate| run(&[100], rate)).into()).unwrap().lines();
        for line in [
            "results                      median           min           max        merged\n",
            "  messages_per_second          20.5            10            30\n",
        ] {
            assert!(lines.contains(line), "{line}\n{lines}");
        }
        let p50 = lines.lines().find(|line| line.contains("latency_p50_us")).unwrap();
        assert_eq!(p50.split_whitespace().count(), 5, "{lines}");
    }
}
