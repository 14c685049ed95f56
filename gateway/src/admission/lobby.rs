//! Sockets that were accepted and have not asked for anything yet: bounded, so that silent ones cost no more than
//! their share. When all seats are taken, whoever has been silent for longest makes room, once it has had time to
//! speak. A network that holds more than half of them gets less of that time while others wait.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ahash::RandomState;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Nobody is sent away for one of its own network who has been silent for less.
const TIME_TO_SPEAK: Duration = Duration::from_secs(1);
/// The same, in a network that crowds out others: still longer than most roads there and back.
const TIME_IN_A_CROWD: Duration = Duration::from_millis(200);

/// The sockets that have not spoken.
#[derive(Debug)]
pub struct Lobby {
    guests: Mutex<Guests>,
    seats: usize,
    freed: Notify,
    /// How many wait for a seat, as the door says.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Guests {
    /// In the order in which they came.
    silent: BTreeMap<u64, Guest>,
    next: u64,
    /// How many seats each network holds.
    held: HashMap<IpAddr, usize, RandomState>,
    /// Somebody found no seat, and wants to be told of one.
    is_awaited: bool,
}

#[derive(Debug)]
struct Guest {
    network: IpAddr,
    since: Instant,
    sent_away: CancellationToken,
}

impl Lobby {
    /// An empty lobby with so many seats, at least one.
    pub fn new(seats: usize) -> Arc<Self> {
        Arc::new(Self {
            guests: Mutex::default(),
            seats: seats.max(1),
            freed: Notify::new(),
            waiting: AtomicUsize::new(0),
        })
    }

    /// How many seats there are.
    pub fn seats(&self) -> usize {
        self.seats
    }

    /// A seat for one more of this network; true beside it if somebody else was sent away for it.
    ///
    /// # Errors
    /// Until when nobody may be sent away for it. [`Lobby::freed`] tells if somebody leaves before.
    pub fn enter(self: &Arc<Self>, network: IpAddr) -> Result<(Seat, bool), Instant> {
        let now = Instant::now();
        let mut guests = self.lock();
        let is_full = guests.silent.len() >= self.seats;
        if is_full {
            let (number, may_stay_until) = guests.first_to_go(network, self.seats).ok_or(now)?;
            if now < may_stay_until {
                guests.is_awaited = true;
                return Err(may_stay_until);
            }
            if let Some(guest) = guests.leave(number) {
                guest.sent_away.cancel();
            }
        }
        let seat = Seat { lobby: Arc::clone(self), number: guests.next, sent_away: CancellationToken::new() };
        guests.sit(Guest { network, since: now, sent_away: seat.sent_away.clone() });
        Ok((seat, is_full))
    }

    /// The network that holds more than half of the seats, when none is free.
    pub fn crowd(&self) -> Option<IpAddr> {
        let guests = self.lock();
        if guests.silent.len() < self.seats { None } else { guests.crowd(self.seats) }
    }

    /// Resolves at this time, or before if a seat was freed after [`Lobby::enter`] found none.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped.
    pub async fn freed(&self, until: Instant) {
        tokio::select! {
            () = self.freed.notified() => {}
            () = sleep_until(until) => {}
        }
    }

    /// Notes how many wait for a seat.
    pub fn note_waiting(&self, count: usize) {
        self.waiting.store(count, Relaxed);
    }

    /// How many wait for a seat.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// How many have not spoken.
    pub fn len(&self) -> usize {
        self.lock().silent.len()
    }

    /// Whether nobody is silent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guests {
    fn sit(&mut self, guest: Guest) {
        *self.held.entry(guest.network).or_default() += 1;
        self.silent.insert(self.next, guest);
        self.next += 1;
    }

    fn leave(&mut self, number: u64) -> Option<Guest> {
        let guest = self.silent.remove(&number)?;
        if let Some(held) = self.held.get_mut(&guest.network) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&guest.network);
            }
        }
        Some(guest)
    }

    fn crowd(&self, seats: usize) -> Option<IpAddr> {
        self.held.iter().find(|(_, held)| **held > seats / 2).map(|(network, _)| *network)
    }

    /// Who makes room for one of this network, and from when.
    fn first_to_go(&self, network: IpAddr, seats: usize) -> Option<(u64, Instant)> {
        let oldest =
            self.silent.first_key_value().map(|(number, guest)| (*number, guest.since + TIME_TO_SPEAK));
        let crowd = self.crowd(seats).filter(|crowd| *crowd != network);
        let of_crowd = crowd.and_then(|crowd| self.silent.iter().find(|(_, guest)| guest.network == crowd));
        let of_crowd = of_crowd.map(|(number, guest)| (*number, guest.since + TIME_IN_A_CROWD));
        oldest.into_iter().chain(of_crowd).min_by_key(|(_, may_stay_until)| *may_stay_until)
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
        let mut guests = self.lobby.lock();
        let is_freed = guests.leave(self.number).is_some();
        let is_awaited = is_freed && std::mem::take(&mut guests.is_awaited);
        drop(guests);
        if is_awaited {
            self.lobby.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::time::{advance, timeout};

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    fn crowd_of(lobby: &Arc<Lobby>, count: usize) -> Vec<Seat> {
        (0..count).map(|_| lobby.enter(HERE).unwrap().0).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_silent_makes_room_once_it_has_had_its_time() {
        let lobby = Lobby::new(2);
        let (first, _) = lobby.enter(HERE).unwrap();
        advance(TIME_TO_SPEAK / 2).await;
        let (second, _) = lobby.enter(HERE).unwrap();
        let until = lobby.enter(HERE).unwrap_err();
        assert_eq!(until, Instant::now() + TIME_TO_SPEAK / 2, "the first has its second");
        lobby.freed(until).await;
        let (_third, sent_away) = lobby.enter(HERE).unwrap();
        assert!(sent_away);
        assert!(first.sent_away().is_cancelled());
        assert!(!second.sent_away().is_cancelled());
        assert_eq!(lobby.len(), 2);
        drop(first);
        assert_eq!(lobby.len(), 2, "its seat is another's already");
    }

    #[tokio::test(start_paused = true)]
    async fn who_speaks_makes_room_at_once() {
        let lobby = Lobby::new(1);
        let (speaker, _) = lobby.enter(HERE).unwrap();
        let until = lobby.enter(HERE).unwrap_err();
        drop(speaker);
        timeout(TIME_TO_SPEAK / 10, lobby.freed(until)).await.unwrap();
        let (_seat, sent_away) = lobby.enter(HERE).unwrap();
        assert!(!sent_away, "nobody had to go");
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_makes_room_for_others_sooner_and_not_for_its_own() {
        let lobby = Lobby::new(4);
        let (other, _) = lobby.enter(THERE).unwrap();
        let crowd = crowd_of(&lobby, 3);
        assert_eq!(lobby.crowd(), Some(HERE));
        assert_eq!(lobby.enter(THERE).unwrap_err(), Instant::now() + TIME_IN_A_CROWD);
        advance(TIME_IN_A_CROWD).await;
        assert!(lobby.enter(HERE).is_err(), "its own wait their second");
        let (_seat, sent_away) = lobby.enter(THERE).unwrap();
        assert!(sent_away);
        assert!(crowd[0].sent_away().is_cancelled(), "the longest silent of the crowd");
        assert!(!other.sent_away().is_cancelled(), "it was silent for longer, but is no crowd");
        assert_eq!(lobby.crowd(), None, "half of the seats are no crowd");
        assert!(lobby.enter(THERE).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_left_is_not_counted() {
        let lobby = Lobby::new(4);
        drop(crowd_of(&lobby, 4));
        assert!(lobby.is_empty());
        assert!(lobby.lock().held.is_empty());
        assert_eq!(lobby.crowd(), None);
    }
}
