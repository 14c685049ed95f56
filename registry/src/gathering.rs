//! Those who want the same at the same time are served together: while some are, the next ones gather.
//!
//! So whoever comes alone waits no longer than it has to, and of a storm Redis hears few, large requests.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::mutex::lock;

/// Those who wait. As many as there are tasks that wait for an answer: whoever lets them in bounds it.
#[derive(Debug)]
pub struct Gathering<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    is_serving: bool,
}

impl<T> Default for Gathering<T> {
    fn default() -> Self {
        Self(Mutex::new(State { waiting: VecDeque::new(), is_serving: false }))
    }
}

impl<T> Gathering<T> {
    /// Lets one more wait. True: nobody is being served, so that the caller has to begin, and to call [`Self::next`]
    /// until nobody is left.
    pub fn add(&self, one: T) -> bool {
        let mut state = lock(&self.0);
        state.waiting.push_back(one);
        !std::mem::replace(&mut state.is_serving, true)
    }

    /// Those who are served next: the first, and more as long as they fit; nothing: whoever comes now begins anew.
    pub fn next(&self, mut fits: impl FnMut(&T) -> bool) -> Option<Vec<T>> {
        let mut state = lock(&self.0);
        let count = state.waiting.iter().take_while(|one| fits(one)).count().max(1).min(state.waiting.len());
        let next: Vec<_> = state.waiting.drain(..count).collect();
        state.is_serving = !next.is_empty();
        state.is_serving.then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_begins_and_the_others_gather() {
        let gathering = Gathering::default();
        assert!(gathering.add(1));
        assert_eq!(gathering.next(|_| true), Some(vec![1]));
        assert!(!gathering.add(2), "somebody is served");
        assert!(!gathering.add(3));
        assert_eq!(gathering.next(|_| true), Some(vec![2, 3]));
        assert_eq!(gathering.next(|_| true), None);
        assert!(gathering.add(4), "whoever comes now begins anew");
    }

    #[test]
    fn one_that_does_not_fit_is_served_alone() {
        let gathering = Gathering::default();
        for size in [5, 1, 1, 1] {
            gathering.add(size);
        }
        let mut served = vec![];
        loop {
            let mut room = 2;
            let fits = |size: &usize| {
                let fits = *size <= room;
                room = room.saturating_sub(*size);
                fits
            };
            let Some(next) = gathering.next(fits) else { break };
            served.push(next);
        }
        assert_eq!(served, [vec![5], vec![1, 1], vec![1]]);
    }
}
