//! Sockets that wait for a seat: networks take turns, and of each the first that came is the first to go in, so that
//! whoever comes in a crowd waits behind its own crowd alone.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use ahash::RandomState;

/// Those who wait; bounded.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: HashMap<IpAddr, VecDeque<T>, RandomState>,
    /// Each network that waits, once.
    turns: VecDeque<IpAddr>,
    len: usize,
    max: usize,
}

impl<T> Queue<T> {
    /// Nobody yet, and at most so many.
    pub fn new(max: usize) -> Self {
        Self { waiting: HashMap::default(), turns: VecDeque::new(), len: 0, max }
    }

    /// Lets one more wait. If they are too many then, this is who can't: the last of the network with the most.
    #[must_use]
    pub fn push(&mut self, network: IpAddr, one: T) -> Option<T> {
        let line = self.waiting.entry(network).or_default();
        if line.is_empty() {
            self.turns.push_back(network);
        }
        line.push_back(one);
        self.len += 1;
        if self.len <= self.max {
            return None;
        }
        let longest = self.waiting.iter().max_by_key(|(_, line)| line.len()).map(|(network, _)| *network)?;
        self.take(longest, VecDeque::pop_back)
    }

    /// Whose turn it is; a network that is to stand back has it only if no other waits.
    pub fn turn(&self, stands_back: Option<IpAddr>) -> Option<IpAddr> {
        let other = self.turns.iter().find(|network| Some(**network) != stands_back);
        other.or(self.turns.front()).copied()
    }

    /// The first of this network, which has had its turn.
    pub fn pop(&mut self, network: IpAddr) -> Option<T> {
        let one = self.take(network, VecDeque::pop_front)?;
        if let Some(place) = self.turns.iter().position(|turn| *turn == network) {
            self.turns.remove(place);
            self.turns.push_back(network);
        }
        Some(one)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn take(&mut self, network: IpAddr, which: impl Fn(&mut VecDeque<T>) -> Option<T>) -> Option<T> {
        let line = self.waiting.get_mut(&network)?;
        let one = which(line)?;
        if line.is_empty() {
            self.waiting.remove(&network);
            self.turns.retain(|turn| *turn != network);
        }
        self.len -= 1;
        Some(one)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn network(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
    }

    fn next(queue: &mut Queue<&'static str>) -> Option<&'static str> {
        queue.pop(queue.turn(None)?)
    }

    #[test]
    fn networks_take_turns() {
        let mut queue = Queue::new(10);
        for one in ["a1", "a2", "a3"] {
            assert_eq!(queue.push(network(1), one), None);
        }
        assert_eq!(queue.push(network(2), "b1"), None);
        assert_eq!(queue.push(network(3), "c1"), None);
        let order: Vec<_> = std::iter::from_fn(|| next(&mut queue)).collect();
        assert_eq!(order, ["a1", "b1", "c1", "a2", "a3"]);
        assert!(queue.is_empty() && queue.turns.is_empty() && queue.waiting.is_empty());
    }

    #[test]
    fn who_stands_back_waits_until_no_other_does() {
        let mut queue = Queue::new(10);
        let _ = queue.push(network(1), "a");
        assert_eq!(queue.turn(Some(network(1))), Some(network(1)));
        let _ = queue.push(network(2), "b");
        assert_eq!(queue.turn(Some(network(1))), Some(network(2)));
        assert_eq!(queue.turn(Some(network(2))), Some(network(1)));
    }

    #[test]
    fn one_too_many_is_the_last_of_the_longest_line() {
        let mut queue = Queue::new(3);
        assert_eq!(queue.push(network(1), "a1"), None);
        assert_eq!(queue.push(network(1), "a2"), None);
        assert_eq!(queue.push(network(2), "b1"), None);
        assert_eq!(queue.push(network(3), "c1"), Some("a2"), "another's");
        assert_eq!(queue.push(network(1), "a3"), Some("a3"), "its own");
        assert_eq!(queue.len(), 3);
    }
}
