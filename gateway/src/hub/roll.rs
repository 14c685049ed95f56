//! All connections in the order in which they came, so that those who look at each of them can do so in steps.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use super::Connection;

/// A walk has about so many steps.
const STEPS: usize = 64;
/// Fewer than this in a step are not worth waking up for.
const STEP_MIN: usize = 64;
/// Between two steps: a walk takes half a second at most, and whoever has a message meanwhile waits for one step only.
const PAUSE: Duration = Duration::from_millis(7);

/// By their numbers on this node.
#[derive(Debug, Default)]
pub(super) struct Roll(Mutex<BTreeMap<u64, Arc<Connection>>>);

impl Roll {
    pub(super) fn add(&self, connection: &Arc<Connection>) {
        self.lock().insert(connection.number(), Arc::clone(connection));
    }

    /// Strikes out this very connection.
    pub(super) fn strike(&self, connection: &Arc<Connection>) {
        let mut all = self.lock();
        if all.get(&connection.number()).is_some_and(|held| Arc::ptr_eq(held, connection)) {
            all.remove(&connection.number());
        }
    }

    /// Calls `visit` with each connection whose number `choose` picks, step by step. Who comes meanwhile is visited, who
    /// leaves is not.
    pub(super) async fn walk(&self, choose: impl Fn(u64) -> bool, mut visit: impl FnMut(&Arc<Connection>)) {
        let mut step = Vec::new();
        let mut after = Bound::Unbounded;
        let size = (self.lock().len() / STEPS).max(STEP_MIN);
        loop {
            let passed = self.take_step((after, size), &choose, &mut step);
            step.drain(..).for_each(|connection| visit(&connection));
            match passed {
                Some(number) => after = Bound::Excluded(number),
                None => return,
            }
            sleep(PAUSE).await;
        }
    }

    /// The next ones behind that number, `size` at most, in their order.
    pub(super) fn page(&self, after: Option<u64>, size: usize) -> Vec<Arc<Connection>> {
        let mut page = Vec::with_capacity(size);
        self.take_step((after.map_or(Bound::Unbounded, Bound::Excluded), size), |_| true, &mut page);
        page
    }

    /// The number of who came last; `None`: there is nobody.
    pub(super) fn newest(&self) -> Option<u64> {
        self.lock().last_key_value().map(|(number, _)| *number)
    }

    /// The chosen ones of the next numbers, and the last of these; `None`: there are no more behind them.
    fn take_step(
        &self,
        (after, size): (Bound<u64>, usize),
        choose: impl Fn(u64) -> bool,
        step: &mut Vec<Arc<Connection>>,
    ) -> Option<u64> {
        let all = self.lock();
        let mut rest = all.range((after, Bound::Unbounded));
        let mut last = None;
        for (number, connection) in rest.by_ref().take(size) {
            last = Some(*number);
            if choose(*number) {
                step.push(Arc::clone(connection));
            }
        }
        last.filter(|_| rest.next().is_some())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Connection>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::time::Instant;

    use super::*;
    use crate::hub::tests::connection;

    fn roll_of(numbers: std::ops::Range<u64>) -> Roll {
        let roll = Roll::default();
        numbers.for_each(|number| roll.add(&connection(number, "t")));
        roll
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_are_visited_at_once() {
        let began = Instant::now();
        let mut visited = Vec::new();
        roll_of(0..STEP_MIN as u64).walk(|_| true, |one| visited.push(one.number())).await;
        assert_eq!(visited, (0..STEP_MIN as u64).collect::<Vec<_>>());
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn many_are_visited_once_each_within_half_a_second_and_others_get_their_turns() {
        let many = 3 * STEPS as u64 * STEP_MIN as u64;
        let (roll, began) = (roll_of(0..many), Instant::now());
        let mut visited = Vec::new();
        {
            let mut walk =
                std::pin::pin!(roll.walk(|number| number % 2 == 0, |one| visited.push(one.number())));
            assert!(poll!(walk.as_mut()).is_pending());
            // One who leaves meanwhile, and one who comes.
            let left = roll.lock().get(&(many - 2)).cloned().unwrap();
            roll.strike(&left);
            roll.add(&connection(many, "t"));
            walk.await;
        }
        let expected = (0..many - 2).chain([many]).filter(|number| number % 2 == 0);
        assert_eq!(visited, expected.collect::<Vec<_>>());
        assert!(began.elapsed() <= Duration::from_millis(500), "{:?}", began.elapsed());
        assert!(began.elapsed() >= PAUSE * 50);
    }

    #[test]
    fn pages_follow_each_other_and_end_with_an_empty_one() {
        let roll = roll_of(0..5);
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let page: Vec<_> = roll.page(after, 2).iter().map(|one| one.number()).collect();
            after = page.last().copied().or(after);
            pages.push(page);
            if pages.last().is_some_and(Vec::is_empty) {
                break;
            }
        }
        assert_eq!(pages, [vec![0, 1], vec![2, 3], vec![4], vec![]]);
        assert_eq!((roll.newest(), Roll::default().newest()), (Some(4), None));
    }

    #[test]
    fn only_the_very_connection_is_struck_out() {
        let roll = roll_of(0..1);
        roll.strike(&connection(0, "t"));
        assert_eq!(roll.lock().len(), 1);
    }
}
