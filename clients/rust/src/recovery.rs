//! Which topics have to be resumed, and the one `system:resume` that is under way. Pure.
//!
//! One at a time: a gap that shows meanwhile waits for the answer. What must stay true: a topic is forgotten here
//! only when a node has answered for it, or when it was left.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;
use signalbox_protocol::Topic;
use tokio::time::Instant;
use uuid::Uuid;

use crate::backoff::Backoff;

/// A resume that comes so long after the one before begins the back-off anew.
const CALM: Duration = Duration::from_secs(10);

/// What has to be resumed.
#[derive(Debug)]
pub(crate) struct Recovery {
    wanted: BTreeSet<Topic>,
    asked: Option<Asked>,
    not_before: Option<Instant>,
    answered_at: Option<Instant>,
    backoff: Backoff,
    rng: Rng,
    answer_within: Duration,
}

#[derive(Debug)]
struct Asked {
    id: Uuid,
    topics: BTreeSet<Topic>,
    by: Instant,
}

impl Recovery {
    pub(crate) fn new(answer_within: Duration, rng: Rng) -> Self {
        Self {
            wanted: BTreeSet::new(),
            asked: None,
            not_before: None,
            answered_at: None,
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
            rng,
            answer_within,
        }
    }

    /// A new connection: all of these, at once.
    pub(crate) fn begin(&mut self, topics: impl Iterator<Item = Topic>) {
        self.wanted = topics.collect();
        self.asked = None;
        self.not_before = None;
    }

    /// Messages of `topic` are missing. Returns whether that is news.
    pub(crate) fn want(&mut self, topic: &Topic) -> bool {
        let asked = self.asked.as_ref().is_some_and(|asked| asked.topics.contains(topic));
        !asked && self.wanted.insert(topic.clone())
    }

    /// The topics to ask for now, if any; then they are under way as `id`.
    pub(crate) fn ask(&mut self, now: Instant, id: Uuid) -> Option<&BTreeSet<Topic>> {
        let held = self.not_before.is_some_and(|at| now < at);
        if held || self.asked.is_some() || self.wanted.is_empty() {
            return None;
        }
        let topics = std::mem::take(&mut self.wanted);
        let asked = self.asked.insert(Asked { id, topics, by: now + self.answer_within });
        Some(&asked.topics)
    }

    /// Whether an answer is awaited.
    pub(crate) fn is_under_way(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether this is the answer to what is under way; if so, the topics that were asked for.
    pub(crate) fn answered(&mut self, id: Uuid, now: Instant) -> Option<BTreeSet<Topic>> {
        let asked = self.asked.take_if(|asked| asked.id == id)?;
        if self.answered_at.replace(now).is_none_or(|at| now >= at + CALM) {
            self.backoff.reset();
        }
        self.not_before = Some(now + self.backoff.next(&mut self.rng));
        Some(asked.topics)
    }

    /// The node can't resume these at the moment: later, then.
    pub(crate) fn again(&mut self, topics: BTreeSet<Topic>) {
        self.wanted.extend(topics);
    }

    pub(crate) fn left<'a>(&mut self, topics: impl IntoIterator<Item = &'a Topic>) {
        for topic in topics {
            self.wanted.remove(topic);
        }
    }

    /// Nobody could hear the answer until now.
    pub(crate) fn postpone(&mut self, now: Instant) {
        if let Some(asked) = &mut self.asked {
            asked.by = now + self.answer_within;
        }
    }

    /// When to stop waiting for the answer.
    pub(crate) fn answer_by(&self) -> Option<Instant> {
        self.asked.as_ref().map(|asked| asked.by)
    }

    /// When to ask for what is wanted.
    pub(crate) fn ask_at(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.asked.is_none() && !self.wanted.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(5);

    fn topic(name: &str) -> Topic {
        Topic::try_new(name).expect("it is a topic")
    }

    fn names(topics: Option<&BTreeSet<Topic>>) -> Vec<&str> {
        topics.into_iter().flatten().map(Topic::as_str).collect()
    }

    fn recovery() -> Recovery {
        Recovery::new(WITHIN, Rng::with_seed(1))
    }

    #[test]
    fn a_new_connection_asks_for_everything_at_once() {
        let (mut recovery, now) = (recovery(), Instant::now());
        assert!(recovery.ask(now, Uuid::nil()).is_none(), "there is nothing to ask");
        recovery.begin([topic("route:1"), topic("route:2")].into_iter());
        assert_eq!(names(recovery.ask(now, Uuid::nil())), ["route:1", "route:2"]);
        assert!(recovery.ask(now, Uuid::max()).is_none(), "it is under way");
        assert_eq!(recovery.answer_by(), Some(now + WITHIN));
        // The connection is replaced, and the next one begins anew.
        recovery.begin([topic("route:1")].into_iter());
        assert_eq!(recovery.answer_by(), None);
        assert_eq!(names(recovery.ask(now, Uuid::nil())), ["route:1"]);
    }

    #[test]
    fn a_gap_waits_for_the_answer_that_is_under_way() {
        let (mut recovery, now) = (recovery(), Instant::now());
        assert!(recovery.want(&topic("route:1")));
        assert!(!recovery.want(&topic("route:1")), "no news");
        recovery.ask(now, Uuid::nil());
        assert!(!recovery.want(&topic("route:1")), "the answer will tell");
        assert!(recovery.want(&topic("route:2")));
        assert_eq!(recovery.answered(Uuid::max(), now), None, "the answer to something else");
        let answered = recovery.answered(Uuid::nil(), now);
        assert_eq!(names(answered.as_ref()), ["route:1"]);
        let later = recovery.ask_at().expect("route:2 is wanted");
        assert!(later <= now + Duration::from_millis(100));
        assert_eq!(names(recovery.ask(later, Uuid::nil())), ["route:2"]);
    }

    #[test]
    fn a_topic_that_was_left_is_not_asked_for() {
        let (mut recovery, now) = (recovery(), Instant::now());
        recovery.want(&topic("route:1"));
        recovery.left([&topic("route:1")]);
        assert!(recovery.ask(now, Uuid::nil()).is_none());
    }

    #[test]
    fn a_node_that_keeps_skipping_is_asked_less_and_less_often() {
        let (mut recovery, begin) = (recovery(), Instant::now());
        let mut now = begin;
        let mut resumes = 0;
        while now < begin + Duration::from_secs(60) {
            recovery.want(&topic("route:1"));
            recovery.ask(now, Uuid::nil());
            let topics = recovery.answered(Uuid::nil(), now).expect("it was asked");
            recovery.again(topics);
            now = recovery.ask_at().expect("it is wanted again");
            resumes += 1;
        }
        assert!((12..60).contains(&resumes), "{resumes} in a minute, with waits of up to 5 s");
    }
}
