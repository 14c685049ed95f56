//! The faults, one function each. A fault is over when its function returns; whatever it broke works again then.

use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::Stage;
use super::crowd::aside;
use super::ghosts::{AskedFor, Seekers};
use crate::dice::Dice;
use crate::options::{Chaos, Fault};
use crate::report::Report;
use crate::resp::RedisConnection;

/// A node's lease lasts so long.
pub(super) const LEASE: Duration = Duration::from_secs(5);

/// A killed process is started again after so long.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// How often the connections of all subscribers to Redis are cut.
const CUT_EVERY: Duration = Duration::from_secs(2);

/// What Redis takes longer: latency and jitter of each way.
const SLOW: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(30));

/// How often an answer of Redis is broken off, and after how many bytes at most.
const CUT_AGAIN: Duration = Duration::from_millis(100);
const CUT_BYTES_MAX: u64 = 16 * 1024;

/// How often it is looked whether a node is listed, or has noticed something.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// So long a replica misses what its master takes, before it takes over.
const BEHIND: Duration = Duration::from_millis(500);

/// A node that goes on after a pause is listed again within this time.
const BACK_WITHIN: Duration = Duration::from_secs(20);

/// Connections that are gone because nothing was heard from the client.
const SILENT: &str = "signalbox_closes_total{code=\"4408\"}";

/// Inflicts one fault on a stage; the same seed chooses the same victim.
#[derive(Debug)]
pub(crate) struct Nemesis {
    fault: Fault,
    /// How long a fault lasts that has no end of its own.
    lasts: Duration,
    /// Readers behind the paths that fail.
    aside: usize,
    victim: usize,
    seed: u64,
    asked_for: AskedFor,
}

impl Nemesis {
    pub(crate) fn new(options: &Chaos, stage: &Stage<'_>) -> Self {
        Self {
            fault: options.fault,
            lasts: options.fault_seconds,
            aside: aside(options.clients),
            victim: Dice::new(options.seed).below(stage.nodes.len() as u64) as usize,
            seed: options.seed,
            asked_for: AskedFor::default(),
        }
    }

    /// Inflicts it and returns when it is over; notes what is seen meanwhile.
    pub(crate) async fn strike(&mut self, stage: &mut Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
        match self.fault {
            // Those are there already, and stay.
            Fault::None | Fault::SlowReaders => sleep(self.lasts).await,
            Fault::RollingRestart => rolling_restart(stage).await?,
            Fault::KillNode => self.kill_node(stage).await?,
            Fault::PauseNode => self.pause_node(stage, report).await?,
            Fault::KillPubsub => self.kill_pubsub(stage).await?,
            Fault::RedisBlackHole => self.black_hole(stage).await?,
            Fault::RedisJitter => self.slow_down(stage).await?,
            Fault::RedisCut => self.break_answers(stage).await?,
            Fault::RedisRestartEmpty | Fault::RedisRestartData => restart_redis(stage).await,
            Fault::RedisFlushall => ask_redis(stage, &[b"FLUSHALL"]).await?,
            Fault::RedisFailover => fail_over(stage).await?,
            Fault::HalfOpen => self.freeze(stage, report).await?,
            Fault::Trickle => self.trickle(stage, report).await?,
        }
        Ok(())
    }

    /// Looks at what has to be as before, some time after the fault.
    pub(crate) async fn look_after(&self, stage: &Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
        match self.fault {
            Fault::PauseNode => {
                let back = listed_within(stage, self.victim, BACK_WITHIN).await;
                if !back {
                    report.failure(format!("the node that was paused is not listed after {BACK_WITHIN:?}"));
                }
                Ok(())
            }
            Fault::RedisBlackHole => self.asked_for.look_after(stage.redis.port(), report).await,
            _ => Ok(()),
        }
    }

    async fn kill_node(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        stage.nodes[self.victim].take()?.kill().await;
        sleep(RESTART_AFTER).await;
        stage.start(self.victim).await
    }

    async fn pause_node(&self, stage: &mut Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
        let began = Instant::now();
        stage.nodes[self.victim].process_mut()?.signal(Signal::STOP)?;
        let (end, mut unlisted) = (began + self.lasts, None);
        while Instant::now() < end {
            sleep(LOOK_EVERY).await;
            if unlisted.is_none() && !stage.is_listed(self.victim).await {
                unlisted = Some(began.elapsed());
            }
        }
        stage.nodes[self.victim].process_mut()?.signal(Signal::CONT)?;
        if let Some(time) = unlisted {
            report.figure("node_unlisted_after_ms", time.as_secs_f64() * 1e3);
        }
        Ok(())
    }

    async fn kill_pubsub(&self, stage: &Stage<'_>) -> anyhow::Result<()> {
        let end = Instant::now() + self.lasts;
        while Instant::now() < end {
            ask_redis(stage, &[b"CLIENT", b"KILL", b"TYPE", b"pubsub"]).await?;
            sleep(CUT_EVERY).await;
        }
        Ok(())
    }

    async fn black_hole(&mut self, stage: &Stage<'_>) -> anyhow::Result<()> {
        let path = stage.redis_path.as_ref().context("there is a path to Redis")?;
        let seekers = Seekers::open(stage).await?;
        path.black_hole();
        sleep(self.lasts).await;
        // Those that are under way have their answers before the path is whole again.
        self.asked_for = seekers.close().await;
        path.heal();
        Ok(())
    }

    async fn slow_down(&self, stage: &Stage<'_>) -> anyhow::Result<()> {
        let path = stage.redis_path.as_ref().context("there is a path to Redis")?;
        let (latency, jitter) = SLOW;
        path.delay(latency, jitter, self.seed);
        sleep(self.lasts).await;
        path.delay(Duration::ZERO, Duration::ZERO, self.seed);
        Ok(())
    }

    async fn break_answers(&self, stage: &Stage<'_>) -> anyhow::Result<()> {
        let path = stage.redis_path.as_ref().context("there is a path to Redis")?;
        let (end, mut dice) = (Instant::now() + self.lasts, Dice::new(self.seed));
        while Instant::now() < end {
            path.cut_after(dice.below(CUT_BYTES_MAX) as usize);
            sleep(CUT_AGAIN).await;
        }
        path.heal();
        Ok(())
    }

    async fn freeze(&self, stage: &Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
        stage.nodes.iter().filter_map(|node| node.path.as_ref()).for_each(|path| path.freeze());
        self.watch_links(stage, report).await
    }

    async fn trickle(&self, stage: &Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
        let paths = || stage.nodes.iter().filter_map(|node| node.path.as_ref());
        paths().for_each(|path| path.trickle());
        self.watch_links(stage, report).await?;
        paths().for_each(|path| path.heal());
        Ok(())
    }

    /// As long as the fault lasts; notes when nodes had given up as many clients as are behind it.
    async fn watch_links(&self, stage: &Stage<'_>, report: &mut Report) -> anyhow::Result<()> {
        let (began, mut given_up) = (Instant::now(), 0.0);
        while began.elapsed() < self.lasts {
            sleep(LOOK_EVERY).await;
            let before = given_up;
            given_up = stage.metric(SILENT).await.context("nodes tell whom they closed")?;
            let all = self.aside as f64;
            if before < all && given_up >= all {
                report.figure("links_noticed_after_ms", began.elapsed().as_secs_f64() * 1e3);
            }
        }
        report.result("links_noticed", given_up as u64);
        Ok(())
    }
}

async fn ask_redis(stage: &Stage<'_>, words: &[&[u8]]) -> anyhow::Result<()> {
    let address = format!("127.0.0.1:{}", stage.redis.port());
    let mut redis = RedisConnection::connect(&address).await.context("Redis can't be reached")?;
    redis.ask(words).await.context("Redis does not do what it was asked")?;
    Ok(())
}

async fn listed_within(stage: &Stage<'_>, node: usize, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        let listed = stage.is_listed(node).await;
        if listed || Instant::now() >= deadline {
            return listed;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Each node in turn is asked to end and started again.
async fn rolling_restart(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    for node in 0..stage.nodes.len() {
        let ended = stage.nodes[node].take()?.stop().await;
        ensure!(ended, "node {node} did not end when it was asked to");
        stage.start(node).await?;
    }
    Ok(())
}

async fn restart_redis(stage: &mut Stage<'_>) {
    stage.redis.kill();
    sleep(RESTART_AFTER).await;
    stage.redis.start_again().await;
}

/// The replica is cut off, misses the last writes, and takes over.
async fn fail_over(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let replica = stage.replica.as_ref().context("there is a replica")?;
    let path = stage.redis_path.as_ref().context("there is a path to Redis")?;
    replica.path.black_hole();
    sleep(BEHIND).await;
    stage.redis.kill();
    replica.server.promote();
    path.replace_target(replica.server.port());
    path.cut();
    Ok(())
}
