//! One of the generator's further processes: does what it is told on its standard input, in one thread, until that closes.

mod exchange;
mod messaging;

use anyhow::{Context, bail};
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Stdout};
use tokio::task::LocalSet;

use self::exchange::Pairs;
use crate::crowd::Crowd;
use crate::latency::Latencies;
use crate::workers::{Order, Share, Told};

/// So many connections are worth a line.
const TOLD_OF_EACH: u64 = 50;

/// Works until the standard input closes.
///
/// # Errors
/// When what comes is no order.
pub(crate) fn run() -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("the run's end can't be noticed")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime can't start")?;
    LocalSet::new().block_on(&runtime, work())
}

async fn work() -> anyhow::Result<()> {
    let mut worker = Worker { told: tokio::io::stdout(), crowd: None, pairs: None };
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = orders.next_line().await? {
        let order = serde_json::from_str(&line).with_context(|| format!("{line} is no order"))?;
        let told = worker.carry_out(order).await;
        let told = told.unwrap_or_else(|error| Told::Failed { error: format!("{error:#}") });
        tell(&mut worker.told, &told).await?;
    }
    Ok(())
}

/// What this process drives.
#[derive(Debug)]
struct Worker {
    told: Stdout,
    crowd: Option<Crowd>,
    pairs: Option<Pairs>,
}

impl Worker {
    async fn carry_out(&mut self, order: Order) -> anyhow::Result<Told> {
        match order {
            Order::Connect(share) => {
                let (crowd, handshakes) = connect(share, &mut self.told).await?;
                self.crowd = Some(crowd);
                Ok(Told::Connected { handshakes })
            }
            Order::Message(load) => {
                let crowd = self.crowd.as_ref().context("nobody is connected")?;
                Ok(Told::Messaged(Box::new(messaging::message(crowd, load).await?)))
            }
            Order::Leave => {
                let Some(crowd) = self.crowd.take() else { bail!("nobody is connected") };
                Ok(Told::Left { lost: crowd.leave().await? })
            }
            Order::Pair { share, window } => {
                self.pairs = Some(Pairs::connect(&share, window).await?);
                Ok(Told::Paired)
            }
            Order::Exchange(load) => {
                let pairs = self.pairs.take().context("there are no pairs")?;
                Ok(Told::Messaged(Box::new(pairs.exchange(load).await?)))
            }
        }
    }
}

/// Connects a crowd, and tells of it on the way.
async fn connect(share: Share, stdout: &mut Stdout) -> anyhow::Result<(Crowd, Latencies)> {
    let (mut handshakes, mut more, mut failed) = (Latencies::default(), 0, None);
    let crowd = Crowd::connect(share, async |took| {
        handshakes.record(took);
        more += 1;
        if more == TOLD_OF_EACH {
            failed = tell(stdout, &Told::Progress { more }).await.err().or(failed.take());
            more = 0;
        }
    })
    .await?;
    failed.map_or(Ok((crowd, handshakes)), Err)
}

async fn tell(stdout: &mut Stdout, told: &Told) -> anyhow::Result<()> {
    let line = serde_json::to_string(told)? + "\n";
    stdout.write_all(line.as_bytes()).await?;
    Ok(stdout.flush().await?)
}
