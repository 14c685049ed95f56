//! Sockets that were accepted and have not asked for anything yet: bounded, so that silent ones cost no more than
//! their share. When it is full, whoever has been silent for longest makes room; only where nobody has had time
//! to speak is the next one kept waiting, in the kernel's queue.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Nobody is sent away who has been silent for less.
const TIME_TO_SPEAK: Duration = Duration::from_secs(1);

/// The sockets that have not spoken.
#[derive(Debug)]
pub struct Lobby {
    guests: Mutex<Guests>,
    seats: usize,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Guests {
    /// In the order in which they came.
    silent: BTreeMap<u64, Guest>,
    next: u64,
}

#[derive(Debug)]
struct Guest {
    since: Instant,
    sent_away: CancellationToken,
}

impl Lobby {
    /// An empty lobby with so many seats, at least one.
    pub fn new(seats: usize) -> Arc<Self> {
        Arc::new(Self { guests: Mutex::default(), seats: seats.max(1), freed: Notify::new() })
    }

    /// A seat for one more; true beside it if somebody else was sent away for it.
    ///
    /// # Cancel safety
    /// Nobody is seated or sent away before this returns.
    pub async fn enter(self: &Arc<Self>) -> (Seat, bool) {
        loop {
            let freed = self.freed.notified();
            let full_until = match self.try_enter(Instant::now()) {
                Ok(entered) => return entered,
                Err(full_until) => full_until,
            };
            tokio::select! {
                () = freed => {}
                () = sleep_until(full_until) => {}
            }
        }
    }

    /// How many have not spoken.
    pub fn len(&self) -> usize {
        self.lock().silent.len()
    }

    /// Whether nobody is silent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A seat, or until when nobody may be sent away.
    fn try_enter(self: &Arc<Self>, now: Instant) -> Result<(Seat, bool), Instant> {
        let mut guests = self.lock();
        let is_full = guests.silent.len() >= self.seats;
        if let (true, Some(oldest)) = (is_full, guests.silent.first_entry()) {
            let may_stay_until = oldest.get().since + TIME_TO_SPEAK;
            if now < may_stay_until {
                return Err(may_stay_until);
            }
            oldest.remove().sent_away.cancel();
        }
        let number = guests.next;
        guests.next += 1;
        let sent_away = CancellationToken::new();
        guests.silent.insert(number, Guest { since: now, sent_away: sent_away.clone() });
        Ok((Seat { lobby: Arc::clone(self), number, sent_away }, is_full))
    }

    fn lock(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket's place among the silent; free again when dropped: it has spoken, or is gone.
#[derive(Debug)]
pub struct Seat {
    lobby: Arc<Lobby>,
    number: u64,
    sent_away: CancellationToken,
}

impl Seat {
    /// Cancelled when the socket has to go, to make room.
    pub fn sent_away(&self) -> &CancellationToken {
        &self.sent_away
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.lobby.lock().silent.remove(&self.number).is_some() {
            self.lobby.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_silent_makes_room_once_it_has_had_its_time() {
        let lobby = Lobby::new(2);
        let (first, _) = lobby.enter().await;
        advance(TIME_TO_SPEAK / 2).await;
        let (second, _) = lobby.enter().await;
        let began = Instant::now();
        let (_third, sent_away) = lobby.enter().await;
        assert!(sent_away);
        assert_eq!(began.elapsed(), TIME_TO_SPEAK / 2, "the first had its second");
        assert!(first.sent_away().is_cancelled());
        assert!(!second.sent_away().is_cancelled());
        assert_eq!(lobby.len(), 2);
        drop(first);
        assert_eq!(lobby.len(), 2, "its seat is another's already");
    }

    #[tokio::test(start_paused = true)]
    async fn who_speaks_makes_room_at_once() {
        let lobby = Lobby::new(1);
        let (speaker, _) = lobby.enter().await;
        let speaking = async { drop(speaker) };
        let both = async { tokio::join!(lobby.enter(), speaking) };
        let ((seat, sent_away), ()) = timeout(TIME_TO_SPEAK / 10, both).await.unwrap();
        assert!(!sent_away, "nobody had to go");
        drop(seat);
        assert!(lobby.is_empty());
    }
}
