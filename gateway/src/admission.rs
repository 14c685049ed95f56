//! Who may begin a handshake: so many a second, so many at once. What is beyond that is refused before it costs
//! anything, so that a storm of newcomers neither delays those who are there nor leaves a mark in memory. A part of both
//! is reserved for those without whom nothing drives.
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
    /// The part of the first two that only [`Rank::First`] may take.
    pub reserved_percent: u32,
}

/// Who comes in before whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// The whole door is open to them.
    First,
    /// What is reserved is not.
    Others,
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
    others_max: usize,
    began: Instant,
    idle: Notify,
}

#[derive(Debug)]
struct State {
    bucket: Bucket,
    /// Held by who is not first; they take of both.
    others: Bucket,
    under_way: usize,
}

impl Admission {
    /// A door through which nobody has come yet.
    pub fn new(bounds: AdmissionBounds) -> Arc<Self> {
        let per_second = bounds.handshakes_per_second;
        let others_percent = 100_u32.saturating_sub(bounds.reserved_percent);
        let others_per_second =
            (per_second / 100 * others_percent) + (per_second % 100 * others_percent).div_ceil(100);
        let bucket = |per_second| Bucket::new(per_second, per_second / BURST_PART);
        let (bucket, others) = (bucket(per_second), bucket(others_per_second));
        Arc::new(Self {
            state: Mutex::new(State { bucket, others, under_way: 0 }),
            handshakes_max: bounds.handshakes_max,
            others_max: (bounds.handshakes_max * others_percent as usize).div_ceil(100),
            began: Instant::now(),
            idle: Notify::new(),
        })
    }

    /// Lets one handshake begin. It is under way until the permit is dropped.
    ///
    /// # Errors
    /// [`Refused`]; a handshake that is refused for being one too many takes nothing from the rate.
    pub fn admit(self: &Arc<Self>, rank: Rank) -> Result<Permit, Refused> {
        let now = self.began.elapsed();
        let mut state = self.lock();
        let most = match rank {
            Rank::First => self.handshakes_max,
            Rank::Others => self.others_max,
        };
        if state.under_way >= most {
            return Err(Refused::Busy);
        }
        if !state.take(rank, now) {
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

impl State {
    fn take(&mut self, rank: Rank, now: Duration) -> bool {
        match rank {
            Rank::First => self.bucket.take(now),
            Rank::Others => self.bucket.wait(now).is_none() && self.others.take(now) && self.bucket.take(now),
        }
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
        reserving(handshakes_per_second, handshakes_max, 0)
    }

    fn reserving(handshakes_per_second: u32, handshakes_max: usize, reserved_percent: u32) -> Arc<Admission> {
        Admission::new(AdmissionBounds {
            handshakes_per_second,
            handshakes_max,
            silent_max: 1,
            reserved_percent,
        })
    }

    /// How many are admitted before the first is refused, and why it is.
    fn filled(door: &Arc<Admission>, rank: Rank) -> (Vec<Permit>, Refused) {
        let mut permits = Vec::new();
        loop {
            match door.admit(rank) {
                Ok(permit) => permits.push(permit),
                Err(refused) => return (permits, refused),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_reserved_stays_free_for_those_who_go_first() {
        let door = reserving(1_000, 10, 20);
        let (others, refused) = filled(&door, Rank::Others);
        assert_eq!((others.len(), refused), (8, Refused::Busy));
        let (first, refused) = filled(&door, Rank::First);
        assert_eq!((first.len(), refused), (2, Refused::Busy));
        drop(others);
        assert_eq!(door.under_way(), 2);
        let (first, _) = filled(&door, Rank::First);
        assert_eq!(first.len(), 8, "they may have it all");
        assert_eq!(filled(&reserving(1_000, 1, 90), Rank::Others).0.len(), 1, "never shut for anybody");
    }

    #[tokio::test(start_paused = true)]
    async fn of_the_rate_the_others_leave_what_is_reserved() {
        let door = reserving(100, 10_000, 20);
        let (mut others, mut first) = (Vec::new(), Vec::new());
        for _ in 0..100 {
            others.extend(filled(&door, Rank::Others).0);
            first.extend(filled(&door, Rank::First).0);
            advance(Duration::from_millis(100)).await;
        }
        assert!((790..=810).contains(&others.len()), "{}", others.len());
        assert!((190..=215).contains(&first.len()), "{}", first.len());
        let (door, mut first) = (reserving(100, 10_000, 20), Vec::new());
        for _ in 0..100 {
            first.extend(filled(&door, Rank::First).0);
            advance(Duration::from_millis(100)).await;
        }
        assert!((990..=1_010).contains(&first.len()), "alone they have all of it: {}", first.len());
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_at_once_and_a_dropped_permit_makes_room() {
        let door = door(1_000, 2);
        let first = door.admit(Rank::First).unwrap();
        let second = door.admit(Rank::First).unwrap();
        assert_eq!(door.admit(Rank::First).unwrap_err(), Refused::Busy);
        drop(first);
        let third = door.admit(Rank::First).unwrap();
        assert_eq!(door.under_way(), 2);
        drop((second, third));
        assert_eq!(door.under_way(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_a_second_and_who_is_one_too_many_takes_nothing_from_the_rate() {
        let door = door(10, 1);
        let only = door.admit(Rank::First).unwrap();
        for _ in 0..100 {
            assert_eq!(door.admit(Rank::First).unwrap_err(), Refused::Busy);
        }
        drop(only);
        assert_eq!(door.admit(Rank::First).unwrap_err(), Refused::Rate);
        advance(Duration::from_millis(100)).await;
        assert!(door.admit(Rank::First).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_idle_when_the_last_permit_is_back() {
        let door = door(1_000, 2);
        door.idle().await;
        let (first, second) = (door.admit(Rank::First).unwrap(), door.admit(Rank::First).unwrap());
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
