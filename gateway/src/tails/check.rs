//! Compares what was delivered with where the logs end: from time to time, and when messages may have been skipped.
//! So the last message of a topic is found as well if it got lost, behind which no gap would ever show.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use signalbox_protocol::control::{Discontinuity, Position};
use signalbox_protocol::{Tenant, Topic};
use signalbox_registry::Error;
use signalbox_registry::log::judge;
use tokio::time::{sleep, timeout};

use super::Tails;
use super::base::Broken;
use crate::hub::{Followers, TopicKey};

/// Topics that are asked for at once.
const BATCH_TOPICS: usize = 256;
/// Batches under way at once.
const BATCHES_MAX: usize = 4;
/// What a log ends with may be on its way.
const ON_ITS_WAY: Duration = Duration::from_millis(100);
/// How soon a check that could not be made is made again.
const AGAIN: Duration = Duration::from_secs(1);

/// A topic, and what was delivered of it when its log was asked.
type Asked = (TopicKey, Option<Position>);

impl Tails {
    /// Checks every `interval`, and when something was in doubt, until it is dropped.
    pub async fn keep_checked(self: &Arc<Self>, interval: Duration) {
        let mut wait = Duration::ZERO;
        loop {
            // Nodes that started together should not ask together.
            let in_doubt = timeout(wait.mul_f64(0.9 + 0.2 * fastrand::f64()), self.in_doubt.notified()).await;
            if in_doubt.is_ok() {
                tracing::debug!("messages may have been skipped: all topics are compared with their logs");
                // One check for all that is in doubt just now.
                sleep(ON_ITS_WAY).await;
            }
            let all = self.all.swap(false, Ordering::AcqRel);
            let checked = self.check(all).await;
            self.metrics.log.count_check(&checked);
            wait = match checked {
                Ok(()) => interval,
                Err(error) => {
                    tracing::debug!(%error, "logs could not be asked where they end; they are asked again");
                    self.all.fetch_or(all, Ordering::AcqRel);
                    interval.min(AGAIN)
                }
            };
        }
    }

    /// Compares topics with their logs: all groups, and the point topics that have a log, or `all`.
    async fn check(self: &Arc<Self>, all: bool) -> Result<(), Error> {
        self.check_base().await?;
        let place = |key: &TopicKey, followers: &Followers| Some((key.clone(), followers.at().cloned()));
        let asked: Vec<Asked> = if all { self.hub.pick(place) } else { self.hub.pick_logged(place) };
        let batches: Vec<_> = asked.chunks(BATCH_TOPICS).map(|batch| self.behind(batch)).collect();
        let mut found = stream::iter(batches).buffer_unordered(BATCHES_MAX);
        let mut behind = Vec::new();
        while let Some(found) = found.next().await {
            behind.extend(found?);
        }
        if !behind.is_empty() {
            sleep(ON_ITS_WAY).await;
            behind.into_iter().for_each(|(key, head)| self.look_again(key, &head));
        }
        Ok(())
    }

    /// Which of these are not where their logs end.
    async fn behind(&self, asked: &[Asked]) -> Result<Vec<(TopicKey, Position)>, Error> {
        let topics: Vec<(Tenant, Topic)> =
            asked.iter().map(|(key, _)| (key.tenant.clone(), key.topic.clone())).collect();
        let heads = self.log.heads(&topics).await?;
        let mut behind = Vec::new();
        for ((key, at), head) in asked.iter().zip(heads) {
            let base = if at.is_none() { self.base_of(key) } else { None };
            let Some(at) = at.as_ref().or(base.as_deref()) else { continue };
            let verdict = judge(at, &head);
            if (at.offset, head.offset, verdict) == (0, 0, Err(Discontinuity::Expired)) {
                self.hub.with(key, |followers| followers.rename_epoch(&head.epoch));
            } else if verdict.is_err() || head.offset > at.offset {
                behind.push((key.clone(), head));
            }
        }
        Ok(behind)
    }

    fn look_again(self: &Arc<Self>, key: TopicKey, head: &Position) {
        let base = self.base_of(&key);
        let doubt = self.hub.with(&key, |followers| {
            let at = followers.at();
            let there = at.is_some_and(|at| at.epoch == head.epoch && at.offset >= head.offset);
            !there && followers.doubt(base.as_deref())
        });
        if doubt == Some(true) {
            self.settle(key);
        }
    }

    /// If Redis lost what it held, or a server of several did, nobody knows what was said in topics of which this node
    /// has heard nothing.
    pub(super) async fn check_base(&self) -> Result<(), Error> {
        let look = self.log.nothing().await?;
        let (base, broken) = self.base.load().after(look);
        if !broken.is_empty() {
            self.break_silent(&broken);
        }
        self.base.store(Arc::new(base));
        Ok(())
    }

    fn break_silent(&self, broken: &Broken) {
        tracing::warn!(
            "redis lost what it held, or it lies elsewhere: followers of its topics are told that messages may be missing"
        );
        let nothing = |key: &TopicKey| {
            let part = self.log.part_of(&key.tenant, &key.topic);
            broken.iter().find(|(parts, _)| parts.contains(&part)).map(|(_, nothing)| Arc::clone(nothing))
        };
        let silent = self.hub.pick(|key, followers| {
            let nothing = (!followers.has_tail()).then(|| nothing(key)).flatten()?;
            Some((key.clone(), nothing))
        });
        for (key, nothing) in silent {
            self.hub.with(&key, |followers| {
                if !followers.has_tail() {
                    followers.break_off(&key, Discontinuity::Epoch, (*nothing).clone(), &self.metrics);
                }
            });
        }
    }
}
