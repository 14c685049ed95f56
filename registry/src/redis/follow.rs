//! Which group topics this node follows: what is wanted, and what Redis has confirmed.
//!
//! Callers change what is wanted at once; the task of one feed alone makes a server follow, one step after
//! another, so that an unsubscription and a new subscription of the same topic can't overtake each other.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use signalbox_protocol::{Tenant, Topic};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::bus::Tally;
use crate::Error;
use crate::mutex::lock;

/// A group topic of a tenant.
pub(super) type Group = (Tenant, Topic);

#[derive(Debug, Default)]
struct Follow {
    /// Subscriptions less unsubscriptions.
    count: u64,
    /// Which feed has it, confirmed on its connection of now, and was not told otherwise since.
    stands: Option<FeedId>,
    /// It stood before, and fell.
    fell: bool,
    waiting: Vec<oneshot::Sender<()>>,
}

/// Names a feed.
pub(super) type FeedId = u64;

/// Tells that something has changed; those who wait look each for themselves.
pub(super) type Changes = watch::Receiver<()>;

#[derive(Debug, Default)]
struct Table {
    follows: HashMap<Group, Follow>,
    /// Whose wish and state may differ.
    changed: HashSet<Group>,
}

/// What the subscriber has to tell Redis.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) subscribe: Vec<Group>,
    pub(super) unsubscribe: Vec<Group>,
}

/// The topics followed by this node.
#[derive(Debug)]
pub(super) struct Followed {
    table: Mutex<Table>,
    /// Something has changed.
    news: watch::Sender<()>,
    feeds: AtomicU64,
    tally: Arc<Tally>,
}

impl Followed {
    pub(super) fn new(tally: Arc<Tally>) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            news: watch::Sender::new(()),
            feeds: AtomicU64::new(0),
            tally,
        })
    }

    /// The name of another feed.
    pub(super) fn new_feed(&self) -> FeedId {
        self.feeds.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn news(&self) -> Changes {
        self.news.subscribe()
    }

    fn tell(&self) {
        self.news.send_replace(());
    }

    pub(super) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Wants a topic, and waits until Redis follows. When it does not in time, the wish is taken back, as it
    /// is when this is cancelled.
    pub(super) async fn want(&self, group: Group, patience: Duration) -> Result<(), Error> {
        let confirmed = {
            let mut table = lock(&self.table);
            let follow = table.follows.entry(group.clone()).or_default();
            follow.count += 1;
            if follow.stands.is_some() {
                return Ok(());
            }
            let (tell, confirmed) = oneshot::channel();
            follow.waiting.push(tell);
            table.changed.insert(group.clone());
            confirmed
        };
        self.tell();
        let wish = Wish { followed: self, group: Some(group) };
        match timeout(patience, confirmed).await {
            Ok(Ok(())) => {
                wish.granted();
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(Error::Unavailable(None)),
        }
    }

    /// Takes one wish back.
    pub(super) fn unwant(&self, group: Group) {
        let mut table = lock(&self.table);
        let Some(follow) = table.follows.get_mut(&group) else { return };
        follow.count = follow.count.saturating_sub(1);
        if follow.count == 0 {
            table.changed.insert(group);
            drop(table);
            self.tell();
        }
    }

    /// What a feed has to change now, of what it has. What is to be unsubscribed does not stand any more from here on.
    pub(super) fn steps(&self, feed: FeedId, has: impl Fn(&Group) -> bool) -> Steps {
        let mut table = lock(&self.table);
        let mut steps = Steps::default();
        let (changed, others): (HashSet<_>, _) =
            std::mem::take(&mut table.changed).into_iter().partition(has);
        table.changed = others;
        for group in changed {
            let Some(follow) = table.follows.get_mut(&group) else { continue };
            match (follow.count > 0, follow.stands) {
                (true, None) => steps.subscribe.push(group),
                (true, Some(_)) => {}
                (false, stands) => {
                    table.follows.remove(&group);
                    steps.unsubscribe.extend((stands == Some(feed)).then_some(group));
                }
            }
        }
        steps
    }

    /// Everything that is wanted of what a feed has, for a connection on which nothing stands yet.
    pub(super) fn all_steps(&self, has: impl Fn(&Group) -> bool) -> Steps {
        let mut table = lock(&self.table);
        table.changed.retain(|group| !has(group));
        table.follows.retain(|group, follow| follow.count > 0 || !has(group));
        let subscribe = table.follows.keys().filter(|group| has(group)).cloned().collect();
        Steps { subscribe, unsubscribe: Vec::new() }
    }

    /// A feed's connection is lost, and with it everything that stood there.
    pub(super) fn fall(&self, feed: FeedId) {
        self.leave(feed, |_| false);
    }

    /// What stood with a feed that no longer has it is another's.
    pub(super) fn leave(&self, feed: FeedId, has: impl Fn(&Group) -> bool) {
        let mut table = lock(&self.table);
        let Table { follows, changed } = &mut *table;
        for (group, follow) in follows.iter_mut() {
            if follow.stands == Some(feed) && !has(group) {
                (follow.stands, follow.fell) = (None, true);
                changed.insert(group.clone());
            }
        }
        drop(table);
        self.tell();
    }

    /// A feed could not follow a group, since another has it.
    pub(super) fn again(&self, group: &Group) {
        lock(&self.table).changed.insert(group.clone());
        self.tell();
    }

    /// A feed follows these; whether any of them stood before, and fell. Whoever unsubscribed meanwhile is among what
    /// changed, and its turn comes.
    pub(super) fn confirm(&self, feed: FeedId, groups: &[Group]) -> bool {
        let (mut table, mut fell) = (lock(&self.table), false);
        for group in groups {
            // One whose wish was taken back and forgotten meanwhile still has to be unsubscribed.
            let follow = table.follows.entry(group.clone()).or_default();
            follow.stands = Some(feed);
            fell |= std::mem::take(&mut follow.fell);
            let unwanted = follow.count == 0;
            for waiting in follow.waiting.drain(..) {
                let _ = waiting.send(());
            }
            if unwanted {
                table.changed.insert(group.clone());
                self.tell();
            }
        }
        fell
    }

    /// Whether Redis sends us this group.
    pub(super) fn stands(&self, tenant: &Tenant, topic: &Topic) -> bool {
        let table = lock(&self.table);
        table.follows.get(&(tenant.clone(), topic.clone())).is_some_and(|follow| follow.stands.is_some())
    }

    /// What is followed, with how often each was wanted.
    pub(super) fn topics(&self) -> Vec<(Tenant, Topic, u64)> {
        let table = lock(&self.table);
        let wanted = table.follows.iter().filter(|(_, follow)| follow.count > 0);
        wanted.map(|((tenant, topic), follow)| (tenant.clone(), topic.clone(), follow.count)).collect()
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.table).follows.len()
    }
}

/// A wish not yet granted; taken back when dropped.
struct Wish<'a> {
    followed: &'a Followed,
    group: Option<Group>,
}

impl Wish<'_> {
    fn granted(mut self) {
        self.group = None;
    }
}

impl Drop for Wish<'_> {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            self.followed.unwant(group);
        }
    }
}

#[cfg(test)]
mod tests;
