//! Which commands Redis carries out in a run, those in scripts among them: `INFO commandstats`.

use std::collections::BTreeMap;
use std::io;

use tokio::time::sleep_until;

use crate::observed::Timeline;
use crate::report::Report;
use crate::resp::{RedisConnection, Reply};

/// A command that is rarer than this is only counted in the sum.
const NAMED_FROM: f64 = 0.05;

/// How often each command was called.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct CommandCounts(BTreeMap<String, u64>);

impl CommandCounts {
    /// Counts over the measured part of a run.
    ///
    /// # Errors
    /// When Redis goes away.
    pub(crate) async fn during(address: &str, timeline: Timeline) -> io::Result<Self> {
        let mut redis = RedisConnection::connect(address).await?;
        sleep_until(timeline.measured_from()).await;
        let before = Self::read(&mut redis).await?;
        sleep_until(timeline.began + timeline.end()).await;
        Ok(Self::read(&mut redis).await?.since(&before))
    }

    async fn read(redis: &mut RedisConnection) -> io::Result<Self> {
        match redis.ask(&[b"INFO", b"commandstats"]).await? {
            Reply::Bulk(Some(text)) => Ok(Self::parse(&String::from_utf8_lossy(&text))),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// From lines such as `cmdstat_get:calls=21,usec=175,usec_per_call=8.33,..`. Asking counts for nothing.
    fn parse(text: &str) -> Self {
        let counts = text.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls = rest.split(',').next()?.parse().ok()?;
            (name != "info").then(|| (name.to_owned(), calls))
        });
        Self(counts.collect())
    }

    fn since(mut self, before: &Self) -> Self {
        for (name, count) in &mut self.0 {
            *count = count.saturating_sub(before.0.get(name).copied().unwrap_or(0));
        }
        self
    }

    /// Notes how many there were for each of `count` things, in all and by name.
    pub(crate) fn note(&self, report: &mut Report, what: &str, count: u64) {
        if count == 0 {
            return;
        }
        let per = |calls: u64| calls as f64 / count as f64;
        report.figure(format!("redis_commands_per_{what}"), per(self.0.values().sum()));
        for (name, calls) in self.0.iter().filter(|(_, calls)| per(**calls) >= NAMED_FROM) {
            report.figure(format!("redis_{}_per_{what}", name.replace('|', "_")), per(*calls));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_between_two_readings() {
        let before = "# Commandstats\r\ncmdstat_get:calls=5,usec=1\r\ncmdstat_info:calls=3,usec=9\r\n";
        let after = "cmdstat_get:calls=25,usec=9\r\ncmdstat_client|kill:calls=1,usec=9\r\nrubbish\r\n";
        let counts = CommandCounts::parse(after).since(&CommandCounts::parse(before));
        let expected = [("client|kill".to_owned(), 1), ("get".to_owned(), 20)];
        assert_eq!(counts, CommandCounts(expected.into()));
        let mut report = Report::new("locks", String::new());
        counts.note(&mut report, "grant", 0);
        assert!(!report.has_result("redis_commands_per_grant"));
        counts.note(&mut report, "grant", 100);
        assert!(report.has_result("redis_commands_per_grant") && report.has_result("redis_get_per_grant"));
        assert!(!report.has_result("redis_client_kill_per_grant"));
    }
}
