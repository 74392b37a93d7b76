//! Processor time and memory of processes, from `/proc`.

use std::fs;
use std::time::Duration;

/// Returns the process and all its descendants.
pub fn tree(root: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Some(parent) = stat_field(pid, 4) {
            parents.push((pid, parent));
        }
    }
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(parent) = tree.get(next).copied() {
        next += 1;
        let children = parents.iter().filter(|(_, of)| *of == u64::from(parent));
        tree.extend(children.map(|(pid, _)| *pid));
    }
    tree
}

/// Below this the clock ticks of `stat` are too coarse.
const FINE: Duration = Duration::from_millis(200);

/// The processor time that processes had used at one moment, by two clocks.
#[derive(Debug, Clone, Copy)]
pub struct CpuTime {
    /// User and system time of all threads, also of those that have ended, in clock ticks.
    ticks: Duration,
    /// Time that the living threads have run, to the nanosecond, where the kernel tells it.
    run: Option<Duration>,
}

impl CpuTime {
    /// Reads both clocks.
    pub fn of(pids: &[u32]) -> Self {
        let ticks: u64 = pids
            .iter()
            .map(|pid| stat_field(*pid, 14).unwrap_or(0) + stat_field(*pid, 15).unwrap_or(0))
            .sum();
        let a_second = rustix::param::clock_ticks_per_second() as f64;
        let nanos: Option<u64> = pids.iter().map(|pid| threads_run_time(*pid)).sum();
        Self {
            ticks: Duration::from_secs_f64(ticks as f64 / a_second),
            run: nanos.map(Duration::from_nanos),
        }
    }

    /// Returns what was used since an earlier reading of the same processes.
    pub fn since(self, earlier: Self) -> Duration {
        let ticks = self.ticks.saturating_sub(earlier.ticks);
        match (self.run, earlier.run) {
            (Some(run), Some(earlier)) if ticks < FINE => run.saturating_sub(earlier),
            _ => ticks,
        }
    }
}

/// Returns the resident memory.
pub fn rss_bytes(pids: &[u32]) -> u64 {
    pids.iter().map(|pid| status_kib(*pid, "VmRSS:").unwrap_or(0) * 1024).sum()
}

/// Returns the highest resident memory since the start or [`reset_peak`].
pub fn peak_rss_bytes(pids: &[u32]) -> u64 {
    pids.iter().map(|pid| status_kib(*pid, "VmHWM:").unwrap_or(0) * 1024).sum()
}

/// Sets the peak back to the present; where that is not allowed it stays since the start.
pub fn reset_peak(pids: &[u32]) {
    for pid in pids {
        // "5" resets the peak; see proc_pid_clear_refs(5).
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    }
}

/// What all processors had done at one moment, in clock ticks.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    busy: u64,
    total: u64,
}

impl Machine {
    /// Reads the first line of `/proc/stat`; nothing where that is not to be had.
    pub fn now() -> Option<Self> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let ticks: Vec<u64> = stat
            .lines()
            .next()?
            .split_ascii_whitespace()
            .skip(1)
            .take(8)
            .map_while(|field| field.parse().ok())
            .collect();
        let total = ticks.iter().sum();
        // The fourth and the fifth are idle and waiting for a disk.
        let idle = ticks.get(3)? + ticks.get(4)?;
        Some(Self { busy: total - idle, total })
    }

    /// Returns the part of the processors in use since an earlier reading.
    pub fn busy_since(self, earlier: Self) -> f64 {
        let total = self.total.saturating_sub(earlier.total).max(1);
        self.busy.saturating_sub(earlier.busy) as f64 / total as f64
    }
}

/// Reads a numbered field of `stat`, counted from 1 as in proc_pid_stat(5).
fn stat_field(pid: u32, number: usize) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, field 2, may hold spaces and parentheses; it ends at the last of them.
    let (_, after_name) = stat.rsplit_once(") ")?;
    after_name.split(' ').nth(number.checked_sub(3)?)?.parse().ok()
}

fn threads_run_time(pid: u32) -> Option<u64> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let schedule = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        nanos += schedule.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(nanos)
}

fn status_kib(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_itself() {
        let pid = std::process::id();
        assert_eq!(tree(pid).first(), Some(&pid));
        // Before the peak is read: other tests make it grow.
        let now = rss_bytes(&[pid]);
        assert!(now > 100_000);
        assert!(peak_rss_bytes(&[pid]) >= now);
    }

    #[test]
    fn its_parent_has_it_in_the_tree() {
        let pid = std::process::id();
        let parent = u32::try_from(stat_field(pid, 4).unwrap()).unwrap();
        assert!(tree(parent).contains(&pid));
    }
}
