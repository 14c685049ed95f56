//! A log that can't store everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use signalbox_protocol::control::Position;
use signalbox_protocol::{Tenant, Topic};
use signalbox_registry::log::{Appended, Entry, Limits, Read};
use signalbox_registry::{Cluster, Error, Log};

use super::topic;

/// How an append to a topic fails.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Failure {
    /// Nothing was stored.
    Away,
    /// It was stored, and the answer was lost.
    AnswerLost,
}

/// A log whose appends to some topics fail.
#[derive(Debug)]
pub(crate) struct Failing {
    log: Arc<dyn Log>,
    topics: BTreeMap<Topic, Failure>,
}

impl Failing {
    /// A cluster in which appends to these topics fail.
    pub(crate) fn some_of(cluster: Cluster, topics: &[(&str, Failure)]) -> Cluster {
        let topics = topics.iter().map(|(name, failure)| (topic(name), *failure)).collect();
        let log = Arc::new(Self { log: Arc::clone(&cluster.log), topics });
        Cluster { log, ..cluster }
    }
}

#[async_trait]
impl Log for Failing {
    async fn append(&self, entry: &Entry) -> Result<Appended, Error> {
        match self.topics.get(&entry.topic) {
            None => self.log.append(entry).await,
            Some(Failure::Away) => Err(Error::Unavailable(None)),
            Some(Failure::AnswerLost) => {
                self.log.append(entry).await?;
                Err(Error::OutcomeUnknown(None))
            }
        }
    }

    async fn read(&self, of: &Tenant, topic: &Topic, after: &Position, most: Limits) -> Result<Read, Error> {
        self.log.read(of, topic, after, most).await
    }

    async fn heads(&self, topics: &[(Tenant, Topic)]) -> Result<Vec<Position>, Error> {
        self.log.heads(topics).await
    }

    async fn new_epoch(&self, of: &Tenant, topic: &Topic, seen: &str) -> Result<Position, Error> {
        self.log.new_epoch(of, topic, seen).await
    }
}
