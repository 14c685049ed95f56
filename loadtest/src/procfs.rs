//! What the kernel knows about processes and the machine, read from /proc.

use std::fs;
use std::io;
use std::time::Duration;

/// User and system time that a process has used: fields 14 and 15 of `/proc/<pid>/stat`.
///
/// # Errors
/// When there is no such process.
pub(crate) fn cpu_time(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = parse_stat(&stat).ok_or(io::ErrorKind::InvalidData)?;
    Ok(ticks_to_time(ticks))
}

/// Time that all cores together have spent on anything but waiting: the first line of `/proc/stat`.
///
/// # Errors
/// When there is no such file.
pub(crate) fn machine_cpu_time() -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks = parse_machine_stat(&stat).ok_or(io::ErrorKind::InvalidData)?;
    Ok(ticks_to_time(ticks))
}

/// Resident bytes of a process: `VmRSS` of `/proc/<pid>/status`.
///
/// # Errors
/// When there is no such process.
pub(crate) fn resident_bytes(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    parse_bytes(&status, "VmRSS:").ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The most that a process ever had resident: `VmHWM` of `/proc/<pid>/status`.
///
/// # Errors
/// When there is no such process.
pub(crate) fn peak_resident_bytes(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    parse_bytes(&status, "VmHWM:").ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Bytes that the kernel holds in small objects for the whole machine: `Slab` of `/proc/meminfo`.
///
/// That is where all of an idle TCP connection lives: sockets, their inodes and names, open files, what epoll knows of
/// them. Over loopback both ends are in it. `mem` in `/proc/net/sockstat` is not added: it counts what sockets may use,
/// not pages of their own. Whoever else opens files or sockets meanwhile is counted as well.
///
/// # Errors
/// When there is no such file.
pub(crate) fn kernel_bytes() -> io::Result<u64> {
    let memory = fs::read_to_string("/proc/meminfo")?;
    parse_bytes(&memory, "Slab:").ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// How many files a process has open, sockets included.
///
/// # Errors
/// When there is no such process.
pub(crate) fn open_files(pid: u32) -> io::Result<u64> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64)
}

/// The machine in one line: CPU model, cores, kernel.
pub(crate) fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = count_cores(&cpu);
    let model = parse_cpu_model(&cpu).unwrap_or("unknown CPU");
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

fn ticks_to_time(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Ticks of `cpu  user nice system idle iowait irq softirq steal ..` without idle and iowait. Time stolen by
/// other machines counts: it disturbs as well.
fn parse_machine_stat(stat: &str) -> Option<u64> {
    let mut fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let mut next = || fields.next()?.parse::<u64>().ok();
    let (user, nice, system) = (next()?, next()?, next()?);
    let (_idle, _iowait) = (next()?, next()?);
    Some(user + nice + system + next()? + next()? + next()?)
}

/// Clock ticks in user and system mode. The process's name stands in parentheses and may hold anything.
fn parse_stat(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    // Field 3, the state, comes first here.
    let mut fields = after_name.split_whitespace().skip(14 - 3);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn parse_bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Cores of the machine, whether this process may use them or not; 0: they can't be told.
pub(crate) fn cores() -> usize {
    count_cores(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
}

fn count_cores(cpuinfo: &str) -> usize {
    cpuinfo.lines().filter(|line| line.starts_with("processor")).count()
}

fn parse_cpu_model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_ticks_are_found_behind_any_name() {
        let rest = "S 1 10 10 0 -1 4194560 500 0 0 0 1234 56 7 8 20 0 3 0 99 1000 200";
        for name in ["redis-server", "a b", "x) R 1 2 3", "((", ""] {
            assert_eq!(parse_stat(&format!("4242 ({name}) {rest}")), Some(1_290), "{name}");
        }
        for broken in ["", "1 (x", "1 (x) S 1 2", "1 (x) S 1 10 10 0 -1 4194560 500 0 0 0 a b"] {
            assert_eq!(parse_stat(broken), None, "{broken}");
        }
    }

    #[test]
    fn the_machine_s_time_leaves_waiting_out() {
        let stat = "cpu  10 20 30 1000 2000 1 2 3 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(parse_machine_stat(stat), Some(66));
        assert_eq!(parse_machine_stat("cpu0 1 2 3 4 5 6 7 8"), None);
        assert_eq!(parse_machine_stat("cpu  1 2 3"), None);
        assert!(machine_cpu_time().unwrap() > Duration::ZERO);
    }

    #[test]
    fn resident_memory_is_told_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    900 kB\nVmRSS:\t    812 kB\nThreads:\t1\n";
        assert_eq!(parse_bytes(status, "VmRSS:"), Some(812 * 1024));
        assert_eq!(parse_bytes("Name:\tx\nVmHWM:\t1 kB\n", "VmRSS:"), None);
        assert_eq!(parse_bytes("MemFree: 9 kB\nSlab:   77 kB\n", "Slab:"), Some(77 * 1024));
        assert!(kernel_bytes().unwrap() > 1_000_000);
    }

    #[test]
    fn the_cpu_has_a_model() {
        let cpuinfo =
            "processor\t: 0\nmodel name\t: Some CPU @ 2.50GHz\nprocessor\t: 1\nmodel name\t: Other\n";
        assert_eq!(parse_cpu_model(cpuinfo), Some("Some CPU @ 2.50GHz"));
        assert_eq!(parse_cpu_model(""), None);
    }

    #[test]
    fn this_process_can_be_measured() {
        let before = cpu_time(std::process::id()).unwrap();
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
        let mut spun = 0_u64;
        while cpu_time(std::process::id()).unwrap() < before + Duration::from_millis(30) {
            spun += 1;
        }
        assert!(spun > 0);
        assert!(cpu_time(u32::MAX).is_err());
        assert!(machine().contains("Linux"));
    }
}
