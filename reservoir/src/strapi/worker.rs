//! The task that works the outbox off. Each node runs one; one of them at a time has work.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signalbox_protocol::PassengerId;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::counters::Counted;
use super::settings::StrapiSettings;
use super::store::Store;
use super::sync::Trouble;
use crate::outbox::{Line, Work};

/// How often a node looks for work that nobody told it of.
const IDLE: Duration = Duration::from_secs(1);
/// Lines and pushes of one turn.
const AT_ONCE: usize = 256;
/// Requests to Strapi that one line takes: a look, and two states.
const REQUESTS_OF_A_LINE: u32 = 3;

/// Works until `stop`.
pub(super) async fn run(store: Arc<Store>, stop: CancellationToken) {
    let mut worker =
        Worker { token: uuid::Uuid::new_v4().to_string(), store, after: 0, failing: HashMap::new(), away: 0 };
    stop.run_until_cancelled(async move {
        loop {
            match worker.turn().await {
                Next::At(pause) => sleep(pause).await,
                Next::IfWokenOrAt(pause) => {
                    // Which of the two it was makes no difference.
                    let _ = tokio::time::timeout(pause, worker.store.wake.notified()).await;
                }
            }
        }
    })
    .await;
}

/// When to look again.
enum Next {
    At(Duration),
    IfWokenOrAt(Duration),
}

struct Worker {
    store: Arc<Store>,
    token: String,
    /// The number behind which the next turn reads: none starves behind others that fail.
    after: u64,
    /// Whom Strapi fails at.
    failing: HashMap<PassengerId, Failing>,
    /// Turns in a row that found Strapi or Redis away.
    away: u32,
}

#[derive(Debug, Clone, Copy)]
struct Failing {
    since: Instant,
    tries: u32,
    again_at: Instant,
}

impl Worker {
    /// One turn: reads what there is to do, and does it.
    async fn turn(&mut self) -> Next {
        let begun = Instant::now();
        let lease = lease(&self.store.settings);
        let (work, full) = match self.store.outbox.work(&self.token, lease, (self.after, AT_ONCE)).await {
            Ok(Some(work)) => {
                let full = work.lines.len() == AT_ONCE;
                (work, full)
            }
            Ok(None) => return Next::IfWokenOrAt(IDLE),
            Err(error) => {
                tracing::debug!(%error, "the outbox can't be read");
                return Next::At(IDLE);
            }
        };
        self.forget_others(&work, full);
        self.after = if full { work.lines.last().map_or(0, |line| line.number) } else { 0 };
        let is_away = self.settle(&work).await || self.work_off(work.lines, begun + lease).await;
        self.away = if is_away { self.away.saturating_add(1) } else { 0 };
        if is_away {
            return Next::At(waits(&self.store.settings, self.away));
        }
        let now = Instant::now();
        let again =
            self.failing.values().map(|failing| failing.again_at.saturating_duration_since(now)).min();
        Next::IfWokenOrAt(if full { Duration::ZERO } else { again.unwrap_or(IDLE).min(IDLE) })
    }

    /// Sees to the pushes that are over; whether Strapi or Redis is away.
    async fn settle(&self, work: &Work) -> bool {
        for pushed in &work.pushes {
            match self.store.settle(pushed).await {
                Ok(()) => {}
                Err(Trouble::Away(error)) => {
                    self.store.counters.count(Counted::Retried);
                    tracing::warn!(%error, "what a push left in strapi can't be removed now");
                    return true;
                }
                Err(Trouble::Failing(error)) => {
                    self.store.counters.count(Counted::Retried);
                    tracing::warn!(%error, passenger = %pushed.passenger_id, "strapi does not remove what a push left");
                }
            }
        }
        false
    }

    /// Works lines off, of several passengers at a time; whether Strapi or Redis is away.
    async fn work_off(&mut self, lines: Vec<Line>, lease_ends: Instant) -> bool {
        let now = Instant::now();
        let due =
            |line: &Line| self.failing.get(&line.passenger_id).is_none_or(|failing| failing.again_at <= now);
        let lines: Vec<_> = lines.into_iter().filter(due).collect();
        let needed = self.store.settings.request_timeout * REQUESTS_OF_A_LINE;
        let is_away = AtomicBool::new(false);
        let work = |line: Line| {
            let (store, is_away, last) = (&self.store, &is_away, self.is_last_try(&line.passenger_id));
            async move {
                // Nobody else may work by the time that the last request ends: an older state would overtake.
                let in_time = lease_ends.saturating_duration_since(Instant::now()) >= needed;
                // The rest would only learn the same.
                if !in_time || is_away.load(Ordering::Relaxed) {
                    return None;
                }
                let outcome = store.work_off(&line, last).await;
                is_away.fetch_or(matches!(outcome, Err(Trouble::Away(_))), Ordering::Relaxed);
                Some((line.passenger_id, outcome))
            }
        };
        let outcomes = self.store.in_parallel(lines.into_iter().map(work).collect()).await;
        let (mut done, mut failed, mut away) = (Vec::new(), Vec::new(), None);
        for (id, outcome) in outcomes.into_iter().flatten() {
            match outcome {
                Ok(()) => done.push(id),
                Err(Trouble::Failing(error)) => failed.push((id, error)),
                Err(Trouble::Away(error)) => away = Some(error),
            }
        }
        self.note(done, failed);
        if let Some(error) = &away {
            self.store.counters.count(Counted::Retried);
            tracing::warn!(%error, tries = self.away + 1, "changes wait for strapi");
        }
        away.is_some()
    }

    fn note(&mut self, done: Vec<PassengerId>, failed: Vec<(PassengerId, crate::StoreError)>) {
        for id in done {
            self.failing.remove(&id);
        }
        let now = Instant::now();
        for (id, error) in failed {
            self.store.counters.count(Counted::Retried);
            tracing::warn!(%error, passenger = %id, "strapi fails at a change");
            let failing = self.failing.entry(id).or_insert(Failing { since: now, tries: 0, again_at: now });
            failing.tries = failing.tries.saturating_add(1);
            failing.again_at = now + waits(&self.store.settings, failing.tries);
        }
    }

    fn is_last_try(&self, id: &PassengerId) -> bool {
        self.failing
            .get(id)
            .is_some_and(|failing| failing.since.elapsed() >= self.store.settings.give_up_after)
    }

    /// Forgets tries of lines that another worker has struck out.
    fn forget_others(&mut self, work: &Work, full: bool) {
        if self.after == 0 && !full {
            let standing: HashSet<_> = work.lines.iter().map(|line| &line.passenger_id).collect();
            self.failing.retain(|id, _| standing.contains(id));
        }
    }
}

/// How long nobody else works.
fn lease(settings: &StrapiSettings) -> Duration {
    settings.request_timeout * (REQUESTS_OF_A_LINE + 1) + IDLE
}

/// The wait before a further try: twice as long each time.
fn waits(settings: &StrapiSettings, tries: u32) -> Duration {
    let doublings = tries.saturating_sub(1).min(16);
    (settings.retry_first * 2_u32.pow(doublings)).min(settings.retry_longest)
}
