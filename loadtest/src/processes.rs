//! The servers that the tester starts: pinned to a core, found on a free port, ended by id.
//!
//! A process dies with the value that holds it, so that an error or Ctrl-C leaves nothing behind; and with the tester, by the
//! kernel's hand, where that is killed.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::options::Servers;
use crate::procfs;

/// A process may take this long to answer after its start.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// A process may take this long to end after SIGTERM, then it is killed.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// Lines of a process's log that an error shows.
const LOG_LINES: usize = 12;

/// Files that the tester needs besides its connections.
pub(crate) const OTHER_FILES: u64 = 64;

/// A process that belongs to this run.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    child: Child,
    pid: u32,
    log: std::path::PathBuf,
}

/// Where and how processes are started.
#[derive(Debug)]
pub(crate) struct Launcher<'a> {
    /// The core to pin them to.
    pub(crate) cpu: Option<usize>,
    /// A folder for their logs.
    pub(crate) logs: &'a Path,
}

impl Launcher<'_> {
    /// Starts `program`, whose output goes to `<name>.log`.
    ///
    /// # Errors
    /// When its path leads nowhere, or nothing can be started. A name without a path is looked up by who starts it: that it is
    /// unknown stands in its log.
    pub(crate) fn start(&self, name: &str, program: &Path, args: &[String]) -> anyhow::Result<Process> {
        let is_path = program.components().count() > 1;
        ensure!(
            !is_path || program.exists(),
            "there is no {}: build it with `cargo build --release`, or name another with --binary",
            program.display()
        );
        let log = self.logs.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("{} can't be written", log.display()))?;
        // It ends also where this process is killed, which can't end it then.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        if let Some(cpu) = self.cpu {
            command.args(["taskset", "-c", &cpu.to_string()]);
        }
        command.arg(program).args(args).stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(output.try_clone().context("a file handle can't be doubled")?).stderr(output);
        let child = command.spawn().context("setpriv, of util-linux, can't be started")?;
        let pid = child.id().context("a process that was just started has an id")?;
        Ok(Process { name: name.to_owned(), child, pid, log })
    }
}

impl Process {
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until `is_up` says so.
    ///
    /// # Errors
    /// When it ends before, or takes too long; with the end of its log.
    pub(crate) async fn wait_until(&mut self, is_up: impl AsyncFn() -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + STARTS_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait().context("our own child can be asked")? {
                bail!("{} ended at once ({status}):\n{}", self.name, self.end_of_log());
            }
            if is_up().await {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("{} is not up after {STARTS_WITHIN:?}:\n{}", self.name, self.end_of_log());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        // Only while it runs: an id that was waited for may belong to another.
        let ended = self.child.try_wait().context("our own child can be asked")?;
        ensure!(ended.is_none(), "{} has ended:\n{}", self.name, self.end_of_log());
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("a process has an id")?;
        kill_process(pid, signal).with_context(|| format!("{} takes no signal", self.name))
    }

    /// Ends it as a crash would.
    pub(crate) async fn kill(mut self) {
        // An error here means that it has ended already.
        let _ = self.child.kill().await;
    }

    /// Asks it to end, waits for that, and kills it if it does not; whether it ended by itself.
    pub(crate) async fn stop(mut self) -> bool {
        // One that has ended already needs no signal.
        let _ = self.signal(Signal::TERM);
        let ended = timeout(ENDS_WITHIN, self.child.wait()).await.is_ok();
        if !ended {
            eprintln!("signalbox-load: {} did not end within {ENDS_WITHIN:?} and is killed", self.name);
            let _ = self.child.kill().await;
        }
        ended
    }

    fn end_of_log(&self) -> String {
        end_of_log(&self.log)
    }
}

/// The last lines of a process's log.
pub(crate) fn end_of_log(log: &Path) -> String {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

/// A port on 127.0.0.1 that nothing listens on.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let probe = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(probe.local_addr().context("a bound socket has an address")?.port())
}

/// Whether what is started and the tester each get a core of their own.
pub(crate) fn pins(servers: &Servers) -> bool {
    // Those of the machine, not those this process may use: it is pinned itself by the time it starts servers.
    !servers.no_pin && servers.server_cpu.max(servers.load_cpu) < procfs::cores()
}

/// Puts the tester on its core. Before any other thread exists.
pub(crate) fn pin_this_process(servers: &Servers) -> anyhow::Result<()> {
    if !pins(servers) {
        return Ok(());
    }
    let mut cores = CpuSet::new();
    cores.set(servers.load_cpu);
    sched_setaffinity(None, &cores).with_context(|| format!("no core {}", servers.load_cpu))
}

/// How many files this process, and one that it starts, may have open, if there is a limit.
pub(crate) fn open_files_max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Checks that this process may open so many connections.
///
/// # Errors
/// When its limit of open files is below.
pub(crate) fn check_open_files(connections: usize) -> anyhow::Result<()> {
    let needed = connections as u64 + OTHER_FILES;
    match open_files_max() {
        Some(limit) if limit < needed => bail!(
            "{connections} connections need {needed} open files, and this process may have {limit}: \
             raise `ulimit -n` or open fewer"
        ),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn sleeper(logs: &Path, script: &str) -> Process {
        let launcher = Launcher { cpu: None, logs };
        let args = ["-c".to_owned(), script.to_owned()];
        launcher.start("sleeper", &PathBuf::from("/bin/sh"), &args).expect("there is a shell")
    }

    fn runs(pid: u32) -> bool {
        procfs::resident_bytes(pid).is_ok()
    }

    async fn gone(pid: u32) -> bool {
        for _ in 0..200 {
            if !runs(pid) {
                return true;
            }
            sleep(Duration::from_millis(10)).await;
        }
        false
    }

    #[tokio::test]
    async fn a_process_ends_when_stopped_or_dropped() {
        let logs = tempfile::tempdir().unwrap();
        let stopped = sleeper(logs.path(), "exec sleep 60");
        let pid = stopped.pid();
        assert!(runs(pid));
        assert!(stopped.stop().await);
        assert!(!runs(pid));

        let dropped = sleeper(logs.path(), "trap '' TERM; exec sleep 60");
        let pid = dropped.pid();
        drop(dropped);
        assert!(gone(pid).await);
    }

    #[test]
    fn who_is_not_there_is_named_with_what_to_do() {
        let logs = tempfile::tempdir().unwrap();
        let launcher = Launcher { cpu: None, logs: logs.path() };
        let error = launcher.start("node_1", &logs.path().join("signalbox"), &[]).unwrap_err().to_string();
        assert!(error.contains("/signalbox: build it with"), "{error}");
        assert_eq!(logs.path().read_dir().unwrap().count(), 0, "it has no log");
    }

    /// A process's kernel-side parent is the thread that started it: that one ends here, and leaves the value behind as
    /// who is killed would.
    #[tokio::test]
    async fn a_process_ends_with_who_started_it() {
        let logs = tempfile::tempdir().unwrap();
        let folder = logs.path().to_owned();
        let starting = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let pid = runtime.block_on(async {
                let mut left = sleeper(&folder, "echo up; exec sleep 60");
                let is_up = async || end_of_log(&folder.join("sleeper.log")) == "up";
                left.wait_until(is_up).await.unwrap();
                let pid = left.pid();
                std::mem::forget(left);
                pid
            });
            assert!(runs(pid));
            pid
        };
        let pid = std::thread::spawn(starting).join().unwrap();
        assert!(gone(pid).await);
    }

    #[tokio::test]
    async fn what_a_pinned_tester_starts_is_on_another_core() {
        let servers = servers();
        if procfs::cores() < 2 {
            assert!(!pins(&servers), "there is no second core");
            return;
        }
        // Of this thread alone; the runtime of this test has no other.
        pin_this_process(&servers).unwrap();
        assert!(pins(&servers), "the tester counted its own core only");
        let logs = tempfile::tempdir().unwrap();
        let cpu = pins(&servers).then_some(servers.server_cpu);
        let program = PathBuf::from("/bin/sleep");
        let pinned = Launcher { cpu, logs: logs.path() }.start("pinned", &program, &["60".to_owned()]);
        let mut pinned = pinned.unwrap();
        let (pid, core) = (pinned.pid(), servers.server_cpu.to_string());
        pinned.wait_until(async || cores_of(pid) == core).await.unwrap();
    }

    fn servers() -> Servers {
        Servers {
            urls: Vec::new(),
            binary: PathBuf::new(),
            nodes: None,
            server_args: Vec::new(),
            redis: None,
            server_cpu: 0,
            load_cpu: 1,
            no_pin: false,
        }
    }

    fn cores_of(pid: u32) -> String {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        list.unwrap_or_default().trim().to_owned()
    }

    #[tokio::test]
    async fn a_process_that_does_not_come_up_shows_its_log() {
        let logs = tempfile::tempdir().unwrap();
        let mut failing = sleeper(logs.path(), "echo first; echo 'bad port' >&2; exit 3");
        let error = failing.wait_until(async || false).await.unwrap_err().to_string();
        assert!(error.contains("sleeper ended at once") && error.ends_with("first\nbad port"), "{error}");
    }

    #[test]
    fn more_connections_than_files_are_refused() {
        assert!(check_open_files(10).is_ok());
        assert!(check_open_files(usize::MAX / 2).is_err());
    }
}
