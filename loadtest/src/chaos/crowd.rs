//! The clients of a run under faults: publishers with consecutive numbers, and readers. They stay connected by the
//! client library, as a user's programs would.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use signalbox_client::{Client, ClientConfig, ClientState, ClientStats};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::publisher::Publisher;
use self::reader::Reader;
use super::Stage;
use super::handshakes::{Handshakes, has_begun};
use super::oracle::{Oracle, Verdict};
use crate::cluster::Cluster;
use crate::latency::Latencies;
use crate::options::Chaos;
use crate::pace::Schedule;

mod publisher;
mod reader;

/// A durable event, whose type nobody else uses.
pub(super) const TYPE: &str = "order:chaos";

/// Handshakes under way at once when the clients come.
const AT_ONCE: usize = 32;

/// Where the faults are between clients and nodes, one reader of this number is behind them.
const ASIDE_ONE_OF: usize = 5;

/// How often it is looked whether everything has come.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is sent, and for how long an acknowledgement is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic {
    /// Messages of one publisher.
    pub(crate) schedule: Schedule,
    pub(crate) acknowledged_within: Duration,
}

/// All clients of a run.
#[derive(Debug)]
pub(crate) struct Crowd {
    scene: Rc<Scene>,
    publishers: JoinSet<Tally>,
    readers: JoinSet<Tally>,
    /// Publishers send no more.
    hush: CancellationToken,
    /// Readers leave.
    leave: CancellationToken,
}

/// What all clients tell of.
#[derive(Debug)]
struct Scene {
    oracle: RefCell<Oracle>,
    handshakes: RefCell<Handshakes>,
}

/// What the client library did, summed over clients.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) reconnects: u64,
    /// Messages that came again and were not shown to the application.
    pub(crate) duplicates_dropped: u64,
    /// Times that a message came too early, and what was missing was asked for.
    pub(crate) gaps: u64,
    pub(crate) resent: u64,
    /// Clients that were told to stay away.
    pub(crate) ended: u64,
    pub(crate) handshakes_peak: u64,
}

/// The data of a message.
#[derive(Debug, Serialize, Deserialize)]
struct Data {
    number: usize,
}

impl Crowd {
    /// Connects everybody, and begins.
    pub(crate) async fn open(options: &Chaos, traffic: Traffic, stage: &Stage<'_>) -> anyhow::Result<Self> {
        let topics = options.topics.max(1);
        let configs = (0..options.clients).map(|reader| config(options, stage, "driver", reader));
        let readers: Vec<_> = stream::iter(configs)
            .enumerate()
            .map(|(number, config)| Reader::join(config, topic(number % topics)))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let configs = (0..topics).map(|publisher| config(options, stage, "service", publisher));
        let publishers: Vec<Client> =
            stream::iter(configs).map(connect).buffered(AT_ONCE).try_collect().await?;
        let oracle = RefCell::new(Oracle::new(topics, options.clients));
        let scene = Rc::new(Scene { oracle, handshakes: RefCell::default() });
        let mut crowd = Self {
            scene,
            publishers: JoinSet::new(),
            readers: JoinSet::new(),
            hush: CancellationToken::new(),
            leave: CancellationToken::new(),
        };
        for (number, reader) in readers.into_iter().enumerate() {
            crowd.readers.spawn_local(reader.run(number, Rc::clone(&crowd.scene), crowd.leave.clone()));
        }
        let began = Instant::now();
        for (number, client) in publishers.into_iter().enumerate() {
            let publisher =
                Publisher { number, client, topic: topic(number), traffic, scene: Rc::clone(&crowd.scene) };
            // They take turns.
            let first = began + traffic.schedule.due(1).mul_f64(number as f64 / topics as f64);
            crowd.publishers.spawn_local(publisher.run(first, crowd.hush.clone()));
        }
        Ok(crowd)
    }

    /// Waits until something is delivered in each topic that was not there yet, `limit` at most; how long that took.
    pub(crate) async fn flows_again(&self, limit: Duration) -> Option<Duration> {
        let (asked, before) = (Instant::now(), self.scene.oracle.borrow().delivered().to_vec());
        let is_stuck =
            |oracle: &Oracle| oracle.delivered().iter().zip(&before).any(|(now, then)| now == then);
        while is_stuck(&self.scene.oracle.borrow()) {
            if asked.elapsed() >= limit {
                return None;
            }
            sleep(Duration::from_millis(5)).await;
        }
        Some(asked.elapsed())
    }

    /// From sending to delivery, of what was delivered since this was asked last.
    pub(crate) fn take_latencies(&self) -> Latencies {
        self.scene.oracle.borrow_mut().take_latencies()
    }

    /// Sends no more, waits until everything has come, `settles_within` at most, and judges.
    pub(crate) async fn close(mut self, settles_within: Duration) -> (Verdict, Tally) {
        self.hush.cancel();
        let mut tally = Tally::default();
        while let Some(publisher) = self.publishers.join_next().await {
            tally.add(publisher.unwrap_or_default());
        }
        let deadline = Instant::now() + settles_within;
        while !self.scene.oracle.borrow().is_settled() && Instant::now() < deadline {
            sleep(LOOK_EVERY).await;
        }
        tally.handshakes_peak = self.scene.handshakes.borrow().peak();
        let judged = std::mem::replace(&mut *self.scene.oracle.borrow_mut(), Oracle::new(1, 0));
        self.leave.cancel();
        while let Some(reader) = self.readers.join_next().await {
            tally.add(reader.unwrap_or_default());
        }
        (judged.verdict(), tally)
    }
}

impl Tally {
    fn of(stats: &ClientStats, ended: bool) -> Self {
        Self {
            reconnects: stats.reconnects,
            duplicates_dropped: stats.duplicates,
            gaps: stats.gaps,
            resent: stats.resent,
            ended: ended.into(),
            handshakes_peak: 0,
        }
    }

    fn add(&mut self, other: Self) {
        self.reconnects += other.reconnects;
        self.duplicates_dropped += other.duplicates_dropped;
        self.gaps += other.gaps;
        self.resent += other.resent;
        self.ended += other.ended;
    }
}

/// The topic of this number.
pub(super) fn topic(number: usize) -> String {
    format!("order:{number}")
}

fn config(options: &Chaos, stage: &Stage<'_>, agent_type: &str, number: usize) -> ClientConfig {
    let fails = options.fault.needs_client_path();
    let aside = fails && agent_type == "driver" && number.is_multiple_of(ASIDE_ONE_OF);
    let mut urls = stage.urls(aside).into_iter();
    let config = ClientConfig::new(urls.next().unwrap_or_default());
    urls.fold(config, ClientConfig::endpoint)
        .query("tenant", Cluster::TENANT)
        .query("agent_type", agent_type)
        .query("agent_id", &number.to_string())
        .jitter_seed(options.seed.wrapping_mul(1_000_003).wrapping_add(number as u64))
}

/// How many readers are behind the paths that fail, where those are between clients and nodes.
pub(crate) fn aside(clients: usize) -> usize {
    clients.div_ceil(ASIDE_ONE_OF)
}

async fn connect(config: ClientConfig) -> anyhow::Result<Client> {
    Client::connect(config).await.context("a client can't connect")
}

impl Scene {
    /// Counts a client's attempts to connect, as long as it is one.
    async fn watch(&self, mut state: watch::Receiver<ClientState>) {
        let mut before = *state.borrow_and_update();
        while state.changed().await.is_ok() {
            let now = *state.borrow_and_update();
            if has_begun(before, now) {
                self.handshakes.borrow_mut().count();
            }
            before = now;
        }
        std::future::pending().await
    }

    fn shows(&self, reader: usize, data: &str) {
        if let Ok(Data { number }) = serde_json::from_str(data) {
            self.oracle.borrow_mut().seen(reader, number);
        }
    }

    /// Of a topic of this kind: a client's own topics are none of the run's.
    fn declares(&self, reader: usize, kind: &str) {
        if kind == "order" {
            self.oracle.borrow_mut().declared(reader);
        }
    }
}
