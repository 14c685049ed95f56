//! Logs in Redis. An append is one script in the slot of its topic. Whoever looks asks in one round trip first
//! for the life of what Redis holds, and then for the topic: what is lost between the two is seen the next time.
//!
//! An append is made under the life that this node knew last, which another may just have replaced: whoever
//! then looks at that log finds it of another life, and begins another epoch of it.

mod life;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Value;
use signalbox_protocol::control::Position;
use signalbox_protocol::{Tenant, Topic};
use tracing::debug;

use self::life::Life;
pub(super) use self::life::LogBook;
use self::text::{Answer, Meta, Stored};
use super::call::{Call, read, read_next};
use super::directory::{made_for, read_leases};
use super::fault::of_question;
use super::pool::PIPELINE_CALLS_MAX;
use super::script::{LOG_APPEND, LOG_EPOCH, LOG_KEEP, LOG_READ};
use super::slot_map::Map;
use super::store::Store;
use crate::bus::logged;
use crate::directory::{NodeSet, PointTopic};
use crate::keys::Scope;
use crate::log::{Appended, Audience, Entry, Limits, Parts, Read, Strict, judge, nothing_in_one_part};
use crate::slot::SLOTS;
use crate::{Error, Log};

/// What is followed is kept for as long again when it was not for this long.
const KEPT_AGAIN: Duration = Duration::from_secs(60 * 60);

/// See the module.
#[derive(Debug)]
pub(super) struct RedisLog {
    pub(super) store: Arc<Store>,
}

impl RedisLog {
    async fn append_call(&self, entry: &Entry) -> Result<Call, Error> {
        let Entry { tenant, topic, audience, source, id, body } = entry;
        let life = self.store.life((tenant, topic)).await?;
        let call = Call::script(&LOG_APPEND, &self.store.keys.of(Scope::Topic(tenant, topic)));
        let call = call.arg(self.store.deadline_ms().await?).arg(&*life);
        let call = self.store.log.keeps(call, topic).arg(format!("{source}|{id}")).arg(body.as_ref());
        Ok(match audience {
            Audience::Followers => call.arg(logged::head(tenant, topic)),
            Audience::Holders => call,
        })
    }

    /// Appends, and waits until enough replicas have all that Redis had done by then: also of a repeated message. That
    /// blocks a connection, which is one of its own.
    async fn append_strictly(&self, entry: &Entry, strict: Strict) -> Result<Value, Error> {
        let mut connection = self.store.bulk().await?;
        let answer = connection.write_one(&self.append_call(entry).await?, Duration::ZERO).await?;
        // Zero would be for ever.
        let wait = Call::new("WAIT").arg(strict.replicas).arg((strict.within.as_millis() as u64).max(1));
        // Replicas have slots as their master has.
        let wait = wait.beside(&self.store.keys.channel(&entry.tenant, &entry.topic));
        let have_it: u32 =
            read(connection.write_one(&wait, strict.within).await.map_err(stored)?, "number of replicas")?;
        if have_it < strict.replicas { Err(Error::OutcomeUnknown(None)) } else { Ok(answer) }
    }

    fn keep_call(&self, tenant: &Tenant, topic: &Topic) -> Call {
        let call = Call::script(&LOG_KEEP, &self.store.keys.of(Scope::Topic(tenant, topic)));
        call.arg(self.store.log.of(topic.kind()).age.as_millis() as u64)
    }

    /// The nodes that hold a point topic, by its record. What has a name of its own tells its node by that.
    async fn holders(&self, topic: &Topic, record: Value) -> Result<NodeSet, Error> {
        let leases = read_leases(record)?;
        let leases = self.store.live.sift(leases, |(node, generation)| (node, *generation)).await?;
        let mut nodes: NodeSet = leases.into_iter().map(|(node, _)| node).collect();
        let connection_id = match PointTopic::of(topic) {
            PointTopic::Connection(id) => Some(id),
            PointTopic::Session(id) => made_for(&id),
            PointTopic::Agent(_) | PointTopic::Nobody => None,
        };
        if let Some(node) = connection_id.and_then(|id| id.node_id())
            && self.store.live.generation_of(&node).await?.is_some()
        {
            nodes.push(node);
        }
        nodes.sort_unstable();
        nodes.dedup();
        Ok(nodes)
    }

    /// Begins another epoch of logs, by one link, unless somebody has; where they end.
    async fn go_on(&self, logs: &[(&Tenant, &Topic, &str)], life: &Life) -> Result<Vec<Position>, Error> {
        let Some((tenant, topic, _)) = logs.first() else { return Ok(Vec::new()) };
        let deadline_ms = self.store.deadline_ms().await?;
        let call = |(tenant, topic, seen): &(&Tenant, &Topic, &str)| {
            let call = Call::script(&LOG_EPOCH, &self.store.keys.of(Scope::Topic(tenant, topic)));
            call.arg(deadline_ms).arg(*seen).arg(&*life.name)
        };
        let calls: Vec<_> = logs.iter().map(call).collect();
        let answers = self.store.links.of((tenant, topic)).write(&calls).await?;
        let read_head = |answer| {
            let answer: Option<String> = read(answer, "log")?;
            let meta = Meta::read(&answer.ok_or(Error::Unavailable(None))?)?;
            Ok(meta.map_or_else(|| life.nothing(), |meta| meta.head()))
        };
        answers.into_iter().map(read_head).collect()
    }

    /// Where topics of one server end, as they were found.
    async fn heads_of(
        &self,
        found: &[(&Tenant, &Topic, Option<Meta>)],
        life: &Life,
    ) -> Result<Vec<Position>, Error> {
        let foreign = |meta: &&Meta| !life.is_of(&meta.epoch);
        let foreign = found.iter().filter_map(|(tenant, topic, meta)| {
            Some((*tenant, *topic, meta.as_ref().filter(foreign)?.epoch.as_str()))
        });
        let foreign: Vec<_> = foreign.collect();
        let mut mended = self.go_on(&foreign, life).await?.into_iter();
        let head = |meta: &Option<Meta>| match meta {
            None => Some(life.nothing()),
            Some(meta) if life.is_of(&meta.epoch) => Some(meta.head()),
            Some(_) => mended.next(),
        };
        let heads: Option<_> = found.iter().map(|(_, _, meta)| meta).map(head).collect();
        heads.ok_or(Error::Unreadable { what: "list of logs" })
    }

    /// Somebody follows these: they are not forgotten. It is done again at the next look if it fails.
    async fn keep(&self, found: &[(&Tenant, &Topic, Option<Meta>)], life: &Life) {
        let long_ago = life.now_ms.saturating_sub(KEPT_AGAIN.as_millis() as u64);
        let stale =
            found.iter().filter(|(_, _, meta)| meta.as_ref().is_some_and(|meta| meta.kept_ms < long_ago));
        let calls: Vec<_> = stale.map(|(tenant, topic, _)| self.keep_call(tenant, topic)).collect();
        if let (Some((tenant, topic, _)), false) = (found.first(), calls.is_empty())
            && let Err(error) = self.store.links.of((tenant, topic)).write(&calls).await
        {
            debug!(%error, "logs were not kept for longer");
        }
    }

    /// The same for topics in which nobody has said anything, by the servers of a Cluster.
    async fn nothing_at_each(&self) -> Result<Vec<(Parts, Position)>, Error> {
        let ranges = self.store.links.map().ranges().ok_or(Error::Unavailable(None))?;
        // One question for each server, by a slot of it.
        let servers: BTreeMap<usize, u16> = ranges.iter().map(|(slots, at)| (*at, *slots.start())).collect();
        let lives = self.store.lives(&servers.values().copied().collect::<Vec<_>>()).await?;
        let nothing: BTreeMap<usize, Position> =
            servers.into_keys().zip(lives.iter().map(Life::nothing)).collect();
        Ok(ranges.into_iter().map(|(slots, at)| (slots, nothing[&at].clone())).collect())
    }

    /// Which topics share a server.
    fn server_of(&self, (tenant, topic): &(Tenant, Topic), map: &Map) -> Option<usize> {
        map.place_of(self.store.slot_of_topic(tenant, topic))
    }

    /// Where some topics of one server end.
    async fn some_heads(&self, topics: &[&(Tenant, Topic)]) -> Result<Vec<Position>, Error> {
        let Some((tenant, topic)) = topics.first() else { return Ok(Vec::new()) };
        let calls =
            topics.iter().map(|(tenant, topic)| Call::new("GET").arg(self.store.keys.meta(tenant, topic)));
        let (life, mut answers) = self.store.look((tenant, topic), calls).await?;
        let mut found = Vec::with_capacity(topics.len());
        for (tenant, topic) in topics {
            let meta: Option<String> = read_next(&mut answers, "log")?;
            found.push((tenant, topic, Meta::read(meta.as_deref().unwrap_or_default())?));
        }
        let heads = self.heads_of(&found, &life).await.map_err(of_question)?;
        self.keep(&found, &life).await;
        Ok(heads)
    }
}

#[async_trait]
impl Log for RedisLog {
    async fn append(&self, entry: &Entry) -> Result<Appended, Error> {
        let (tenant, topic) = (&entry.tenant, &entry.topic);
        let answer = match self.store.log.strict {
            None => self.store.links.of((tenant, topic)).write_one(self.append_call(entry).await?).await?,
            Some(strict) => self.append_strictly(entry, strict).await?,
        };
        let Answer { position, duplicate, record } = Answer::read(answer)?;
        let holders = match entry.audience {
            Audience::Followers => NodeSet::new(),
            Audience::Holders => self.holders(topic, record).await.map_err(stored)?,
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
        let call = Call::script(&LOG_READ, &self.store.keys.of(Scope::Topic(tenant, topic)));
        let call = call.arg(after.offset).arg(limits.entries_max.max(1)).arg(limits.bytes_max);
        let (life, mut answers) = self.store.look((tenant, topic), [call]).await?;
        let stored = Stored::read(read_next(&mut answers, "log")?)?;
        let found = [(tenant, topic, stored.meta.clone())];
        let head = self.heads_of(&found, &life).await.map_err(of_question)?.remove(0);
        if let Err(reason) = judge(after, &head) {
            return Ok(Read::Broken { reason, head });
        }
        let age_ms = self.store.log.of(topic.kind()).age.as_millis() as u64;
        Ok(stored.following(after, head, life.now_ms.saturating_sub(age_ms)))
    }

    async fn heads(&self, topics: &[(Tenant, Topic)]) -> Result<Vec<Position>, Error> {
        let (mut heads, map) = (vec![None; topics.len()], self.store.links.map());
        let mut servers: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (place, topic) in topics.iter().enumerate() {
            servers.entry(self.server_of(topic, &map)).or_default().push(place);
        }
        for places in servers.values().flat_map(|places| places.chunks(PIPELINE_CALLS_MAX)) {
            let asked: Vec<_> = places.iter().map(|place| &topics[*place]).collect();
            for (place, head) in places.iter().zip(self.some_heads(&asked).await?) {
                heads[*place] = Some(head);
            }
        }
        heads.into_iter().collect::<Option<_>>().ok_or(Error::Unreadable { what: "list of logs" })
    }

    fn parts(&self) -> u16 {
        if self.store.keys.is_sharded() { SLOTS as u16 } else { 1 }
    }

    fn part_of(&self, tenant: &Tenant, topic: &Topic) -> u16 {
        if self.store.keys.is_sharded() { self.store.slot_of_topic(tenant, topic) } else { 0 }
    }

    async fn nothing(&self) -> Result<Vec<(Parts, Position)>, Error> {
        if self.store.keys.is_sharded() {
            self.nothing_at_each().await
        } else {
            nothing_in_one_part(self).await
        }
    }

    async fn new_epoch(&self, tenant: &Tenant, topic: &Topic, seen: &str) -> Result<Position, Error> {
        let (life, _) = self.store.look((tenant, topic), []).await?;
        Ok(self.go_on(&[(tenant, topic, seen)], &life).await?.remove(0))
    }
}

/// The message is stored, though the rest failed: asking again tells what is missing here.
fn stored(error: Error) -> Error {
    match error {
        Error::Unavailable(source) => Error::OutcomeUnknown(source),
        error => error,
    }
}
