//! When messages are due, and waking up then.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// An open loop's arrivals: message n is due n / rate after the start, whatever became of the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    per_second: f64,
}

impl Schedule {
    /// So many arrivals per second, evenly spaced; `None` unless that is a positive number.
    pub(crate) fn try_new(per_second: f64) -> Option<Self> {
        (per_second > 0.0 && per_second.is_finite()).then_some(Self { per_second })
    }

    /// Arrivals per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.per_second
    }

    /// When arrival `number` (from 0) is due, after the start.
    pub(crate) fn due(&self, number: u64) -> Duration {
        Duration::from_secs_f64(number as f64 / self.per_second)
    }

    /// How many arrivals are due before `end`.
    pub(crate) fn arrivals_before(&self, end: Duration) -> u64 {
        (end.as_secs_f64() * self.per_second).ceil() as u64
    }
}

/// Wakes up at an instant with the kernel's precision: the runtime's own timer counts in milliseconds.
#[derive(Debug)]
pub(crate) struct Pacer {
    timer: AsyncFd<OwnedFd>,
}

impl Pacer {
    /// A timer of the current runtime.
    ///
    /// # Errors
    /// When the system has no file descriptor left.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(deprecated, reason = "unsound for types whose descriptor may change: an OwnedFd's does not")]
        let timer = AsyncFd::new(timer)?;
        Ok(Self { timer })
    }

    /// Returns at `instant`, or at once if that has passed.
    ///
    /// # Errors
    /// When the system's timer fails, which it does not.
    pub(crate) async fn until(&mut self, instant: Instant) -> io::Result<()> {
        let wait = instant.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Ok(());
        }
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let seconds = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
        let once = Itimerspec {
            it_interval: zero,
            it_value: Timespec { tv_sec: seconds, tv_nsec: wait.subsec_nanos().into() },
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.timer.readable().await?;
            let mut expirations = [0; 8];
            match rustix::io::read(ready.get_inner(), &mut expirations) {
                Ok(_) => {
                    ready.clear_ready();
                    return Ok(());
                }
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_even_and_do_not_drift() {
        let schedule = Schedule::try_new(3_000.0).unwrap();
        assert_eq!(schedule.due(0), Duration::ZERO);
        for hours in [0_u64, 1, 10] {
            let first = hours * 3_600 * 3_000;
            assert_eq!(schedule.due(first), Duration::from_secs(hours * 3_600));
            let gap = schedule.due(first + 1) - schedule.due(first);
            assert!(gap.as_nanos().abs_diff(333_333) <= 100, "after {hours} h: {gap:?}");
        }
    }

    #[test]
    fn the_number_of_arrivals_agrees_with_their_times() {
        for rate in [0.5, 1.0, 7.0, 1_000.0, 33_333.0] {
            let schedule = Schedule::try_new(rate).unwrap();
            for seconds in [0.0, 0.1, 1.0, 2.5, 60.0] {
                let end = Duration::from_secs_f64(seconds);
                let count = schedule.arrivals_before(end);
                assert!(schedule.due(count) >= end, "{rate} {seconds}");
                assert!(count == 0 || schedule.due(count - 1) < end, "{rate} {seconds}");
            }
        }
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Schedule::try_new(wrong).is_none());
        }
    }

    #[tokio::test]
    async fn the_pacer_does_not_wake_early_nor_by_whole_milliseconds() {
        let mut pacer = Pacer::new().unwrap();
        let mut lags = Vec::new();
        for micros in (100..2_000).step_by(50) {
            let due = Instant::now() + Duration::from_micros(micros);
            pacer.until(due).await.unwrap();
            assert!(Instant::now() >= due);
            lags.push(due.elapsed());
        }
        lags.sort();
        // A timer of whole milliseconds would be half of one late here.
        assert!(lags[lags.len() / 4] < Duration::from_micros(300), "{lags:?}");
        pacer.until(Instant::now() - Duration::from_secs(1)).await.unwrap();
    }
}
