//! When which passengers are pushed: all at once, or as time, running faster, comes to them.

use std::time::Duration;

use signalbox_protocol::fleet::NewPassenger;
use tokio::time::Instant;

/// Most passengers of one request.
const BATCH_MAX: usize = 1_000;
/// Those who come within this time go together.
const STEP: Duration = Duration::from_millis(50);

/// The passengers that are still to be pushed.
#[derive(Debug)]
pub(in crate::cli) struct Timetable {
    /// Each with the time since the start.
    waiting: std::vec::IntoIter<(Duration, NewPassenger)>,
    begun: Instant,
    timed: bool,
}

impl Timetable {
    /// `arrivals` in their order, each with the second of the day; the clock starts now, at the first second
    /// of `start_hour`.
    pub(in crate::cli) fn start(
        arrivals: Vec<(f64, NewPassenger)>,
        start_hour: u32,
        speed: Option<f64>,
    ) -> Self {
        let since_start = |second: f64| match speed {
            Some(speed) => {
                Duration::from_secs_f64((second - f64::from(start_hour) * 3_600.0).max(0.0) / speed)
            }
            None => Duration::ZERO,
        };
        let waiting: Vec<_> =
            arrivals.into_iter().map(|(second, passenger)| (since_start(second), passenger)).collect();
        Self { waiting: waiting.into_iter(), begun: Instant::now(), timed: speed.is_some() }
    }

    /// Waits for the next passengers. Nobody is left if it answers nobody.
    pub(in crate::cli) async fn next(&mut self) -> Vec<NewPassenger> {
        let Some((first, _)) = self.waiting.as_slice().first() else { return Vec::new() };
        if self.timed {
            tokio::time::sleep_until(self.begun + *first + STEP).await;
        }
        let now = self.begun.elapsed();
        let due = self.waiting.as_slice().iter().take(BATCH_MAX).take_while(|(at, _)| *at <= now).count();
        self.waiting.by_ref().take(due).map(|(_, passenger)| passenger).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(seconds: &[f64]) -> Vec<(f64, NewPassenger)> {
        let passenger = |number| {
            let json =
                format!(r#"{{"passenger_id":"P{number}","pool":"route:1","position":{{"lat":0,"lon":0}}}}"#);
            serde_json::from_str(&json).unwrap()
        };
        seconds.iter().enumerate().map(|(number, second)| (*second, passenger(number))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_speed_full_batches_go_at_once() {
        let mut table = Timetable::start(arrivals(&[25_000.0; 2_500]), 6, None);
        let begun = Instant::now();
        for expected in [1_000, 1_000, 500, 0] {
            assert_eq!(table.next().await.len(), expected);
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn with_a_speed_passengers_come_at_their_times() {
        // 6:00:00, 6:00:01, 6:10 and 7:00, sixty times as fast.
        let seconds = [21_600.0, 21_601.0, 22_200.0, 25_200.0];
        let mut table = Timetable::start(arrivals(&seconds), 6, Some(60.0));
        let begun = Instant::now();
        for (count, at) in [(2, 0), (1, 10), (1, 60), (0, 60)] {
            assert_eq!(table.next().await.len(), count);
            let late = begun.elapsed() - Duration::from_secs(at);
            assert!(late <= STEP + Duration::from_millis(2), "{late:?} late for {at} s");
        }
    }
}
