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

/// User and system time of all processes of the machine but these, with that of their children that have ended: fields 14 to
/// 17 of `/proc/<pid>/stat`. Who comes and goes between two readings is in the second one, by its parent.
///
/// The sums in `/proc/stat` are not used: what the host of a virtual machine takes is in them, and no process's doing.
///
/// # Errors
/// When there is no `/proc`.
pub(crate) fn cpu_time_of_all_but(known: &[u32]) -> io::Result<Duration> {
    let pids = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // Who has ended meanwhile has no text.
    let stat = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    Ok(ticks_to_time(ticks_of_all_but(known, pids.map(|pid| (pid, stat(pid))))))
}

/// Time in which this machine, a virtual one, had work and its host did not let it run: of the first line of `/proc/stat`.
///
/// # Errors
/// When there is no such file.
pub(crate) fn stolen_time() -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks = parse_stolen(&stat).ok_or(io::ErrorKind::InvalidData)?;
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

/// Ticks of the eighth field of `cpu  user nice system idle iowait irq softirq steal ..`.
fn parse_stolen(stat: &str) -> Option<u64> {
    stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().nth(7)?.parse().ok()
}

fn ticks_of_all_but(known: &[u32], processes: impl Iterator<Item = (u32, String)>) -> u64 {
    let others = processes.filter(|(pid, _)| !known.contains(pid));
    others.filter_map(|(_, stat)| parse_times(&stat)).flatten().sum()
}

/// Clock ticks in user and system mode.
fn parse_stat(stat: &str) -> Option<u64> {
    let [user, system, ..] = parse_times(stat)?;
    Some(user + system)
}

/// Clock ticks in user and system mode, and those of children that have ended and were waited for. The process's name stands
/// in parentheses and may hold anything.
fn parse_times(stat: &str) -> Option<[u64; 4]> {
    let (_, after_name) = stat.rsplit_once(')')?;
    // Field 3, the state, comes first here.
    let mut fields = after_name.split_whitespace().skip(14 - 3);
    let mut next = || fields.next()?.parse().ok();
    Some([next()?, next()?, next()?, next()?])
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
    fn times_of_children_that_have_ended_stand_behind_one_s_own() {
        let stat = "7 (sh) S 1 10 10 0 -1 4194560 500 0 0 0 1234 56 7 8 20 0 3 0 99 1000 200";
        assert_eq!(parse_times(stat), Some([1_234, 56, 7, 8]));
        assert_eq!(parse_times("7 (sh) S 1 10 10 0 -1 4194560 500 0 0 0 1234 56 7"), None);
    }

    #[test]
    fn others_are_all_processes_but_the_known_ones() {
        let stat =
            |user| format!("7 (sh) S 1 10 10 0 -1 4194560 500 0 0 0 {user} 1 1 1 20 0 3 0 99 1000 200");
        let processes = || [(7, stat(10)), (8, stat(200)), (9, String::new())].into_iter();
        assert_eq!(ticks_of_all_but(&[], processes()), 216);
        assert_eq!(ticks_of_all_but(&[8], processes()), 13);
        assert!(cpu_time_of_all_but(&[]).unwrap() > Duration::ZERO);
    }

    #[test]
    fn stolen_time_is_the_eighth_field() {
        assert_eq!(parse_stolen("cpu  10 20 30 1000 2000 1 2 3 4 5\ncpu0 1 1 1 1 1 1 1 9 0 0\n"), Some(3));
        assert_eq!(parse_stolen("cpu0 1 2 3 4 5 6 7 8"), None);
        assert_eq!(parse_stolen("cpu  1 2 3"), None);
        stolen_time().unwrap();
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
