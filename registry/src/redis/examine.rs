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
use super::wire::Wire;
use super::{Endpoint, RedisConfig, lease};
use crate::keys::{Keys, parse_lease_member};
use crate::{Error, NodeCard};

mod tried;

pub use tried::TRIED;

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
    /// Which commands of [`TRIED`] this user may not give.
    pub denied: Vec<&'static str>,
    /// The live nodes, ordered by id; none where this user may not ask, or another server of a Cluster knows.
    pub nodes: Vec<NodeCard>,
}

/// Connects to the Redis of `config` and asks.
///
/// # Errors
/// [`Error::Url`]; [`Error::Unavailable`] with what went wrong; [`Error::Refused`].
pub async fn examine(config: &RedisConfig) -> Result<Examination, Error> {
    let name = NodeId::try_new(NAME).expect("a constant name");
    let endpoint = Endpoint::try_new(config, &name, TaskTracker::new())?;
    // Of a Cluster the first that is named is asked.
    let endpoint = endpoint.seeds().into_iter().next().unwrap_or(endpoint);
    let wire = endpoint.open(None).await.map_err(|error| Error::Unavailable(Some(error.into())))?;
    let mut asked = Asked { wire, keys: Keys::new(&config.prefix), patience: config.command_timeout };
    Ok(Examination {
        info: asked.info().await?,
        round_trips: asked.round_trips().await?,
        clock_ahead_ms: asked.clock_ahead_ms().await?,
        denied: asked.denied().await?,
        nodes: asked.nodes().await?,
    })
}

/// A Redis that is being asked.
struct Asked {
    wire: Wire,
    keys: Keys,
    patience: Duration,
}

impl Asked {
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
        let commands: Vec<Cmd> = TRIED.iter().map(|command| tried::on(command, &trial)).collect();
        let answers = self.all(&commands).await?;
        let commands = TRIED.iter().zip(&answers);
        Ok(commands
            .filter(|(_, answer)| is_denied(answer))
            .map(|(command, _)| tried::name(command))
            .collect())
    }

    async fn nodes(&mut self) -> Result<Vec<NodeCard>, Error> {
        let mut question = redis::cmd("ZRANGE");
        question.arg(self.keys.nodes()).arg(0).arg(-1).arg("WITHSCORES");
        let Some(now_ms) = self.redis_ms().await? else { return Ok(Vec::new()) };
        let leases: Option<Vec<(String, f64)>> = self.one(question, "list of nodes").await?;
        let leases = leases.unwrap_or_default();
        let live = leases.iter().filter(|(_, end_ms)| *end_ms > now_ms as f64);
        let mut leases: Vec<_> = live.filter_map(|(member, _)| parse_lease_member(member)).collect();
        leases.sort();
        let mut cards = Vec::with_capacity(leases.len());
        for (node, generation) in leases {
            let mut question = redis::cmd("HGETALL");
            question.arg(self.keys.node(&node));
            // The lease is what counts, also where this user may not read the card.
            let card = self.one(question, "node's card").await?.unwrap_or(Value::Map(Vec::new()));
            cards.push(lease::read_card((node, generation), card)?);
        }
        Ok(cards)
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
