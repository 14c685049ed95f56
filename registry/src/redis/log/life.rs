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
use crate::redis::call::{Call, read, read_clock_ms, read_next};
use crate::redis::road::Road;
use crate::redis::script::{LOG_HISTORY, LOG_LIFE};
use crate::redis::store::Store;

/// What answers should have been, for the error.
const LIFE: &str = "life of the data set";
const HISTORY: &str = "history of the data set";

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

    fn told_life(&self, name: String) -> Arc<str> {
        let name: Arc<str> = name.into();
        *lock(&self.life) = Some(Arc::clone(&name));
        name
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
        let calls: Vec<_> = self.ask_history(tenant, topic).into_iter().chain(calls).collect();
        let (name, mut answers) = self.ask_life(self.links.of((tenant, topic)), calls).await?;
        let history = self.told_history(&mut answers)?;
        Ok((Life::at(name, history), answers))
    }

    fn ask_history(&self, tenant: &Tenant, topic: &Topic) -> Vec<Call> {
        if self.keys.is_sharded() {
            // The life is at one server of a Cluster; what the topic went through, at its own.
            vec![Call::script(&LOG_HISTORY, &self.keys.of(Scope::Topic(tenant, topic)))]
        } else {
            // What the script asks for, in less than half of Redis' time: newcomers wait for this.
            vec![Call::new("INFO").arg("replication"), Call::new("TIME")]
        }
    }

    fn told_history(&self, answers: &mut std::vec::IntoIter<Value>) -> Result<(String, u64), Error> {
        if self.keys.is_sharded() {
            return read_next(answers, HISTORY);
        }
        let info: String = read_next(answers, HISTORY)?;
        let history = history_of(&info).ok_or(Error::Unreadable { what: HISTORY })?;
        Ok((history.to_owned(), read_clock_ms(answers)?))
    }

    /// Asks for the life as some servers of a Cluster have it, by a slot of each.
    pub(crate) async fn lives(&self, slots: &[u16]) -> Result<Vec<Life>, Error> {
        let histories = slots.iter().map(|slot| Call::script_at(&LOG_HISTORY, *slot)).collect();
        let (name, answers) = self.ask_life(self.links.first(), histories).await?;
        answers.map(|answer| Ok(Life::at(Arc::clone(&name), read(answer, HISTORY)?))).collect()
    }

    /// Asks for the name of the life, and then for more.
    async fn ask_life(
        &self,
        road: Road<'_>,
        calls: Vec<Call>,
    ) -> Result<(Arc<str>, std::vec::IntoIter<Value>), Error> {
        let call = Call::new("GET").arg(self.keys.of(Scope::Life).as_slice());
        let calls: Vec<_> = [call].into_iter().chain(calls).collect();
        let mut answers = road.read(&calls).await?.into_iter();
        let mut name: Option<String> = read_next(&mut answers, LIFE)?;
        if name.is_none() {
            self.begin_life(road).await?;
            answers = road.read(&calls).await?.into_iter();
            name = read_next(&mut answers, LIFE)?;
        }
        Ok((self.log.told_life(name.ok_or(Error::Unreadable { what: LIFE })?), answers))
    }

    /// Begins a life of this Redis unless there is one; the name of the one that there is.
    async fn begin_life(&self, road: Road<'_>) -> Result<Arc<str>, Error> {
        let fresh = &Uuid::new_v4().simple().to_string()[..10];
        let call = Call::script(&LOG_LIFE, &self.keys.of(Scope::Life)).arg(fresh);
        let answers = road.read(&[call]).await?;
        Ok(self.log.told_life(read_next(&mut answers.into_iter(), LIFE)?))
    }

    /// The life that was told last; it may just have ended.
    pub(crate) async fn life(&self, name: impl Hash) -> Result<Arc<str>, Error> {
        let known = lock(&self.log.life).clone();
        match known {
            Some(life) => Ok(life),
            None => self.begin_life(self.links.of(name)).await,
        }
    }
}

/// What `INFO replication` says of the history of a Redis, as `scripts/log.lua` names it.
fn history_of(info: &str) -> Option<&str> {
    info.split_once("master_replid:")?.1.get(..10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_the_beginning_of_the_replication_id() {
        let info =
            "# Replication\r\nrole:master\r\nmaster_replid:3d8f00d1c2b3a4958677\r\nmaster_replid2:0\r\n";
        assert_eq!(history_of(info), Some("3d8f00d1c2"));
        assert_eq!(history_of("role:master\r\nmaster_replid:3d8"), None);
        assert_eq!(history_of(""), None);
    }
}
