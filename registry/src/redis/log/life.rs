//! Which life of the data set a node knows, and what scripts that append have to be told.

use std::hash::Hash;
use std::sync::{Arc, Mutex};

use redis::Value;
use signalbox_protocol::Topic;
use signalbox_protocol::control::Position;
use uuid::Uuid;

use crate::Error;
use crate::keys::Scope;
use crate::log::epoch::{self, Epoch};
use crate::log::{LogSettings, Retention, Strict};
use crate::mutex::lock;
use crate::redis::call::{Call, read, read_next};
use crate::redis::script::LOG_LIFE;
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
        let data_set = format!("{name}-{history}");
        Ok(Self { name: name.into(), data_set, now_ms })
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
    /// Asks for the life, and then for something by the link of `name`.
    pub(crate) async fn look(
        &self,
        name: impl Hash,
        calls: impl IntoIterator<Item = Call>,
    ) -> Result<(Life, std::vec::IntoIter<Value>), Error> {
        let fresh = &Uuid::new_v4().simple().to_string()[..10];
        let ask = Call::script(&LOG_LIFE, &self.keys.of(Scope::Life)).arg(fresh);
        let calls: Vec<_> = std::iter::once(ask).chain(calls).collect();
        let mut answers = self.links.of(name).read(&calls).await?.into_iter();
        let life = Life::read(read_next(&mut answers, "life of the data set")?)?;
        *lock(&self.log.life) = Some(Arc::clone(&life.name));
        Ok((life, answers))
    }

    /// The life that was told last; it may just have ended.
    pub(crate) async fn life(&self, name: impl Hash) -> Result<Arc<str>, Error> {
        let known = lock(&self.log.life).clone();
        match known {
            Some(life) => Ok(life),
            None => Ok(self.look(name, []).await?.0.name),
        }
    }
}
