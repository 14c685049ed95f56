//! The faults, one function each. A fault is over when its function returns; whatever it broke works again then.

use std::time::Duration;

use anyhow::Context;
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::Stage;
use crate::dice::Dice;
use crate::options::{Chaos, Fault};
use crate::resp::RedisConnection;

/// A node's lease lasts so long.
const LEASE: Duration = Duration::from_secs(5);

/// A killed process is started again after so long.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// How often the connections of all subscribers to Redis are cut.
const CUT_EVERY: Duration = Duration::from_secs(2);

/// How often it is looked whether a node is listed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// So long a replica misses what its master takes, before it takes over.
const BEHIND: Duration = Duration::from_millis(500);

/// Inflicts one fault on a stage; the same seed chooses the same victim.
#[derive(Debug)]
pub(crate) struct Nemesis {
    fault: Fault,
    /// How long a fault lasts that has no end of its own.
    lasts: Duration,
    dice: Dice,
}

impl Nemesis {
    pub(crate) fn new(options: &Chaos) -> Self {
        Self { fault: options.fault, lasts: options.fault_seconds, dice: Dice::new(options.seed) }
    }

    /// Inflicts it and returns when it is over; where a node was paused, how long the others listed it.
    pub(crate) async fn strike(&mut self, stage: &mut Stage<'_>) -> anyhow::Result<Option<Duration>> {
        match self.fault {
            // Those are there already, and stay.
            Fault::None | Fault::SlowReaders => sleep(self.lasts).await,
            Fault::RollingRestart => rolling_restart(stage).await?,
            Fault::KillNode => self.kill_node(stage).await?,
            Fault::PauseNode => return self.pause_node(stage).await,
            Fault::KillPubsub => self.kill_pubsub(stage).await?,
            Fault::RedisBlackHole => self.black_hole(stage).await?,
            Fault::RedisRestartEmpty | Fault::RedisRestartData => restart_redis(stage).await,
            Fault::RedisFailover => fail_over(stage).await?,
            Fault::HalfOpen => self.freeze(stage).await,
            Fault::Trickle => self.trickle(stage).await,
        }
        Ok(None)
    }

    fn victim(&mut self, stage: &Stage<'_>) -> usize {
        self.dice.below(stage.nodes.len() as u64) as usize
    }

    async fn kill_node(&mut self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        let victim = self.victim(stage);
        stage.nodes[victim].take()?.kill().await;
        sleep(RESTART_AFTER).await;
        stage.start(victim).await
    }

    async fn pause_node(&mut self, stage: &mut Stage<'_>) -> anyhow::Result<Option<Duration>> {
        let (victim, began) = (self.victim(stage), Instant::now());
        stage.nodes[victim].process_mut()?.signal(Signal::STOP)?;
        let (end, mut unlisted) = (began + 2 * LEASE, None);
        while Instant::now() < end {
            sleep(LOOK_EVERY).await;
            if unlisted.is_none() && !stage.is_listed(victim).await {
                unlisted = Some(began.elapsed());
            }
        }
        stage.nodes[victim].process_mut()?.signal(Signal::CONT)?;
        Ok(unlisted)
    }

    async fn kill_pubsub(&self, stage: &Stage<'_>) -> anyhow::Result<()> {
        let address = format!("127.0.0.1:{}", stage.redis.port());
        let mut redis = RedisConnection::connect(&address).await.context("Redis can't be reached")?;
        let end = Instant::now() + self.lasts;
        while Instant::now() < end {
            redis.ask(&[b"CLIENT", b"KILL", b"TYPE", b"pubsub"]).await.context("Redis kills no clients")?;
            sleep(CUT_EVERY).await;
        }
        Ok(())
    }

    async fn black_hole(&self, stage: &Stage<'_>) -> anyhow::Result<()> {
        let path = stage.redis_path.as_ref().context("there is a path to Redis")?;
        path.black_hole();
        sleep(self.lasts).await;
        path.heal();
        Ok(())
    }

    async fn freeze(&self, stage: &Stage<'_>) {
        stage.nodes.iter().filter_map(|node| node.path.as_ref()).for_each(|path| path.freeze());
        sleep(self.lasts).await;
    }

    async fn trickle(&self, stage: &Stage<'_>) {
        let paths = || stage.nodes.iter().filter_map(|node| node.path.as_ref());
        paths().for_each(|path| path.trickle());
        sleep(self.lasts).await;
        paths().for_each(|path| path.heal());
    }
}

/// Each node in turn is asked to end and started again.
async fn rolling_restart(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    for node in 0..stage.nodes.len() {
        stage.nodes[node].take()?.stop().await;
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
