//! Further processes of this program that each drive a share of a run's clients: what one process may have open, and what
//! one core can send, bounds no run.
//!
//! They are told what to do as lines of JSON on their standard input, and answer on their standard output. They end when
//! they are told to, when their input closes, or with the value that holds them.

mod plan;
mod talking;
mod words;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::future::try_join_all;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

pub(crate) use self::plan::Plan;
pub(crate) use self::words::{Load, Order, Share, Told};
use crate::processes::end_of_log;
use crate::procfs;

/// A process may take this long to read an order.
const READS_WITHIN: Duration = Duration::from_secs(5);

/// A process may take this long to end when its input is closed, then it is killed.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// The processes of a run.
#[derive(Debug)]
pub(crate) struct Workers {
    workers: Vec<Worker>,
    /// Holds their logs.
    _logs: TempDir,
}

#[derive(Debug)]
struct Worker {
    number: usize,
    pid: u32,
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Workers {
    /// Starts so many. They run on the cores of this process.
    ///
    /// # Errors
    /// When this program can't be started again.
    pub(crate) fn start(processes: usize) -> anyhow::Result<Self> {
        let logs = TempDir::new().context("no temporary folder")?;
        let program = std::env::current_exe().context("this program is not known")?;
        let start = |number| Worker::start(number, &program, logs.path());
        let workers = (0..processes).map(start).collect::<anyhow::Result<_>>()?;
        Ok(Self { workers, _logs: logs })
    }

    /// Their ids.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.workers.iter().map(|worker| worker.pid).collect()
    }

    /// What they hold together.
    ///
    /// # Errors
    /// When one has ended.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        let each = self.workers.iter();
        each.map(|worker| procfs::resident_bytes(worker.pid).with_context(|| worker.ended())).sum()
    }

    /// Gives each its order, in turn, and waits until all have carried theirs out. Tells `progress` of what is done on
    /// the way.
    ///
    /// # Errors
    /// When one fails, ends, or takes longer than `within`.
    pub(crate) async fn ask(
        &mut self,
        orders: Vec<Order>,
        within: Duration,
        progress: impl Fn(u64),
    ) -> anyhow::Result<Vec<Told>> {
        let asked = self.workers.iter_mut().zip(orders).map(|(worker, order)| worker.ask(order, &progress));
        let answers = timeout(within, try_join_all(asked)).await;
        answers.with_context(|| format!("the generator's processes took longer than {within:?}"))?
    }

    /// Ends them, in order if they have nothing to do.
    pub(crate) async fn stop(self) {
        futures_util::future::join_all(self.workers.into_iter().map(Worker::stop)).await;
    }
}

impl Worker {
    fn start(number: usize, program: &Path, logs: &Path) -> anyhow::Result<Self> {
        let log = logs.join(format!("worker_{number}.log"));
        let output = File::create(&log).with_context(|| format!("{} can't be written", log.display()))?;
        let mut command = Command::new(program);
        command.arg("worker").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(output);
        let mut child = command.kill_on_drop(true).spawn().context("a further process can't be started")?;
        let pid = child.id().context("a process that was just started has an id")?;
        let orders = child.stdin.take().context("its input is a pipe")?;
        let answers = BufReader::new(child.stdout.take().context("its output is a pipe")?).lines();
        Ok(Self { number, pid, child, orders, answers, log })
    }

    async fn ask(&mut self, order: Order, progress: impl Fn(u64)) -> anyhow::Result<Told> {
        let line = serde_json::to_string(&order)? + "\n";
        let writing = timeout(READS_WITHIN, self.orders.write_all(line.as_bytes()));
        if !matches!(writing.await, Ok(Ok(()))) {
            bail!(self.ended());
        }
        while let Some(line) = self.answers.next_line().await? {
            match serde_json::from_str(&line)
                .with_context(|| format!("process {} said {line}", self.number))?
            {
                Told::Progress { more } => progress(more),
                Told::Failed { error } => bail!("process {}: {error}", self.number),
                told => return Ok(told),
            }
        }
        bail!(self.ended())
    }

    fn ended(&self) -> String {
        format!("process {} of the generator ended:\n{}", self.number, end_of_log(&self.log))
    }

    async fn stop(mut self) {
        drop(self.orders);
        if timeout(ENDS_WITHIN, self.child.wait()).await.is_err() {
            // An error here means that it has ended by now.
            let _ = self.child.kill().await;
        }
    }
}
