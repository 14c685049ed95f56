//! Who may begin a handshake: so many a second, so many at once. What is beyond that is refused before it costs
//! anything, so that a storm of newcomers neither delays those who are there nor leaves a mark in memory.
//!
//! Shared by every task; no call here waits but [`Admission::idle`].

mod bucket;
mod lobby;
mod queue;
mod visitors;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub use self::bucket::Bucket;
pub use self::lobby::{Lobby, Seat};
pub use self::queue::Queue;
pub use self::visitors::{Visit, Visitors};

/// Of the handshakes of a second, this part may come at once.
const BURST_PART: u32 = 10;
/// Whoever is refused is told to come back after a number of whole seconds from here to
/// [`RETRY_AFTER_SECONDS_MAX`], by chance, so that those who came together do not come back together.
const RETRY_AFTER_SECONDS_MIN: u32 = 1;
const RETRY_AFTER_SECONDS_MAX: u32 = 5;

/// How many handshakes are admitted.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionBounds {
    /// Begun in one second.
    pub handshakes_per_second: u32,
    /// Under way at once.
    pub handshakes_max: usize,
    /// Sockets that were accepted and have not asked for anything yet.
    pub silent_max: usize,
}

/// What plain HTTP may hold.
#[derive(Debug, Clone, Copy)]
pub struct HttpBounds {
    /// Connections at once.
    pub connections_max: usize,
    /// How long a peer may take to read an answer.
    pub answer_timeout: Duration,
    /// Bytes of bodies at once.
    pub bodies_bytes_max: usize,
}

/// Why a handshake may not begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Too many began just now.
    Rate,
    /// Too many are under way.
    Busy,
}

/// The door of one node.
#[derive(Debug)]
pub struct Admission {
    state: Mutex<State>,
    handshakes_max: usize,
    began: Instant,
    idle: Notify,
}

#[derive(Debug)]
struct State {
    bucket: Bucket,
    under_way: usize,
}

impl Admission {
    /// A door through which nobody has come yet.
    pub fn new(bounds: AdmissionBounds) -> Arc<Self> {
        let per_second = bounds.handshakes_per_second;
        let bucket = Bucket::new(per_second, per_second / BURST_PART);
        Arc::new(Self {
            state: Mutex::new(State { bucket, under_way: 0 }),
            handshakes_max: bounds.handshakes_max,
            began: Instant::now(),
            idle: Notify::new(),
        })
    }

    /// Lets one handshake begin. It is under way until the permit is dropped.
    ///
    /// # Errors
    /// [`Refused`]; a handshake that is refused for being one too many takes nothing from the rate.
    pub fn admit(self: &Arc<Self>) -> Result<Permit, Refused> {
        let now = self.began.elapsed();
        let mut state = self.lock();
        if state.under_way >= self.handshakes_max {
            return Err(Refused::Busy);
        }
        if !state.bucket.take(now) {
            return Err(Refused::Rate);
        }
        state.under_way += 1;
        drop(state);
        Ok(Permit(Arc::clone(self)))
    }

    /// How many are under way.
    pub fn under_way(&self) -> usize {
        self.lock().under_way
    }

    /// Resolves when none is under way.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped while it waits.
    pub async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.under_way() == 0 {
                return;
            }
            idle.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One handshake that is under way; gives its place back when dropped.
#[derive(Debug)]
pub struct Permit(Arc<Admission>);

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.under_way -= 1;
        let is_idle = state.under_way == 0;
        drop(state);
        if is_idle {
            self.0.idle.notify_waiters();
        }
    }
}

/// What goes into `Retry-After` of a refused handshake.
pub fn retry_after_seconds() -> u32 {
    fastrand::u32(RETRY_AFTER_SECONDS_MIN..=RETRY_AFTER_SECONDS_MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    fn door(handshakes_per_second: u32, handshakes_max: usize) -> Arc<Admission> {
        Admission::new(AdmissionBounds { handshakes_per_second, handshakes_max, silent_max: 1 })
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_at_once_and_a_dropped_permit_makes_room() {
        let door = door(1_000, 2);
        let first = door.admit().unwrap();
        let second = door.admit().unwrap();
        assert_eq!(door.admit().unwrap_err(), Refused::Busy);
        drop(first);
        let third = door.admit().unwrap();
        assert_eq!(door.under_way(), 2);
        drop((second, third));
        assert_eq!(door.under_way(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_a_second_and_who_is_one_too_many_takes_nothing_from_the_rate() {
        let door = door(10, 1);
        let only = door.admit().unwrap();
        for _ in 0..100 {
            assert_eq!(door.admit().unwrap_err(), Refused::Busy);
        }
        drop(only);
        assert_eq!(door.admit().unwrap_err(), Refused::Rate);
        advance(Duration::from_millis(100)).await;
        assert!(door.admit().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_idle_when_the_last_permit_is_back() {
        let door = door(1_000, 2);
        door.idle().await;
        let (first, second) = (door.admit().unwrap(), door.admit().unwrap());
        let leaving = async {
            drop(first);
            assert!(timeout(Duration::from_secs(1), door.idle()).await.is_err());
            drop(second);
        };
        let both = async { tokio::join!(door.idle(), leaving) };
        timeout(Duration::from_secs(2), both).await.unwrap();
    }

    #[test]
    fn those_who_are_refused_together_are_told_different_times() {
        let times: std::collections::BTreeSet<u32> = (0..1_000).map(|_| retry_after_seconds()).collect();
        assert_eq!(times, (1..=5).collect());
    }
}
