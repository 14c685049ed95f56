//! What an examination finds, and how that is told.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and will be regretted.
    Warning,
    /// It does not work, or breaks a promise.
    Wrong,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// How it is.
    pub(super) verdict: Verdict,
    /// What was looked at.
    pub(super) subject: &'static str,
    /// What was seen.
    pub(super) found: String,
    /// What to do, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

impl Finding {
    pub(super) fn ok(subject: &'static str, found: impl fmt::Display) -> Self {
        Self { verdict: Verdict::Ok, subject, found: found.to_string(), advice: None }
    }

    pub(super) fn warning(
        subject: &'static str,
        found: impl fmt::Display,
        advice: impl fmt::Display,
    ) -> Self {
        Self { verdict: Verdict::Warning, advice: Some(advice.to_string()), ..Self::ok(subject, found) }
    }

    pub(super) fn wrong(subject: &'static str, found: impl fmt::Display, advice: impl fmt::Display) -> Self {
        Self { verdict: Verdict::Wrong, ..Self::warning(subject, found, advice) }
    }
}

/// All that was found.
#[derive(Debug)]
pub(super) struct Report(pub(super) Vec<Finding>);

impl Report {
    /// How many things are wrong.
    pub(super) fn wrong(&self) -> usize {
        self.0.iter().filter(|finding| finding.verdict == Verdict::Wrong).count()
    }

    /// For machines.
    pub(super) fn to_json(&self) -> Value {
        let worst = self.0.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
        json!({ "verdict": worst, "findings": self.0 })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|finding| finding.subject.len()).max().unwrap_or(0);
        for Finding { verdict, subject, found, advice } in &self.0 {
            let verdict = match verdict {
                Verdict::Ok => "ok",
                Verdict::Warning => "warning",
                Verdict::Wrong => "wrong",
            };
            writeln!(f, "{verdict:<8} {subject:<width$}  {}", harmless(found))?;
            if let Some(advice) = advice {
                writeln!(f, "{:<8} {:<width$}  -> {}", "", "", harmless(advice))?;
            }
        }
        Ok(())
    }
}

/// What comes from the network must not steer the terminal.
fn harmless(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_told_to_people_and_to_machines() {
        let report = Report(vec![
            Finding::ok("port", "free"),
            Finding::warning("redis.memory", "a\u{1b}[2J", "do that"),
            Finding::wrong("redis", "away", "start it"),
        ]);
        assert_eq!(
            report.to_string(),
            "ok       port          free\n\
             warning  redis.memory  a\\u{1b}[2J\n                       -> do that\n\
             wrong    redis         away\n                       -> start it\n"
        );
        assert_eq!(report.wrong(), 1);
        let told = report.to_json();
        assert_eq!(told["verdict"], "wrong");
        assert_eq!(told["findings"][0], json!({"verdict": "ok", "subject": "port", "found": "free"}));
        assert_eq!(told["findings"][1]["advice"], "do that");
    }
}
