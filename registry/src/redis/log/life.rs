//! Which life of the data set a node knows, and what scripts that append have to be told.

use std::hash::Hash;
use std::sync::{Arc, Mutex};

use redis::Value;
use signalbox_protocol::control::Position;
use signalbox_protocol::{Tenant, Topic};
use uuid::Uuid;

use crate::Error;
use crate::keys::Scope;
use crate::log::epoch::{self, Epoch};
use crate::log::{LogSettings, Retention, Strict};
use crate::mutex::lock;
use crate::redis::call::{Call, read, read_next};
use crate::redis::script::{LOG_HISTORY, LOG_LIFE};
use crate::redis::store::Store;

/// What a node knows of the logs before it asks.
#[derive(Debug)]
pub(crate) struct LogBook {
    settings: LogSettings,
    /// Whether appends wait for replicas.
    pub(crate) strict: Option<Strict>,
    /// The life of what Redis holds, as it was told last.
    life: Mutex<Option<Arc<str>>>,
}

impl LogBook {
    pub(crate) fn new(settings: LogSettings, strict: Option<Strict>) -> Self {
        Self { settings, strict, life: Mutex::default() }
    }

    /// What topics of a kind keep.
    pub(crate) fn of(&self, kind: &str) -> Retention {
        self.settings.of(kind)
    }

    /// Appends what a topic keeps to the arguments of a script.
    pub(crate) fn keeps(&self, call: Call, topic: &Topic) -> Call {
        let Retention { messages_max, bytes_max, age } = self.of(topic.kind());
        call.arg(messages_max).arg(bytes_max).arg(age.as_millis() as u64)
    }
}

/// What Redis holds, and when that was asked.
#[derive(Debug)]
pub(crate) struct Life {
    /// Another when Redis was emptied.
    pub(crate) name: Arc<str>,
    /// Another also when Redis was restarted or a replica was promoted.
    data_set: String,
    pub(crate) now_ms: u64,
}

impl Life {
    fn read(answer: Value) -> Result<Self, Error> {
        let (name, history, now_ms): (String, String, u64) = read(answer, "life of the data set")?;
        Ok(Self::at(name.into(), (history, now_ms)))
    }

    /// The life as a server has it that went through this, by its clock.
    fn at(name: Arc<str>, (history, now_ms): (String, u64)) -> Self {
        let data_set = format!("{name}-{history}");
        Self { name, data_set, now_ms }
    }

    /// Where a topic ends in which nobody has said anything.
    pub(crate) fn nothing(&self) -> Position {
        Position { epoch: epoch::first(&self.data_set, self.now_ms), offset: 0 }
    }

    /// Whether it is the life of an epoch.
    pub(crate) fn is_of(&self, epoch: &str) -> bool {
        Epoch::parse(epoch).is_some_and(|epoch| epoch.data_set == self.data_set)
    }
}

impl Store {
    /// Asks for the life, and then for something about a topic by its way; or about several of one server.
    pub(crate) async fn look(
        &self,
        (tenant, topic): (&Tenant, &Topic),
        calls: impl IntoIterator<Item = Call>,
    ) -> Result<(Life, std::vec::IntoIter<Value>), Error> {
        let history = self.keys.is_sharded().then(|| {
            // The life is at one server of a Cluster; what the topic went through, at its own.
            Call::script(&LOG_HISTORY, &self.keys.of(Scope::Topic(tenant, topic)))
        });
        let asks_history = history.is_some();
        let calls: Vec<_> = [self.ask_life()].into_iter().chain(history).chain(calls).collect();
        let mut answers = self.links.of((tenant, topic)).read(&calls).await?.into_iter();
        let mut life = self.told_life(&mut answers)?;
        if asks_history {
            life = Life::at(life.name, read_next(&mut answers, "history")?);
        }
        Ok((life, answers))
    }

    /// Asks for the life as some servers of a Cluster have it, by a slot of each.
    pub(crate) async fn lives(&self, slots: &[u16]) -> Result<Vec<Life>, Error> {
        let histories = slots.iter().map(|slot| Call::script_at(&LOG_HISTORY, *slot));
        let calls: Vec<_> = [self.ask_life()].into_iter().chain(histories).collect();
        let mut answers = self.links.first().read(&calls).await?.into_iter();
        let name = self.told_life(&mut answers)?.name;
        answers.map(|answer| Ok(Life::at(Arc::clone(&name), read(answer, "history")?))).collect()
    }

    fn ask_life(&self) -> Call {
        let fresh = &Uuid::new_v4().simple().to_string()[..10];
        Call::script(&LOG_LIFE, &self.keys.of(Scope::Life)).arg(fresh)
    }

    fn told_life(&self, answers: &mut std::vec::IntoIter<Value>) -> Result<Life, Error> {
        let life = Life::read(read_next(answers, "life of the data set")?)?;
        *lock(&self.log.life) = Some(Arc::clone(&life.name));
        Ok(life)
    }

    /// The life that was told last; it may just have ended.
    pub(crate) async fn life(&self, name: impl Hash) -> Result<Arc<str>, Error> {
        let known = lock(&self.log.life).clone();
        match known {
            Some(life) => Ok(life),
            None => {
                let answers = self.links.of(name).read(&[self.ask_life()]).await?;
                Ok(self.told_life(&mut answers.into_iter())?.name)
            }
        }
    }
}
