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
mod tests {
    use super::*;

    fn group(id: &str) -> Group {
        (Tenant::try_new("t").unwrap(), Topic::of("route", id).unwrap())
    }

    fn subscribe(group: Group) -> Steps {
        Steps { subscribe: vec![group], unsubscribe: vec![] }
    }

    fn unsubscribe(group: Group) -> Steps {
        Steps { subscribe: vec![], unsubscribe: vec![group] }
    }

    const PATIENCE: Duration = Duration::from_secs(1);
    const FEED: FeedId = 0;

    impl Followed {
        fn steps_of_all(&self) -> Steps {
            self.steps(FEED, |_| true)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_first_wish_and_the_last_taken_back_reach_redis() {
        let followed = Followed::new(Arc::default());
        let (first, second) = (followed.want(group("1"), PATIENCE), followed.want(group("1"), PATIENCE));
        let redis = async {
            tokio::task::yield_now().await;
            assert_eq!(followed.steps_of_all(), subscribe(group("1")));
            followed.confirm(FEED, &[group("1")]);
        };
        let (first, second, ()) = tokio::join!(first, second, redis);
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(followed.topics(), [(group("1").0, group("1").1, 2)]);
        followed.unwant(group("1"));
        assert_eq!(followed.steps_of_all(), Steps::default());
        followed.unwant(group("1"));
        assert_eq!(followed.steps_of_all(), unsubscribe(group("1")));
        assert_eq!(followed.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_that_is_not_granted_in_time_is_taken_back() {
        let followed = Followed::new(Arc::default());
        assert!(matches!(followed.want(group("1"), PATIENCE).await, Err(Error::Unavailable(None))));
        assert_eq!(followed.topics(), []);
        assert_eq!(followed.steps_of_all(), Steps::default(), "Redis was never told");
    }

    #[tokio::test(start_paused = true)]
    async fn a_confirmation_that_comes_after_the_wish_was_taken_back_is_undone() {
        let followed = Followed::new(Arc::default());
        let redis = async {
            tokio::task::yield_now().await;
            assert_eq!(followed.steps_of_all(), subscribe(group("1")));
        };
        let (late, ()) = tokio::join!(followed.want(group("1"), PATIENCE), redis);
        assert!(late.is_err());
        assert_eq!(followed.steps_of_all(), Steps::default());
        followed.confirm(FEED, &[group("1")]);
        assert_eq!(followed.steps_of_all(), unsubscribe(group("1")));
    }

    #[tokio::test(start_paused = true)]
    async fn unsubscribing_and_subscribing_again_are_two_steps() {
        let followed = Followed::new(Arc::default());
        let wish = followed.want(group("1"), PATIENCE);
        let redis = async {
            tokio::task::yield_now().await;
            followed.confirm(FEED, &followed.steps_of_all().subscribe);
        };
        let _ = tokio::join!(wish, redis);
        followed.unwant(group("1"));
        assert_eq!(followed.steps_of_all(), unsubscribe(group("1")));
        let again = followed.want(group("1"), PATIENCE);
        let redis = async {
            tokio::task::yield_now().await;
            assert_eq!(followed.steps_of_all(), subscribe(group("1")), "it no longer stood");
            followed.confirm(FEED, &[group("1")]);
        };
        assert!(tokio::join!(again, redis).0.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_begins_with_all_that_is_wanted() {
        let followed = Followed::new(Arc::default());
        let wish = followed.want(group("1"), PATIENCE);
        let redis = async {
            tokio::task::yield_now().await;
            followed.confirm(FEED, &followed.steps_of_all().subscribe);
        };
        let _ = tokio::join!(wish, redis);
        followed.fall(FEED);
        assert!(!followed.stands(&group("1").0, &group("1").1));
        assert_eq!(followed.all_steps(|_| true), subscribe(group("1")));
        let wish = followed.want(group("1"), PATIENCE);
        assert!(wish.await.is_err(), "nothing stands until it is confirmed anew");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_feed_no_longer_has_is_followed_by_another_and_known_to_have_fallen() {
        let followed = Followed::new(Arc::default());
        let wish = followed.want(group("1"), PATIENCE);
        let redis = async {
            tokio::task::yield_now().await;
            assert_eq!(followed.steps(1, |_| false), Steps::default(), "it is not this one's");
            assert_eq!(followed.steps(FEED, |_| true), subscribe(group("1")));
            assert!(!followed.confirm(FEED, &[group("1")]), "nothing can have been missed");
        };
        assert!(tokio::join!(wish, redis).0.is_ok());
        followed.leave(FEED, |_| false);
        assert_eq!(followed.steps(FEED, |_| false), Steps::default());
        assert_eq!(followed.steps(1, |_| true), subscribe(group("1")));
        assert!(followed.confirm(1, &[group("1")]), "something may have been missed");
        followed.fall(FEED);
        assert!(followed.stands(&group("1").0, &group("1").1), "it stands with the other");
    }
}
