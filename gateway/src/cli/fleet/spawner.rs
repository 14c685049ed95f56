//! Passengers who come while the fleet drives.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::bail;
use fastrand::Rng;
use signalbox_protocol::fleet::NewPassenger;
use signalbox_protocol::timestamp::Timestamp;

use super::shared::Shared;
use crate::cli::http::Http;
use crate::cli::seed::{Outcome, Timetable, push};
use crate::cli::world::{Crowd, steady};

/// Whoever was not picked up is gone so long after the run.
const KEPT_AFTER: Duration = Duration::from_secs(10 * 60);

/// Makes passengers and pushes them when their time comes.
#[derive(Debug)]
pub(super) struct Spawner {
    http: Http,
    crowd: Crowd,
    per_second: f64,
    duration: Duration,
    rng: Rng,
    /// Passengers made so far.
    made: usize,
    shared: Arc<Shared>,
}

impl Spawner {
    pub(super) fn new(
        http: Http,
        crowd: Crowd,
        (per_second, duration): (f64, Duration),
        rng: Rng,
        shared: Arc<Shared>,
    ) -> Self {
        Self { http, crowd, per_second, duration, rng, made: 0, shared }
    }

    /// Those who wait when it starts.
    pub(super) async fn start_with(&mut self, count: usize) -> anyhow::Result<()> {
        let arrivals = self.passengers(vec![0.0; count])?;
        let mut timetable = Timetable::start(arrivals, 0, None);
        loop {
            let batch = timetable.next().await;
            if batch.is_empty() {
                return Ok(());
            }
            self.push(&batch).await?;
        }
    }

    /// Pushes passengers at their times, until the run ends.
    pub(super) async fn spawn(mut self) -> anyhow::Result<()> {
        let seconds = steady(self.per_second, self.duration.as_secs_f64(), &mut self.rng);
        let mut timetable = Timetable::start(self.passengers(seconds)?, 0, Some(1.0));
        let ending = self.shared.ending.clone();
        while let Some(batch) = ending.run_until_cancelled(timetable.next()).await {
            if batch.is_empty() {
                return Ok(());
            }
            self.push(&batch).await?;
        }
        Ok(())
    }

    fn passengers(&mut self, seconds: Vec<f64>) -> anyhow::Result<Vec<(f64, NewPassenger)>> {
        let end = SystemTime::now() + self.duration + KEPT_AFTER;
        let end = Timestamp(end.duration_since(UNIX_EPOCH)?.as_millis() as u64);
        let mut passengers = Vec::with_capacity(seconds.len());
        for second in seconds {
            passengers.push((second, self.crowd.passenger(self.made, Some(end), &mut self.rng)?));
            self.made += 1;
        }
        Ok(passengers)
    }

    async fn push(&mut self, batch: &[NewPassenger]) -> anyhow::Result<()> {
        match push(&mut self.http, batch).await? {
            Outcome::Taken => self.shared.tally().pushed += batch.len() as u64,
            Outcome::Exists(told) => bail!("passengers of this run exist already: {told}"),
        }
        Ok(())
    }
}
