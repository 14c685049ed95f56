//! A thread for each core that has precedence over everything there, wakes up in short intervals and notes when it was late.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::thread::{ClockId, CpuSet, Timespec, clock_nanosleep_absolute, gettid, sched_setaffinity};
use tempfile::TempDir;

use super::{Span, now_ns};
use crate::procfs;
use crate::report::Report;

/// How often each core is looked at. It costs a core 2 to 4 % of its time.
const INTERVAL_NS: u64 = 500_000;

/// Who wakes up later than this was kept from the core. Without a hiccup it is some ten microseconds.
const LATE_NS: u64 = 200_000;

/// Of 1 to 99, all of which have precedence over what has no such priority.
const REAL_TIME_PRIORITY: &str = "50";

/// All threads have their priority within this time.
const STARTS_WITHIN: Duration = Duration::from_secs(10);

/// Figures of fewer messages than this share of all say little.
const UNDISTURBED_SHARE_MIN: f64 = 0.2;

/// Watches all cores of this machine until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Holds the file.
    _folder: TempDir,
    path: PathBuf,
    began_ns: u64,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Begins, if that is wanted; where it can't be done the report gets a reason and nothing is left out.
    pub(crate) fn start(wanted: bool, report: &mut Report) -> Option<Self> {
        let watch = wanted.then(Self::try_start)?;
        watch.map_err(|error| report.warning(format!("hiccups are not watched: {error:#}"))).ok()
    }

    fn try_start() -> anyhow::Result<Self> {
        let folder = TempDir::new().context("no temporary folder")?;
        let path = folder.path().join("hiccups");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = Arc::new(file.with_context(|| format!("{} can't be written", path.display()))?);
        let (stop, (started, starting)) = (Arc::new(AtomicBool::new(false)), mpsc::channel());
        let mut watch =
            Self { _folder: folder, path, began_ns: now_ns(), stop: Arc::clone(&stop), threads: Vec::new() };
        for core in 0..procfs::cores() {
            let (stop, started, file) = (Arc::clone(&stop), started.clone(), Arc::clone(&file));
            let watching = move || {
                let has_precedence = take_precedence(core);
                let watches = has_precedence.is_ok();
                // Nobody hears it where another thread could not start.
                let _ = started.send(has_precedence);
                if watches {
                    watch_core(&stop, &file);
                }
            };
            let thread = thread::Builder::new().name(format!("core {core}")).spawn(watching);
            watch.threads.push(thread.context("a thread can't start")?);
        }
        for _ in &watch.threads {
            starting.recv_timeout(STARTS_WITHIN).context("a thread did not start")??;
        }
        Ok(watch)
    }

    /// Where the hiccups are written, for [`super::Undisturbed`].
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Ends it, and notes how much of the time of one core was lost, and whether that leaves enough messages.
    pub(crate) fn note(self, report: &mut Report) {
        let lasted_ns = now_ns().saturating_sub(self.began_ns).max(1);
        let bytes = std::fs::read(&self.path).unwrap_or_default();
        let spans = bytes.chunks_exact(Span::BYTES).filter_map(Span::of_bytes).map(Span::ns);
        let (lost_ns, longest_ns) = spans.fold((0, 0), |(sum, most), ns| (sum + ns, most.max(ns)));
        report.figure("hiccups_percent_of_a_core", 100.0 * lost_ns as f64 / lasted_ns as f64);
        report.figure("hiccups_max_us", longest_ns as f64 / 1e3);
        if let Some(percent) = report.number("undisturbed_percent")
            && percent < 100.0 * UNDISTURBED_SHARE_MIN
        {
            report.warning(format!("only {percent} % of the messages met no hiccup of the machine"));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that panicked has ended too.
            let _ = thread.join();
        }
    }
}

/// Has this thread run on this core, before everything else there.
fn take_precedence(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).with_context(|| format!("core {core} is not for us"))?;
    let thread = gettid().as_raw_nonzero().to_string();
    let chrt = Command::new("chrt").args(["--fifo", "--pid", REAL_TIME_PRIORITY, &thread]).output();
    let chrt = chrt.context("chrt of util-linux can't be started")?;
    let refusal = String::from_utf8_lossy(&chrt.stderr);
    ensure!(
        chrt.status.success(),
        "real-time priorities need root or CAP_SYS_NICE ({}): leave --watch-hiccups out without it",
        refusal.trim()
    );
    Ok(())
}

/// Notes when this thread was late, until it is told to stop.
fn watch_core(stop: &AtomicBool, mut file: &File) {
    let mut due_ns = now_ns();
    while !stop.load(Ordering::Relaxed) {
        due_ns += INTERVAL_NS;
        let due =
            Timespec { tv_sec: (due_ns / 1_000_000_000) as i64, tv_nsec: (due_ns % 1_000_000_000) as _ };
        // Woken up early by a signal it is not late.
        let _ = clock_nanosleep_absolute(ClockId::Monotonic, &due);
        let woke_ns = now_ns();
        if woke_ns > due_ns + LATE_NS {
            // Whole, since it is appended at once. On a full disk the run's own report fails and says so.
            let _ = file.write_all(&Span { from_ns: due_ns, to_ns: woke_ns }.to_bytes());
            due_ns = woke_ns;
        }
    }
}
