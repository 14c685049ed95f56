//! Writing a connection into the directory, and removing it.
//!
//! The order in Redis is the reverse index, the session with its owner check, the agent's record, the group
//! indexes, so that a sweep of the node finds whatever a crash left half done. All commands about one
//! connection go by one link, in order: a removal runs after a registration whose answer was lost.

use std::sync::Arc;

use redis::Value;
use signalbox_protocol::{NodeId, Topic};
use smallvec::SmallVec;

use super::call::{Call, read};
use super::directory::RedisDirectory;
use super::road::Road;
use super::script::{ROW_ADD, ROW_REMOVE, ROWS_FORGET, SESSION_JOIN, SESSION_LEAVE};
use super::text;
use crate::directory::{Registered, Unregistered, evicted, is_service};
use crate::keys::Scope;
use crate::presence::groups_of;
use crate::row::{Generation, oldest_first};
use crate::{Error, Row};

/// The scripts answer at most so many other rows of an agent.
const OTHERS_MAX: usize = 64;

/// Most calls about a connection beside those of its groups.
const CALLS: usize = 5;

/// The rows of a record, by connection.
type Pairs = Vec<(String, String)>;

impl RedisDirectory {
    /// Registers `row`.
    pub(super) async fn enrol(&self, row: &Row, subject: &str) -> Result<Registered, Error> {
        if row.connection_id.node_id().as_ref() != Some(&row.node_id) {
            return Err(Error::Unreadable { what: "connection id of its node" });
        }
        self.changes.begun(&row.connection_id);
        if !row.session_named && !is_service(&row.agent) {
            return self.newcomers.write(row.clone()).await.map(|()| Registered::default());
        }
        let link = self.link();
        let mut registered = Registered::default();
        let shared = SharedKeys::of(self, row);
        let mut calls = Vec::with_capacity(shared.groups.len() + CALLS);
        calls.push(reverse_write(&shared.reverse, row));
        if row.session_named {
            calls.push(self.session_join(row, subject));
            let answers = link.write(&calls).await?;
            let Some(members) = read::<Option<Pairs>>(second(answers), "session")? else {
                self.unwrite_reverse(link, row).await;
                return Err(Error::SessionTaken);
            };
            self.subjects.insert(row.connection_id.clone(), Arc::from(subject));
            registered.evicted = self.evicted(row, members).await.map_err(half_done)?;
            calls.clear();
        }
        let (record, is_service) = (calls.len(), is_service(&row.agent));
        if is_service {
            calls.push(self.record_add(row));
        } else {
            calls.extend(self.store.record_write(row));
        }
        let member =
            |(group, key): &(Topic, String)| Call::new("SADD").arg(key).arg(text::for_group(row, group));
        calls.extend(shared.groups.iter().map(member));
        let due = self.expiries.due(shared.into_keys());
        calls.extend(due.iter().map(|key| self.store.expire(key)));
        let answers = link.write(&calls).await;
        let answers = if row.session_named { answers.map_err(half_done)? } else { answers? };
        self.expiries.note(due);
        if is_service {
            let others = answers.into_iter().nth(record).unwrap_or_default();
            registered.first_service = !self.others_live(row, others).await.map_err(half_done)?;
        }
        Ok(registered)
    }

    /// Unregisters `row`.
    pub(super) async fn strike(&self, row: &Row) -> Result<Unregistered, Error> {
        self.changes.gone(&row.connection_id);
        self.subjects.remove(&row.connection_id);
        let prefix = text::generation_prefix(row.generation);
        let id = row.connection_id.as_str();
        let record = self.store.keys.of(Scope::Agent(&row.tenant, &row.agent));
        let mut calls = vec![Call::script(&ROW_REMOVE, &record).arg(id).arg(&prefix)];
        if row.session_named {
            let session = self.store.keys.of(Scope::Session(&row.tenant, &row.session_id));
            let leave = Call::script(&SESSION_LEAVE, &session).arg(id).arg(&prefix);
            calls.push(leave.arg(self.store.owner_seconds()));
        }
        calls.extend(groups_of(row).map(|group| self.group_call("SREM", row, &group)));
        calls.push(self.reverse_remove(row));
        let answers = self.link().write(&calls).await?;
        let left = answers.into_iter().next().unwrap_or_default();
        if left == Value::Nil {
            return Ok(Unregistered::default());
        }
        let last_of_agent = !self.others_live(row, left.clone()).await.map_err(half_done)?;
        if last_of_agent {
            // What is left is dead. Without it the sweep that comes for it does not find it, and so does
            // not tell the departure a second time.
            self.forget(Scope::Agent(&row.tenant, &row.agent), read(left, "agent's record")?).await;
        }
        Ok(Unregistered { removed: true, last_of_agent })
    }

    /// The way of everything about a row.
    pub(super) fn link(&self) -> Road<'_> {
        self.store.rows()
    }

    pub(super) fn reverse_write(&self, row: &Row) -> Call {
        reverse_write(&self.store.keys.node_conns(&row.node_id, row.generation), row)
    }

    pub(super) fn group_call(&self, command: &str, row: &Row, group: &Topic) -> Call {
        Call::new(command).arg(self.group_key(row, group)).arg(text::for_group(row, group))
    }

    pub(super) fn group_key(&self, row: &Row, group: &Topic) -> String {
        self.store.keys.group(&row.tenant, group, &row.node_id, row.generation)
    }

    /// The keys that this row shares with others.
    pub(super) fn shared_keys(&self, row: &Row) -> impl Iterator<Item = String> {
        SharedKeys::of(self, row).into_keys()
    }

    fn reverse_remove(&self, row: &Row) -> Call {
        let key = self.store.keys.node_conns(&row.node_id, row.generation);
        Call::new("HDEL").arg(key).arg(text::number_of(&row.connection_id))
    }

    /// The row in its agent's record; the answer tells the rows that stood there before.
    fn record_add(&self, row: &Row) -> Call {
        let keys = self.store.keys.of(Scope::Agent(&row.tenant, &row.agent));
        let call = Call::script(&ROW_ADD, &keys).arg(row.connection_id.as_str());
        call.arg(text::for_agent(row)).arg(self.store.row_seconds())
    }

    fn session_join(&self, row: &Row, subject: &str) -> Call {
        let keys = self.store.keys.of(Scope::Session(&row.tenant, &row.session_id));
        let call = Call::script(&SESSION_JOIN, &keys).arg(subject).arg(row.connection_id.as_str());
        call.arg(text::for_session(row)).arg(self.store.row_seconds()).arg(self.store.owner_seconds())
    }

    /// Takes back the one thing that is written before a session turns out to be another's. If this fails
    /// the entry stays until the sweep, and no answer shows it: nothing else leads to it.
    async fn unwrite_reverse(&self, link: Road<'_>, row: &Row) {
        let _ = link.write_one(self.reverse_remove(row)).await;
    }

    /// Of a session's rows: which live ones have to go; dead ones are cleared away.
    async fn evicted(&self, row: &Row, members: Pairs) -> Result<Vec<Row>, Error> {
        let read = |(id, text): &(String, String)| text::of_session(&row.tenant, &row.session_id, id, text);
        let all = members.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut live = self.store.live.sift(all, |row| (&row.node_id, row.generation)).await?;
        let is_live = |id: &str| live.iter().any(|row| row.connection_id.as_str() == id);
        let dead: Pairs = members.into_iter().filter(|(id, _)| !is_live(id)).collect();
        self.forget(Scope::Session(&row.tenant, &row.session_id), dead).await;
        oldest_first(&mut live);
        Ok(evicted(live, &row.connection_id))
    }

    /// Whether any of an agent's other rows is live.
    async fn others_live(&self, row: &Row, others: Value) -> Result<bool, Error> {
        let mut others = self.without(row, others)?;
        if others.len() >= OTHERS_MAX {
            let live = self.store.live.sift(others, lease).await?;
            if !live.is_empty() {
                return Ok(true);
            }
            let record = self.agent_call(&row.tenant, &row.agent);
            let answers = self.link().read(&[record]).await?;
            others = self.without(row, answers.into_iter().next().unwrap_or_default())?;
        }
        Ok(!self.store.live.sift(others, lease).await?.is_empty())
    }

    fn without(&self, row: &Row, record: Value) -> Result<Vec<(NodeId, Generation)>, Error> {
        let pairs: Pairs = read(record, "agent's record")?;
        let others = pairs.iter().filter(|(id, _)| id != row.connection_id.as_str());
        others.map(|(id, text)| text::lease_of(id, text)).collect()
    }

    /// Removes rows that are still as they were read. Best effort: whoever comes next tries again.
    async fn forget(&self, scope: Scope<'_>, rows: Pairs) {
        if !rows.is_empty() {
            let call = Call::script(&ROWS_FORGET, &self.store.keys.of(scope)).arg(rows);
            let _ = self.store.first_link().write_one(call).await;
        }
    }
}

/// The names of what a row shares with others.
struct SharedKeys {
    /// The reverse index of its node.
    reverse: String,
    groups: SmallVec<[(Topic, String); 2]>,
}

impl SharedKeys {
    fn of(directory: &RedisDirectory, row: &Row) -> Self {
        let reverse = directory.store.keys.node_conns(&row.node_id, row.generation);
        let groups = groups_of(row).map(|group| {
            let key = directory.group_key(row, &group);
            (group, key)
        });
        Self { reverse, groups: groups.collect() }
    }

    fn into_keys(self) -> impl Iterator<Item = String> {
        std::iter::once(self.reverse).chain(self.groups.into_iter().map(|(_, key)| key))
    }
}

fn reverse_write(key: &str, row: &Row) -> Call {
    Call::new("HSET").arg(key).arg(text::number_of(&row.connection_id)).arg(text::for_node(row))
}

/// What was written before stands, whatever came of the rest.
fn half_done(error: Error) -> Error {
    match error {
        Error::Unavailable(source) => Error::OutcomeUnknown(source),
        error => error,
    }
}

fn lease((node, generation): &(NodeId, Generation)) -> (&NodeId, Generation) {
    (node, *generation)
}

fn second(answers: Vec<Value>) -> Value {
    answers.into_iter().nth(1).unwrap_or_default()
}
