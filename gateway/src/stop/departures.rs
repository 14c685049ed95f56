//! The line of those who have to leave, because the node drains or they are old: each is told once, and is closed in its
//! turn. One line for both, so that both together keep to one pace, and a drain goes on with whom it finds in it.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Pace;
use crate::hub::Connection;

/// The line of one node; empty, and without memory, until somebody has to leave.
#[derive(Debug)]
pub struct Departures(Mutex<Line>);

#[derive(Debug)]
struct Line {
    /// Numbers of those who have a place.
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
        Self(Mutex::new(Line::new(Pace::new(closes_per_second))))
    }

    /// Puts a connection at the end of the line. How long it may stay, or `None` if it has its place already.
    pub fn join(&self, connection: &Arc<Connection>) -> Option<Duration> {
        let mut line = self.lock();
        if line.is_over() {
            *line = Line::new(line.pace.anew());
        }
        if !line.placed.insert(connection.number()) {
            return None;
        }
        let place = line.next_place;
        line.next_place += 1;
        line.waiting.push_back((place, Arc::clone(connection)));
        let since = line.began.map(|began| began.elapsed()).unwrap_or_default();
        Some(line.pace.expected(place).saturating_sub(since))
    }

    /// Whether the connection has a place.
    pub fn has(&self, connection: &Connection) -> bool {
        self.lock().placed.contains(&connection.number())
    }

    /// How many have a place.
    pub fn placed(&self) -> usize {
        self.lock().placed.len()
    }

    /// How long it takes until the last of so many is closed.
    pub fn time_for(&self, connections: usize) -> Duration {
        self.lock().pace.due(connections as u64)
    }

    /// From now on the line is served.
    pub fn begin(&self) {
        self.lock().began.get_or_insert_with(Instant::now);
    }

    /// When the turn of the next in line is, if the line is served.
    pub fn next_turn(&self) -> Option<Instant> {
        let line = self.lock();
        let (place, _) = line.waiting.front()?;
        Some(line.began? + line.pace.expected(*place))
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
        line.placed.remove(&departure.connection.number());
    }

    /// Notes that somebody left before its turn.
    pub fn left(&self, departure: &Departure) {
        self.lock().placed.remove(&departure.connection.number());
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn new(pace: Pace) -> Self {
        Self { placed: HashSet::new(), waiting: VecDeque::new(), next_place: 0, pace, began: None }
    }

    /// Whether all have left and the next would be served at once: then it begins anew without anybody being early.
    fn is_over(&self) -> bool {
        let next = self.pace.expected(self.next_place);
        self.placed.is_empty() && self.began.is_some_and(|began| began.elapsed() >= next)
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
