//! The line of those who have to leave while the node drains: each is told once, and is closed in its turn.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Pace;
use crate::hub::Connection;

/// The line of one node; empty, and without memory, until it drains.
#[derive(Debug)]
pub struct Departures(Mutex<Line>);

#[derive(Debug)]
struct Line {
    /// Numbers of all who ever got a place.
    placed: HashSet<u64>,
    waiting: VecDeque<(u64, Arc<Connection>)>,
    next_place: u64,
    pace: Pace,
    /// When the first is closed; until then the line only grows.
    began: Option<Instant>,
}

impl Departures {
    /// A line that will be served at this rate.
    pub fn new(closes_per_second: u32) -> Self {
        Self(Mutex::new(Line {
            placed: HashSet::new(),
            waiting: VecDeque::new(),
            next_place: 0,
            pace: Pace::new(closes_per_second),
            began: None,
        }))
    }

    /// Puts a connection at the end of the line. How long it may stay, or `None` if it has its place already.
    pub fn join(&self, connection: &Arc<Connection>) -> Option<Duration> {
        let mut line = self.lock();
        if !line.placed.insert(connection.number()) {
            return None;
        }
        let place = line.next_place;
        line.next_place += 1;
        line.waiting.push_back((place, Arc::clone(connection)));
        let since = line.began.map(|began| began.elapsed()).unwrap_or_default();
        Some(line.pace.expected(place).saturating_sub(since))
    }

    /// How long it takes until the last of so many is closed.
    pub fn time_for(&self, connections: usize) -> Duration {
        self.lock().pace.due(connections as u64)
    }

    /// From now on the line is served.
    pub fn begin(&self) {
        self.lock().began.get_or_insert_with(Instant::now);
    }

    /// The next in line, and when its turn is.
    pub fn next(&self) -> Option<Departure> {
        let mut line = self.lock();
        let (place, connection) = line.waiting.pop_front()?;
        let began = *line.began.get_or_insert_with(Instant::now);
        Some(Departure { place, connection, turn: began + line.pace.expected(place) })
    }

    /// Notes that somebody's turn has come, now.
    pub fn served(&self, departure: &Departure) {
        let mut line = self.lock();
        let since = line.began.map(|began| began.elapsed()).unwrap_or_default();
        line.pace.served(departure.place, since);
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection whose turn it is to leave.
#[derive(Debug)]
pub struct Departure {
    place: u64,
    /// The connection.
    pub connection: Arc<Connection>,
    /// When its turn is: not earlier than it was told.
    pub turn: Instant,
}
