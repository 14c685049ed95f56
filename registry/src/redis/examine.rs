//! What a Redis says of itself to somebody who is about to use it: asked once, over a connection of its own.
//! Judges nothing, and leaves nothing behind.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::{Cmd, FromRedisValue, Pipeline, Value};
use signalbox_protocol::NodeId;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::call::read;
use super::fault::{Redirect, Refusal};
use super::topology::ask_seeds;
use super::wire::Wire;
use super::{Endpoint, RedisConfig, lease};
use crate::keys::{Keys, parse_lease_member};
use crate::row::Generation;
use crate::{Error, NodeCard};

mod tried;

pub use tried::{TRIED, TRIED_IN_A_CLUSTER};

/// How often the way there and back is measured.
const ROUND_TRIPS: usize = 20;
/// Under this name it appears in `CLIENT LIST`, as `signalbox-doctor`.
const NAME: &str = "doctor";

/// What a Redis says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examination {
    /// The fields of `INFO`, by name; empty where this user may not ask.
    pub info: BTreeMap<String, String>,
    /// How long `PING` took, the shortest first; never empty.
    pub round_trips: Vec<Duration>,
    /// How far Redis' clock is ahead of this machine's, in milliseconds, give or take half a round trip; `None` where this
    /// user may not ask.
    pub clock_ahead_ms: Option<i64>,
    /// Which commands of [`TRIED`], and of [`TRIED_IN_A_CLUSTER`] in one, this user may not give.
    pub denied: Vec<&'static str>,
}

/// What was learned of all that nodes share.
#[derive(Debug)]
pub struct Examined {
    /// The one Redis, or each master of a Cluster: its address, and what it says or why it could not be asked.
    pub servers: Vec<(String, Result<Examination, Error>)>,
    /// The live nodes, ordered by id; none where this user may not ask.
    pub nodes: Vec<NodeCard>,
}

/// Connects to what `config` names, in a Cluster to each of its masters, and asks.
///
/// # Errors
/// [`Error::Url`]; where there is no Redis, or none that tells of a Cluster, [`Error::Unavailable`] with what went wrong or
/// [`Error::Refused`].
pub async fn examine(config: &RedisConfig) -> Result<Examined, Error> {
    let name = NodeId::try_new(NAME).expect("a constant name");
    let endpoint = Endpoint::try_new(config, &name, TaskTracker::new())?;
    let mut asked = Vec::new();
    if endpoint.is_sharded() {
        for (address, _) in ask_seeds(&endpoint).await? {
            asked.push((address.to_string(), Asked::connect(&endpoint.at(address), config).await));
        }
    } else {
        let only = Asked::connect(&endpoint, config).await?;
        let address = endpoint.latest().map(|address| address.to_string());
        asked.push((address.unwrap_or_default(), Ok(only)));
    }
    let (mut servers, mut reached) = (Vec::with_capacity(asked.len()), Vec::new());
    for (address, asked) in asked {
        match asked {
            Ok(mut asked) => {
                servers.push((address, asked.examination().await));
                reached.push(asked);
            }
            Err(error) => servers.push((address, Err(error))),
        }
    }
    Ok(Examined { servers, nodes: nodes(&mut reached).await? })
}

/// The live nodes. In a Cluster one server has the leases, and each some of the cards.
async fn nodes(servers: &mut [Asked]) -> Result<Vec<NodeCard>, Error> {
    let mut leases = Vec::new();
    for server in servers.iter_mut() {
        leases.extend(server.leases().await?);
    }
    leases.sort();
    let mut cards = Vec::with_capacity(leases.len());
    for lease in leases {
        // The lease is what counts, also where this user may not read the card.
        let mut card = Value::Map(Vec::new());
        for server in servers.iter_mut() {
            card = server.card(&lease.0).await?.unwrap_or(card);
        }
        cards.push(lease::read_card(lease, card)?);
    }
    Ok(cards)
}

/// A Redis that is being asked.
struct Asked {
    wire: Wire,
    keys: Keys,
    patience: Duration,
    tried: Vec<&'static str>,
}

impl Asked {
    async fn connect(endpoint: &Endpoint, config: &RedisConfig) -> Result<Self, Error> {
        let wire = endpoint.open(None).await.map_err(|error| Error::Unavailable(Some(error.into())))?;
        let also = if endpoint.is_sharded() { TRIED_IN_A_CLUSTER } else { &[] };
        let tried = TRIED.iter().chain(also).copied().collect();
        Ok(Self { wire, keys: Keys::new(&config.prefix), patience: config.command_timeout, tried })
    }

    async fn examination(&mut self) -> Result<Examination, Error> {
        Ok(Examination {
            info: self.info().await?,
            round_trips: self.round_trips().await?,
            clock_ahead_ms: self.clock_ahead_ms().await?,
            denied: self.denied().await?,
        })
    }

    async fn info(&mut self) -> Result<BTreeMap<String, String>, Error> {
        let text: String = self.one(redis::cmd("INFO"), "INFO").await?.unwrap_or_default();
        let fields = text.lines().filter_map(|line| line.trim().split_once(':'));
        Ok(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    async fn round_trips(&mut self) -> Result<Vec<Duration>, Error> {
        let mut taken = Vec::with_capacity(ROUND_TRIPS);
        for _ in 0..ROUND_TRIPS {
            let sent = Instant::now();
            self.all(&[redis::cmd("PING")]).await?;
            taken.push(sent.elapsed());
        }
        taken.sort_unstable();
        Ok(taken)
    }

    async fn clock_ahead_ms(&mut self) -> Result<Option<i64>, Error> {
        let (asked, sent) = (SystemTime::now(), Instant::now());
        let Some(redis_ms) = self.redis_ms().await? else { return Ok(None) };
        let half_way = asked + sent.elapsed() / 2;
        let here_ms = half_way.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
        Ok(Some(redis_ms as i64 - here_ms))
    }

    async fn redis_ms(&mut self) -> Result<Option<u64>, Error> {
        let time: Option<(u64, u64)> = self.one(redis::cmd("TIME"), "TIME").await?;
        Ok(time.map(|(seconds, micros)| seconds * 1_000 + micros / 1_000))
    }

    /// Gives each command once, on a key of its own.
    async fn denied(&mut self) -> Result<Vec<&'static str>, Error> {
        let trial = self.keys.trial();
        let commands: Vec<Cmd> = self.tried.iter().map(|command| tried::on(command, &trial)).collect();
        let answers = self.all(&commands).await?;
        let commands = self.tried.iter().zip(&answers);
        Ok(commands
            .filter(|(_, answer)| is_denied(answer))
            .map(|(command, _)| tried::name(command))
            .collect())
    }

    /// The leases that have not ended.
    async fn leases(&mut self) -> Result<Vec<(NodeId, Generation)>, Error> {
        let mut question = redis::cmd("ZRANGE");
        question.arg(self.keys.nodes()).arg(0).arg(-1).arg("WITHSCORES");
        let Some(now_ms) = self.redis_ms().await? else { return Ok(Vec::new()) };
        let leases: Option<Vec<(String, f64)>> = self.one(question, "list of nodes").await?;
        let leases = leases.unwrap_or_default();
        let live = leases.iter().filter(|(_, end_ms)| *end_ms > now_ms as f64);
        Ok(live.filter_map(|(member, _)| parse_lease_member(member)).collect())
    }

    /// What a node says of itself, if this server has it.
    async fn card(&mut self, node: &NodeId) -> Result<Option<Value>, Error> {
        let mut question = redis::cmd("HGETALL");
        question.arg(self.keys.node(node));
        self.one(question, "node's card").await
    }

    /// Gives one command, whose answer has to be a `T`; `None` where this user may not, or another server of a Cluster has it.
    async fn one<T: FromRedisValue>(&mut self, command: Cmd, what: &'static str) -> Result<Option<T>, Error> {
        match self.all(&[command]).await?.remove(0) {
            denied if is_denied(&denied) => Ok(None),
            elsewhere if Redirect::of(&elsewhere).is_some() => Ok(None),
            Value::ServerError(error) => Err(Refusal::of(&error).error(error)),
            answer => read(answer, what).map(Some),
        }
    }

    /// Gives commands, at least one; as many answers, each of which may be an error of its own.
    async fn all(&mut self, commands: &[Cmd]) -> Result<Vec<Value>, Error> {
        let mut pipeline = Pipeline::with_capacity(commands.len());
        for command in commands {
            pipeline.add_command(command.clone());
        }
        let sent = self.wire.connection.send_packed_commands(&pipeline, 0, commands.len());
        let answers = timeout(self.patience, sent).await;
        let answers = answers.map_err(|late| Error::Unavailable(Some(late.into())))?;
        let answers = answers.map_err(|error| Error::Unavailable(Some(error.into())))?;
        if answers.len() == commands.len() { Ok(answers) } else { Err(Error::Unreadable { what: "answer" }) }
    }
}

fn is_denied(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.code() == "NOPERM")
}
