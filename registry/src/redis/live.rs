//! Which leases last: this node's copy of `sb:nodes`, by which the rows of every answer are sifted.
//!
//! One task asks Redis twice a second, and at once when an answer holds a lease that the copy does not know
//! or believes to be over; whoever needs that waits for it, all together for one question. Ends of leases
//! are kept in this process' time, so that a dead node's rows vanish when its lease ends and not when the
//! next copy is made. A lease once seen over stays over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::Value;
use signalbox_protocol::NodeId;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::call::{Call, read_clock_ms, read_next};
use super::shards::Links;
use crate::Error;
use crate::keys::{Keys, parse_lease_member};
use crate::mutex::lock;
use crate::recent::Recent;
use crate::row::Generation;

/// How often the copy is made.
const REFRESH_EVERY: Duration = Duration::from_millis(500);
/// How soon after a failure.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// Nodes whose ended generations are remembered, so that rows they left don't cause a question each time.
const ENDED_NODES_MAX: usize = 4_096;
/// For how long: rows that a sweep left behind are gone by then.
const ENDED_KEPT: Duration = Duration::from_secs(600);

/// The leases at one moment.
#[derive(Debug, Clone)]
pub(super) struct Copy {
    /// Ends of leases that lasted when this was made.
    ends: Arc<HashMap<(NodeId, Generation), Instant>>,
    /// When Redis was asked for it.
    asked: Option<Instant>,
    /// When Redis was last asked at all, with or without success.
    tried: Option<Instant>,
    /// Milliseconds of Redis' clock at `asked`.
    redis_ms: u64,
}

/// This node's view of the leases.
#[derive(Debug)]
pub(super) struct Live {
    keys: Keys,
    links: Arc<Links>,
    copy: watch::Sender<Copy>,
    /// Somebody waits for a newer copy.
    wanted: Notify,
    /// The latest generation of each node that is known to be over.
    ended: Mutex<Recent<NodeId, Generation>>,
    patience: Duration,
}

/// What is known of a lease without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Live,
    Over,
    No,
}

impl Live {
    pub(super) fn new(keys: Keys, links: Arc<Links>, command_timeout: Duration) -> Self {
        let copy = Copy { ends: Arc::default(), asked: None, tried: None, redis_ms: 0 };
        Self {
            keys,
            links,
            copy: watch::Sender::new(copy),
            wanted: Notify::new(),
            ended: Mutex::new(Recent::new(ENDED_KEPT, ENDED_NODES_MAX)),
            patience: 2 * command_timeout,
        }
    }

    /// Keeps the copy fresh until `stop`.
    pub(super) async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let keep = async {
            loop {
                let pause = if self.make_copy().await { REFRESH_EVERY } else { RETRY_AFTER };
                // Being late is no matter, and being asked is a reason to be early.
                let _ = timeout(pause, self.wanted.notified()).await;
            }
        };
        stop.run_until_cancelled(keep).await;
    }

    /// Leaves the items whose lease lasts. Asks Redis only about leases that are not known.
    pub(super) async fn sift<T>(
        &self,
        mut items: Vec<T>,
        lease: impl Fn(&T) -> (&NodeId, Generation),
    ) -> Result<Vec<T>, Error> {
        let seen = Instant::now();
        let known = |item: &T| {
            let (node, generation) = lease(item);
            self.known(node, generation)
        };
        if items.iter().any(|item| known(item) == Known::No) {
            self.newer_than(seen).await?;
            for (node, generation) in items.iter().map(&lease) {
                if self.known(node, generation) == Known::No {
                    self.end(node, generation);
                }
            }
        }
        items.retain(|item| known(item) == Known::Live);
        Ok(items)
    }

    /// The leases that last, as Redis says it now.
    pub(super) async fn leases(&self) -> Result<Vec<(NodeId, Generation)>, Error> {
        let copy = self.newer_than(Instant::now()).await?;
        let mut leases: Vec<_> = copy.ends.keys().cloned().collect();
        leases.sort_unstable();
        Ok(leases)
    }

    /// The generation in which a node lives, if it does.
    pub(super) async fn generation_of(&self, node: &NodeId) -> Result<Option<Generation>, Error> {
        if let Some(generation) = self.generation_known(node) {
            return Ok(Some(generation));
        }
        self.newer_than(Instant::now()).await?;
        Ok(self.generation_known(node))
    }

    /// The generation in which a node lives, as far as the copy goes.
    fn generation_known(&self, node: &NodeId) -> Option<Generation> {
        let (copy, now) = (self.copy.borrow(), Instant::now());
        let lives = copy.ends.iter().filter(|((other, _), ends)| other == node && **ends > now);
        lives.map(|((_, generation), _)| *generation).max()
    }

    /// Redis' clock in milliseconds, as good as the latest copy tells.
    pub(super) async fn redis_now_ms(&self) -> Result<u64, Error> {
        let copy = self.copy.borrow().clone();
        let fresh = copy.asked.is_some_and(|asked| asked.elapsed() < 4 * REFRESH_EVERY);
        let copy = if fresh { copy } else { self.newer_than(Instant::now()).await? };
        let age = copy.asked.map_or(Duration::ZERO, |asked| asked.elapsed());
        Ok(copy.redis_ms + u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
    }

    fn known(&self, node: &NodeId, generation: Generation) -> Known {
        let copy = self.copy.borrow();
        if copy.ends.get(&(node.clone(), generation)).is_some_and(|ends| *ends > Instant::now()) {
            return Known::Live;
        }
        drop(copy);
        let over = lock(&self.ended).get(node).is_some_and(|latest| generation <= *latest);
        if over { Known::Over } else { Known::No }
    }

    fn end(&self, node: &NodeId, generation: Generation) {
        let mut ended = lock(&self.ended);
        let latest = ended.touch(node, || generation);
        *latest = generation.max(*latest);
    }

    /// A copy that was asked for at `moment` or later.
    pub(super) async fn newer_than(&self, moment: Instant) -> Result<Copy, Error> {
        let mut copies = self.copy.subscribe();
        self.wanted.notify_one();
        let tried = copies.wait_for(|copy| copy.tried.is_some_and(|tried| tried >= moment));
        let Ok(Ok(copy)) = timeout(self.patience, tried).await else {
            return Err(Error::Unavailable(None));
        };
        let fresh = copy.asked.is_some_and(|asked| asked >= moment);
        if fresh { Ok(copy.clone()) } else { Err(Error::Unavailable(None)) }
    }

    /// Asks Redis; whether it answered.
    async fn make_copy(&self) -> bool {
        let asked = Instant::now();
        let calls =
            [Call::new("TIME"), Call::new("ZRANGE").arg(self.keys.nodes()).arg((0, -1)).arg("WITHSCORES")];
        let answers = self.links.first().read(&calls).await;
        let leases = answers.and_then(read_leases);
        let Ok((redis_ms, leases)) = leases else {
            self.copy.send_modify(|copy| copy.tried = Some(asked));
            return false;
        };
        let mut ends = HashMap::with_capacity(leases.len());
        for (lease, end_ms) in leases {
            if end_ms > redis_ms {
                ends.insert(lease, asked + Duration::from_millis(end_ms - redis_ms));
            } else {
                self.end(&lease.0, lease.1);
            }
        }
        let copy = Copy { ends: Arc::new(ends), asked: Some(asked), tried: Some(asked), redis_ms };
        self.copy.send_replace(copy);
        true
    }
}

type Lease = ((NodeId, Generation), u64);

/// Reads Redis' time in milliseconds, and the leases with their ends.
fn read_leases(answers: Vec<Value>) -> Result<(u64, Vec<Lease>), Error> {
    let mut answers = answers.into_iter();
    let redis_ms = read_clock_ms(&mut answers)?;
    let members: Vec<(String, f64)> = read_next(&mut answers, "list of nodes")?;
    // A member that can't be read is of no version known here, and so are its rows.
    let leases =
        members.into_iter().filter_map(|(member, end)| Some((parse_lease_member(&member)?, end as u64)));
    Ok((redis_ms, leases.collect()))
}
