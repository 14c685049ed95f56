//! Who waits on this node, and when each line wants to be looked at. Plain tables under one mutex; the truth
//! about who is first is in Redis.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use signalbox_protocol::{Resource, Tenant};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::mutex::lock;

/// How often a node tells that its waiters are there; they are believed for three times as long.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// What a lock is on.
pub(super) type Key = (Tenant, Resource);

/// What this node knows of a lock that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// It is held, and ends then unless it is renewed.
    Held(Instant),
    /// Somebody in line has the turn until then.
    Turn(Instant),
    /// Nothing that has an end.
    Nothing,
}

impl News {
    pub(super) fn held(left: Duration) -> Self {
        // Redis counts whole milliseconds: a moment earlier it would not have ended.
        Self::Held(Instant::now() + left + Duration::from_millis(1))
    }

    pub(super) fn turn(left: Duration) -> Self {
        Self::Turn(Instant::now() + left + Duration::from_millis(1))
    }
}

#[derive(Debug)]
struct Waiter {
    wake: Arc<Notify>,
    /// Redis has it in line.
    in_line: bool,
}

/// The waiters of this node for one lock.
#[derive(Debug)]
struct Line {
    waiters: BTreeMap<u64, Waiter>,
    /// How many of them Redis has in line.
    in_line: usize,
    news: News,
    keep_alive_at: Instant,
    /// What tells the task that tends the line that something changed; `None` without a task.
    tender: Option<Arc<Notify>>,
}

/// When a line is to be looked at.
#[derive(Debug)]
pub(super) struct NextLook {
    pub(super) at: Instant,
    /// What was known then.
    news: News,
    /// Or at another time, if this comes before.
    pub(super) changed: Arc<Notify>,
}

/// All lines that this node has waiters in, or the turn of which it watches.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: Mutex<HashMap<Key, Line>>,
    entered: AtomicU64,
    waiting: AtomicU64,
}

impl Lines {
    /// A new waiter: its number, and what wakes it.
    pub(super) fn enter(&self, key: &Key) -> (u64, Arc<Notify>) {
        let (number, wake) = (self.entered.fetch_add(1, Ordering::Relaxed), Arc::new(Notify::new()));
        let mut lines = lock(&self.lines);
        let line = lines.entry(key.clone()).or_insert_with(Line::new);
        line.waiters.insert(number, Waiter { wake: Arc::clone(&wake), in_line: false });
        (number, wake)
    }

    /// The waiter has left.
    pub(super) fn exit(&self, key: &Key, number: u64) {
        let mut lines = lock(&self.lines);
        let Some(line) = lines.get_mut(key) else { return };
        if line.waiters.remove(&number).is_some_and(|waiter| waiter.in_line) {
            line.in_line -= 1;
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        match &line.tender {
            Some(changed) if line.in_line == 0 => changed.notify_one(),
            None if line.waiters.is_empty() => drop(lines.remove(key)),
            _ => {}
        }
    }

    /// Redis has the waiter in line. True for the first time.
    pub(super) fn lined_up(&self, key: &Key, number: u64) -> bool {
        let mut lines = lock(&self.lines);
        let Some(line) = lines.get_mut(key) else { return false };
        let first =
            line.waiters.get_mut(&number).is_some_and(|waiter| !std::mem::replace(&mut waiter.in_line, true));
        if first {
            line.in_line += 1;
            self.waiting.fetch_add(1, Ordering::Relaxed);
        }
        first
    }

    /// Keeps what was heard of a lock. True if a task has to be started that tends the line.
    pub(super) fn hear(&self, key: &Key, news: News) -> bool {
        let mut lines = lock(&self.lines);
        if matches!(news, News::Turn(_)) {
            lines.entry(key.clone()).or_insert_with(Line::new);
        }
        let Some(line) = lines.get_mut(key) else { return false };
        line.news = news;
        if let Some(changed) = &line.tender {
            changed.notify_one();
            return false;
        }
        let tended = line.next_look().is_some();
        line.tender = tended.then(Arc::default);
        tended
    }

    /// When the line is to be looked at next; `None` ends the task that tends it.
    pub(super) fn next_look(&self, key: &Key) -> Option<NextLook> {
        let mut lines = lock(&self.lines);
        let line = lines.get_mut(key)?;
        if let (Some(at), Some(changed)) = (line.next_look(), &line.tender) {
            return Some(NextLook { at, news: line.news, changed: Arc::clone(changed) });
        }
        line.tender = None;
        if line.waiters.is_empty() {
            lines.remove(key);
        }
        None
    }

    /// Whether waiters of this node are in line.
    pub(super) fn waits(&self, key: &Key) -> bool {
        lock(&self.lines).get(key).is_some_and(|line| line.in_line > 0)
    }

    /// The line was looked at. What was heard meanwhile is newer than what was seen.
    pub(super) fn looked(&self, key: &Key, look: &NextLook, news: News) {
        if let Some(line) = lock(&self.lines).get_mut(key) {
            if line.news == look.news {
                line.news = news;
            }
            line.keep_alive_at = Instant::now() + KEEP_ALIVE;
        }
    }

    /// Wakes a waiter; false if there is none of that number.
    pub(super) fn wake(&self, key: &Key, number: u64) -> bool {
        let lines = lock(&self.lines);
        let waiter = lines.get(key).and_then(|line| line.waiters.get(&number));
        waiter.map(|waiter| waiter.wake.notify_one()).is_some()
    }

    /// Wakes everybody in a line, first come first.
    pub(super) fn wake_all(&self, key: &Key) {
        if let Some(line) = lock(&self.lines).get(key) {
            line.waiters.values().for_each(|waiter| waiter.wake.notify_one());
        }
    }

    /// How many waiters are in line.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl Line {
    fn new() -> Self {
        Self {
            waiters: BTreeMap::new(),
            in_line: 0,
            news: News::Nothing,
            keep_alive_at: Instant::now() + KEEP_ALIVE,
            tender: None,
        }
    }

    fn next_look(&self) -> Option<Instant> {
        match (self.in_line, self.news) {
            (0, News::Turn(ends)) => Some(ends),
            (0, _) => None,
            (_, News::Held(ends) | News::Turn(ends)) => Some(ends.min(self.keep_alive_at)),
            (_, News::Nothing) => Some(self.keep_alive_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        (Tenant::try_new("acme").unwrap(), Resource::try_new("r").unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_tended_while_somebody_stands_in_it() {
        let (lines, key) = (Lines::default(), key());
        let (number, _) = lines.enter(&key);
        assert!(!lines.hear(&key, News::held(Duration::ZERO)), "it is not in line yet");
        assert!(lines.lined_up(&key, number) && !lines.lined_up(&key, number));
        assert!(lines.hear(&key, News::Nothing) && !lines.hear(&key, News::Nothing), "one task");
        assert_eq!(lines.next_look(&key).unwrap().at, Instant::now() + KEEP_ALIVE);
        lines.exit(&key, number);
        assert!(lines.next_look(&key).is_none() && lock(&lines.lines).is_empty() && lines.waiting() == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_heard_while_a_line_is_looked_at_is_kept() {
        let (lines, key) = (Lines::default(), key());
        assert!(
            lines.hear(&key, News::turn(Duration::from_millis(250))),
            "a turn is watched without waiters"
        );
        let look = lines.next_look(&key).unwrap();
        let newer = News::turn(Duration::from_millis(300));
        lines.hear(&key, newer);
        lines.looked(&key, &look, News::Nothing);
        let look = lines.next_look(&key).unwrap();
        assert_eq!(News::Turn(look.at), newer);
        lines.looked(&key, &look, News::Nothing);
        assert!(lines.next_look(&key).is_none() && lock(&lines.lines).is_empty());
    }
}
