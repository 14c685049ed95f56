//! What a checker found.

use std::fmt;

use crate::report::Report;

/// So many violations are named; the others are only counted.
const NAMED_MAX: usize = 100;

/// So many violations are shown in a report.
const SHOWN_MAX: usize = 10;

/// What a checker found in a history.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Operations that were judged.
    pub(crate) operations: u64,
    /// Operations that got no answer.
    pub(crate) unknown: u64,
    /// Of these, those whose outcome is known all the same: from a repetition, or by looking afterwards.
    pub(crate) resolved: u64,
    /// Broken promises, of which not all may be in `named`.
    pub(crate) violations: u64,
    pub(crate) named: Vec<Violation>,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    /// What it is about, e.g. `resource 7`.
    pub(crate) subject: String,
    /// The numbers of the operations that show it.
    pub(crate) operations: Vec<u32>,
}

/// What was promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Rule {
    /// At most one holder of a lock at a time.
    OneHolder,
    /// A grant that begins after another was told has a greater fence.
    FencesGrow,
    /// No two grants of a lock have the same fence.
    FencesDiffer,
    /// What was superseded can neither be renewed nor released.
    OverIsOver,
    /// A passenger is boarded at most once.
    BoardedOnce,
    /// Answers about one passenger do not contradict each other.
    AnswersAgree,
    /// No vehicle carries more than it has seats for.
    SeatsSuffice,
    /// What is found afterwards is what clients were told.
    EndAgrees,
}

impl Verdict {
    /// Takes note of a broken promise.
    pub(crate) fn blame(&mut self, rule: Rule, subject: impl FnOnce() -> String, operations: &[u32]) {
        self.violations += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(Violation { rule, subject: subject(), operations: operations.to_vec() });
        }
    }

    /// Notes the verdict; each violation is a failure that shows the operations, as `tell` puts them.
    pub(crate) fn note(&self, report: &mut Report, tell: impl Fn(u32) -> String) {
        report.result("checked_operations", self.operations);
        report.result("unknown", self.unknown);
        report.result("unknown_resolved", self.resolved);
        report.result("violations", self.violations);
        for violation in self.named.iter().take(SHOWN_MAX) {
            let shown: Vec<String> = violation.operations.iter().map(|number| tell(*number)).collect();
            report.failure(format!("{}: {}: {}", violation.rule, violation.subject, shown.join("; ")));
        }
        let shown = self.named.len().min(SHOWN_MAX) as u64;
        if self.violations > shown {
            report.failure(format!("{} more violations", self.violations - shown));
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneHolder => "two holders at once",
            Self::FencesGrow => "a later grant with a smaller fence",
            Self::FencesDiffer => "two grants with one fence",
            Self::OverIsOver => "confirmed to somebody whose lock had gone to another",
            Self::BoardedOnce => "boarded twice",
            Self::AnswersAgree => "answers that contradict each other",
            Self::SeatsSuffice => "more on board than seats",
            Self::EndAgrees => "the end is not what was told",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_fails_the_run_and_shows_its_operations() {
        let mut report = Report::new("locks", String::new());
        let mut verdict = Verdict { operations: 9, unknown: 2, resolved: 1, ..Verdict::default() };
        verdict.note(&mut report, |_| unreachable!());
        assert!(report.failures().is_empty());
        for _ in 0..NAMED_MAX + 5 {
            verdict.blame(Rule::OneHolder, || "resource 7".to_owned(), &[3, 4]);
        }
        assert_eq!((verdict.violations, verdict.named.len()), (105, NAMED_MAX));
        verdict.note(&mut report, |number| format!("operation {number}"));
        let failures = report.failures();
        assert_eq!(failures[0], "two holders at once: resource 7: operation 3; operation 4");
        assert_eq!((failures.len(), failures[SHOWN_MAX].as_str()), (SHOWN_MAX + 1, "95 more violations"));
    }
}
