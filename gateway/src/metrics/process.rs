//! What the process takes of the machine, as Linux tells it, under the names that all exporters use.

use std::fs;

use prometheus::{Counter, Gauge, Registry};

use super::make::{register, seconds};

/// How the kernel counts CPU time towards processes: `USER_HZ`, 100 on every platform of Linux.
const TICKS_PER_SECOND: f64 = 100.0;
/// Where user time stands in `/proc/self/stat`, counted from the end of the command's name; system time follows.
const USER_TIME: usize = 11;

#[derive(Debug, Clone)]
pub(super) struct ProcessMetrics {
    cpu: Counter,
    memory: Gauge,
    files: Gauge,
    files_max: Gauge,
    started: Gauge,
}

impl ProcessMetrics {
    pub(super) fn new(r: &Registry) -> Self {
        let cpu = Counter::new("process_cpu_seconds_total", "CPU time of the process, user and system.")
            .expect("metric names are constants of the right form");
        register(r, &cpu);
        Self {
            cpu,
            memory: seconds(r, "process_resident_memory_bytes", "Memory of the process that is in RAM."),
            files: seconds(r, "process_open_fds", "Open files, sockets among them."),
            files_max: seconds(r, "process_max_fds", "Open files that the process may have."),
            started: seconds(
                r,
                "process_start_time_seconds",
                "When the process started, in seconds since 1970.",
            ),
        }
    }

    /// Reads them anew; what the system does not tell stays as it is.
    pub(super) fn set(&self, started_at_ms: u64) {
        self.started.set(started_at_ms as f64 / 1e3);
        if let Some(cpu) = cpu_seconds() {
            self.cpu.inc_by((cpu - self.cpu.get()).max(0.0));
        }
        let told = [
            (&self.memory, status("VmRSS:").map(|kib| kib * 1_024.0)),
            (&self.files, open_files()),
            (&self.files_max, files_max()),
        ];
        for (gauge, value) in told {
            if let Some(value) = value {
                gauge.set(value);
            }
        }
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(USER_TIME);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

fn status(field: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// From Linux 6.2 on the size of the folder is their number; before, they have to be counted.
fn open_files() -> Option<f64> {
    const FOLDER: &str = "/proc/self/fd";
    let told = fs::metadata(FOLDER).ok()?.len();
    let files = if told > 0 { told } else { fs::read_dir(FOLDER).ok()?.count() as u64 };
    Some(files as f64)
}

fn files_max() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_all_of_them() {
        assert!(cpu_seconds().is_some_and(|seconds| seconds >= 0.0));
        assert!(status("VmRSS:").is_some_and(|kib| kib > 100.0));
        assert!(open_files().is_some_and(|files| files >= 3.0));
        assert!(files_max() >= open_files());
    }
}
