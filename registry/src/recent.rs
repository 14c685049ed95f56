//! A bounded memory of what was touched lately. Plain data; whoever owns it locks it.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// A map that forgets: an entry lives for between one and two `period`s after it was last touched, and
/// at least as long as fewer than half of `entries_max` others are touched.
///
/// Two maps take turns: what is touched moves to the young one, and when that is full or old enough, the
/// old one is dropped whole. So forgetting costs nothing per entry.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    turned: Instant,
    period: Duration,
    entries_max: usize,
}

impl<K: Hash + Eq + Clone, V> Recent<K, V> {
    pub(crate) fn new(period: Duration, entries_max: usize) -> Self {
        let (young, old) = (HashMap::new(), HashMap::new());
        Self { young, old, turned: Instant::now(), period, entries_max }
    }

    /// The entry of `key`, made by `make` if there is none; counts as a touch.
    pub(crate) fn touch(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        self.turn_if_due();
        if !self.young.contains_key(key) {
            let value = self.old.remove(key).unwrap_or_else(make);
            self.young.insert(key.clone(), value);
        }
        self.young.get_mut(key).expect("it was just put there")
    }

    /// Replaces the entry of `key`.
    pub(crate) fn put(&mut self, key: K, value: V) {
        self.turn_if_due();
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    /// The entry of `key`, if it is remembered; not a touch.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Forgets `key`.
    pub(crate) fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// Forgets what is due to be forgotten. Touching and putting do so too.
    pub(crate) fn turn_if_due(&mut self) {
        let now = Instant::now();
        let aged = now.duration_since(self.turned);
        if aged < self.period && self.young.len() < (self.entries_max / 2).max(1) {
            return;
        }
        self.old = std::mem::take(&mut self.young);
        self.turned = now;
        if aged >= 2 * self.period {
            self.old.clear();
        } else if aged >= self.period {
            // Turns come late, at the next touch; entries age all the same.
            self.turned -= aged - self.period;
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn what_is_not_touched_is_forgotten_after_two_periods() {
        let mut recent = Recent::new(PERIOD, 100);
        recent.put("idle", 1);
        for _ in 0..3 {
            tokio::time::advance(PERIOD - Duration::from_secs(1)).await;
            *recent.touch(&"busy", || 0) += 1;
        }
        assert_eq!(recent.get(&"idle"), None);
        assert_eq!(recent.get(&"busy"), Some(&3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_silence_forgets_everything() {
        let mut recent = Recent::new(PERIOD, 100);
        recent.put("idle", 1);
        tokio::time::advance(2 * PERIOD).await;
        assert_eq!(*recent.touch(&"idle", || 7), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn it_never_holds_more_than_its_bound() {
        let mut recent = Recent::new(PERIOD, 10);
        for key in 0..1_000 {
            recent.put(key, ());
            assert!(recent.len() <= 10);
            assert!(recent.get(&(key - 4)).is_some() || key < 4, "the last five are remembered");
        }
        recent.remove(&999);
        assert_eq!(recent.get(&999), None);
    }
}
