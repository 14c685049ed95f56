//! What a run does second by second: shown to whoever waits for it, and kept for a plot.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::latency::Latencies;
use crate::observed::Timeline;
use crate::report::{Points, micros, progress};

/// A part of a second that is shorter has no rate of its own.
const SECOND_MIN: Duration = Duration::from_millis(200);

/// A run that can be watched while it goes on.
pub(crate) trait Watched {
    /// How much was done so far, counted in what the run measures.
    fn done(&self) -> u64;

    /// The latencies since the last call.
    fn turn_over(&self) -> Latencies;
}

/// Shows what is done until the measured part ends; answers how much per second that was in each of its seconds.
pub(crate) async fn watch(timeline: Timeline, watched: &impl Watched) -> Points {
    let (start, end) = (timeline.measured_from(), timeline.began + timeline.end());
    let (mut at, mut done) = (Instant::now(), watched.done());
    let mut rates = Points::new();
    for second in 1.. {
        sleep_until(end.min(start + Duration::from_secs(second))).await;
        show(timeline, watched);
        let (now, now_done) = (Instant::now(), watched.done());
        // The rest of a second says little if it is short.
        if now - at >= SECOND_MIN {
            rates.push(((now - start).as_secs_f64(), (now_done - done) as f64 / (now - at).as_secs_f64()));
        }
        (at, done) = (now, now_done);
        if now >= end {
            break;
        }
    }
    rates
}

fn show(timeline: Timeline, watched: &impl Watched) {
    let recent = watched.turn_over();
    progress(&format!(
        "{:>4} s  {:>8} measured in the last second  p50 {:>8.0} us  p99 {:>8.0} us",
        timeline.began.elapsed().as_secs(),
        recent.count(),
        micros(recent.quantile(0.5)),
        micros(recent.quantile(0.99)),
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does so much in each of its seconds.
    struct Climbing(Timeline);

    impl Watched for Climbing {
        fn done(&self) -> u64 {
            let seconds = self.0.began.elapsed().as_secs();
            (1..=seconds).sum::<u64>() * 10
        }

        fn turn_over(&self) -> Latencies {
            Latencies::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_measured_second_has_a_rate() {
        let timeline = Timeline::starting_now(Duration::from_secs(2), Duration::from_millis(3_100));
        sleep_until(timeline.measured_from()).await;
        let rates = watch(timeline, &Climbing(timeline)).await;
        let rounded: Vec<(i64, i64)> =
            rates.iter().map(|(second, rate)| (second.round() as i64, rate.round() as i64)).collect();
        assert_eq!(rounded, [(1, 30), (2, 40), (3, 50)]);
        assert_eq!(timeline.began.elapsed().as_millis(), 5_100);
    }
}
