//! What came of the messages of a run, or of one process's share of it: a few numbers and two histograms, which add up.

use serde::{Deserialize, Serialize};

use crate::latency::Latencies;
use crate::observed::Observed;
use crate::report::{Points, Report, micros};
use crate::sequence::Findings;

/// What came of messages.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) latencies: Latencies,
    /// Of the messages that met no hiccup, if the machine was watched.
    undisturbed: Option<Latencies>,
    pub(crate) send_lags: Latencies,
    sent: u64,
    delivered: u64,
    pub(crate) findings: Findings,
    errors: u64,
    first_error: Option<String>,
    /// Receivers that got something, where each hears one sender.
    pub(crate) reached: u64,
    /// Delivered in the measured part.
    pub(crate) measured: u64,
    /// Per second, second by second.
    pub(crate) rates: Points,
}

impl Tally {
    /// What was observed, and what was found missing in it.
    pub(crate) fn of(observed: &mut Observed, findings: Findings) -> Self {
        let undisturbed = observed.undisturbed();
        let (errors, first_error) =
            observed.errors().map_or((0, None), |(count, first)| (count, Some(first.to_owned())));
        Self {
            latencies: observed.latencies().clone(),
            undisturbed,
            send_lags: observed.send_lags().clone(),
            sent: observed.sent_in_all(),
            delivered: observed.delivered(),
            findings,
            errors,
            first_error,
            reached: observed.reached(),
            measured: 0,
            rates: Points::new(),
        }
    }

    /// The same, with how much of it was delivered in the measured part, and second by second.
    pub(crate) fn counted(self, (measured, rates): (u64, Points)) -> Self {
        Self { measured, rates, ..self }
    }

    /// Adds another process's share of the same run.
    pub(crate) fn add(&mut self, other: Self) {
        self.latencies.merge(&other.latencies);
        self.undisturbed = match (self.undisturbed.take(), other.undisturbed) {
            (Some(mut undisturbed), Some(other)) => {
                undisturbed.merge(&other);
                Some(undisturbed)
            }
            (undisturbed, other) => undisturbed.or(other),
        };
        self.send_lags.merge(&other.send_lags);
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.findings += other.findings;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.reached += other.reached;
        self.measured += other.measured;
        let common = self.rates.len().min(other.rates.len());
        self.rates.iter_mut().zip(&other.rates).for_each(|(sum, (_, rate))| sum.1 += rate);
        self.rates.extend_from_slice(&other.rates[common..]);
    }

    /// Notes all of it; whatever went wrong is a failure.
    pub(crate) fn note(&self, report: &mut Report) {
        report.latencies("latency", &self.latencies);
        if let Some(undisturbed) = &self.undisturbed {
            report.latencies("latency_undisturbed", undisturbed);
            report.figure("latency_undisturbed_p999_us", micros(undisturbed.quantile(0.999)));
            let share = undisturbed.count() as f64 / self.latencies.count().max(1) as f64;
            report.figure("undisturbed_percent", 100.0 * share);
        }
        report.latencies("send_lag", &self.send_lags);
        report.result("sent", self.sent);
        report.result("delivered", self.delivered);
        report.findings(self.findings);
        if let Some(first) = &self.first_error {
            report.result("errors", self.errors);
            report.failure(format!("{} errors, the first: {first}", self.errors));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn share(sent: u64, lost: u64, error: Option<&str>) -> Tally {
        let mut latencies = Latencies::default();
        latencies.record(Duration::from_millis(sent));
        Tally {
            latencies,
            sent,
            delivered: sent - lost,
            findings: Findings { lost, ..Findings::default() },
            errors: u64::from(error.is_some()),
            first_error: error.map(str::to_owned),
            measured: sent,
            rates: (1..=sent).map(|second| (second as f64, 10.0)).collect(),
            ..Tally::default()
        }
    }

    #[test]
    fn what_one_process_lost_is_lost_in_all() {
        let mut sum = Tally::default();
        for share in [share(1, 0, None), share(3, 2, Some("cut")), share(2, 0, Some("late"))] {
            let text = serde_json::to_string(&share).unwrap();
            sum.add(serde_json::from_str(&text).unwrap());
        }
        assert_eq!((sum.sent, sum.delivered, sum.measured, sum.findings.lost), (6, 4, 6, 2));
        assert_eq!((sum.errors, sum.first_error.as_deref()), (2, Some("cut")));
        assert_eq!(sum.rates, [(1.0, 30.0), (2.0, 20.0), (3.0, 10.0)]);
        assert_eq!(sum.latencies.count(), 3);
        let mut report = Report::new("idle", String::new());
        sum.note(&mut report);
        assert_eq!(
            report.failures(),
            ["2 messages lost, 0 duplicated, 0 reordered", "2 errors, the first: cut"]
        );
    }
}
