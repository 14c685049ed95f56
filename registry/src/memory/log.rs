//! The logs of one process.
//!
//! A topic's log is locked while a message is stored and told, so that all hear of messages in the order of
//! their offsets. A listener must not append from within: it is called under that lock.

mod chronicle;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use signalbox_protocol::control::Position;
use signalbox_protocol::{Tenant, Topic};
use tokio::time::Instant;
use uuid::Uuid;

use self::chronicle::Chronicle;
use super::MemoryCluster;
use super::bus::Exchange;
use crate::directory::NodeSet;
use crate::log::epoch::{self, REMEMBERED};
use crate::log::{Appended, Audience, Entry, Limits, LogSettings, Logged, Page, Read, judge};
use crate::mutex::lock;
use crate::{Directory, Error, Log};

/// How often logs and messages are thrown away that nobody needs any more.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Kept {
    log: Arc<Mutex<Chronicle>>,
    /// When somebody appended to it or asked for it.
    touched: Instant,
}

impl Kept {
    fn is_forgotten(&self) -> bool {
        self.touched.elapsed() >= REMEMBERED
    }
}

#[derive(Debug)]
struct Topics {
    logs: HashMap<(Tenant, Topic), Kept>,
    swept: Instant,
}

impl Topics {
    fn sweep_if_due(&mut self, settings: &LogSettings) {
        if self.swept.elapsed() < SWEEP_EVERY {
            return;
        }
        self.swept = Instant::now();
        self.logs.retain(|_, kept| !kept.is_forgotten());
        for ((_, topic), kept) in &self.logs {
            // One that is in use now can wait.
            if let Ok(mut log) = kept.log.try_lock() {
                log.let_go(settings.of(topic.kind()).age);
            }
        }
    }
}

/// The logs of all topics of a process.
#[derive(Debug)]
pub(super) struct Logs {
    topics: Mutex<Topics>,
    /// Names what is stored here; another when it was lost.
    data_set: Mutex<String>,
    settings: LogSettings,
    exchange: Arc<Exchange>,
    born: Instant,
    forced: AtomicU64,
}

impl Logs {
    pub(super) fn new(settings: LogSettings, exchange: &Arc<Exchange>) -> Arc<Self> {
        let (exchange, born) = (Arc::clone(exchange), Instant::now());
        let topics = Mutex::new(Topics { logs: HashMap::new(), swept: born });
        let (data_set, forced) = (Mutex::new(fresh()), AtomicU64::new(1));
        Arc::new(Self { topics, data_set, settings, exchange, born, forced })
    }

    /// Stores a message that can't come again, and tells its followers.
    pub(super) fn publish(&self, tenant: &Tenant, topic: &Topic, body: &Bytes) -> Position {
        let chronicle = self.begun(tenant, topic);
        let mut chronicle = lock(&chronicle);
        let position = chronicle.push(body, self.settings.of(topic.kind()));
        self.tell(tenant, topic, &position, body);
        position
    }

    /// Stores a message, unless it is there, and tells its followers; its place and whether it was there.
    fn append(&self, entry: &Entry) -> (Position, bool) {
        let chronicle = self.begun(&entry.tenant, &entry.topic);
        let mut chronicle = lock(&chronicle);
        let retention = self.settings.of(entry.topic.kind());
        let key = (entry.source.clone(), entry.id.clone());
        if let Some(position) = chronicle.known(&key) {
            return (position, true);
        }
        let position = chronicle.push(&entry.body, retention);
        chronicle.remember(key, position.offset);
        if entry.audience == Audience::Followers {
            self.tell(&entry.tenant, &entry.topic, &position, &entry.body);
        }
        (position, false)
    }

    fn tell(&self, tenant: &Tenant, topic: &Topic, position: &Position, body: &Bytes) {
        let (tenant, topic, position) = (tenant.clone(), topic.clone(), position.clone());
        self.exchange.tell(&Logged { tenant, topic, position, body: body.clone() });
    }

    /// The log of a topic; it begins now if there is none.
    fn begun(&self, tenant: &Tenant, topic: &Topic) -> Arc<Mutex<Chronicle>> {
        if let Some(log) = self.existing(tenant, topic) {
            return log;
        }
        let mut topics = lock(&self.topics);
        topics.sweep_if_due(&self.settings);
        let kept = topics.logs.entry((tenant.clone(), topic.clone())).or_insert_with(|| {
            let chronicle = Chronicle::new(self.first_epoch(), self.settings.of(topic.kind()).age);
            Kept { log: Arc::new(Mutex::new(chronicle)), touched: Instant::now() }
        });
        Arc::clone(&kept.log)
    }

    /// The log of a topic, if it is remembered; it is from now for as long again.
    fn existing(&self, tenant: &Tenant, topic: &Topic) -> Option<Arc<Mutex<Chronicle>>> {
        let (mut topics, key) = (lock(&self.topics), (tenant.clone(), topic.clone()));
        let kept = topics.logs.get_mut(&key)?;
        if kept.is_forgotten() {
            topics.logs.remove(&key);
            return None;
        }
        kept.touched = Instant::now();
        Some(Arc::clone(&kept.log))
    }

    /// The log of a topic; if there is none, where it would begin. The time is taken before anybody looks.
    fn look(&self, tenant: &Tenant, topic: &Topic) -> Result<Arc<Mutex<Chronicle>>, Position> {
        let none = Position { epoch: self.first_epoch(), offset: 0 };
        self.existing(tenant, topic).ok_or(none)
    }

    fn head(&self, tenant: &Tenant, topic: &Topic) -> Position {
        self.look(tenant, topic).map_or_else(|none| none, |log| lock(&log).head())
    }

    fn read(&self, tenant: &Tenant, topic: &Topic, after: &Position, limits: Limits) -> Read {
        match self.look(tenant, topic) {
            Ok(log) => lock(&log).read(after, limits, self.settings.of(topic.kind()).age),
            Err(head) => match judge(after, &head) {
                Ok(()) => Read::Page(Page::empty(after, head)),
                Err(reason) => Read::Broken { reason, head },
            },
        }
    }

    fn new_epoch(&self, tenant: &Tenant, topic: &Topic, seen: &str) -> Position {
        let log = match self.look(tenant, topic) {
            Ok(log) => log,
            Err(none) => return none,
        };
        let mut log = lock(&log);
        if log.epoch() == seen {
            let number = self.forced.fetch_add(1, Ordering::Relaxed);
            log.begin_anew(format!("{}.{number:x}", self.first_epoch()));
        }
        log.head()
    }

    fn first_epoch(&self) -> String {
        epoch::first(&lock(&self.data_set), self.born.elapsed().as_millis() as u64)
    }

    pub(super) fn lose(&self) {
        lock(&self.topics).logs.clear();
        *lock(&self.data_set) = fresh();
    }
}

/// A name for what is stored, which nothing else has.
fn fresh() -> String {
    Uuid::new_v4().simple().to_string()[..12].to_owned()
}

#[async_trait]
impl Log for MemoryCluster {
    async fn append(&self, entry: &Entry) -> Result<Appended, Error> {
        let (position, duplicate) = self.logs.append(entry);
        let holders = match entry.audience {
            Audience::Followers => NodeSet::new(),
            Audience::Holders => self.nodes_of(&entry.tenant, &entry.topic).await?,
        };
        Ok(Appended { position, duplicate, holders })
    }

    async fn read(
        &self,
        tenant: &Tenant,
        topic: &Topic,
        after: &Position,
        limits: Limits,
    ) -> Result<Read, Error> {
        Ok(self.logs.read(tenant, topic, after, limits))
    }

    async fn heads(&self, topics: &[(Tenant, Topic)]) -> Result<Vec<Position>, Error> {
        Ok(topics.iter().map(|(tenant, topic)| self.logs.head(tenant, topic)).collect())
    }

    async fn new_epoch(&self, tenant: &Tenant, topic: &Topic, seen: &str) -> Result<Position, Error> {
        Ok(self.logs.new_epoch(tenant, topic, seen))
    }
}
