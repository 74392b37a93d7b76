//! Finds, kills and reaps what a command started and left behind.
//!
//! A subreaper is the new parent of every descendant whose own parent has died, whatever its process group
//! or session. So a walk down from here finds all of them.

use std::collections::HashMap;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process, wait, waitid,
};

/// How often those that are being killed are looked at: a kill takes effect in microseconds.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Kills all descendants and waits until none is left.
pub fn kill_all() {
    loop {
        for pid in find() {
            // Who died meanwhile needs no signal.
            let _ = kill_process(pid, Signal::KILL);
        }
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                // No child is left, and so no descendant either.
                Err(_) => return,
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Reaps children that have died, except this one.
pub fn reap_except(leader: Pid) {
    let me = getpid();
    for (pid, parent) in parents() {
        if parent == me && pid != leader {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            let _ = waitid(WaitId::Pid(pid), options);
        }
    }
}

fn find() -> Vec<Pid> {
    let parents = parents();
    let mut children: HashMap<Pid, Vec<Pid>> = HashMap::new();
    for (pid, parent) in parents {
        children.entry(parent).or_default().push(pid);
    }
    let (mut found, mut next) = (Vec::new(), vec![getpid()]);
    while let Some(parent) = next.pop() {
        let of_parent = children.remove(&parent).unwrap_or_default();
        next.extend(&of_parent);
        found.extend(of_parent);
    }
    found
}

/// Every process with its parent.
fn parents() -> Vec<(Pid, Pid)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        Some((Pid::from_raw(pid)?, Pid::from_raw(parent_in(&stat)?)?))
    })
    .collect()
}

/// Returns the parent in a line of `/proc/PID/stat`, whose second field is a name in parentheses and may
/// hold anything, parentheses too.
fn parent_in(stat: &[u8]) -> Option<i32> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(parent_in(b"12 (a) b (c) S 7 12 12"), Some(7));
        assert_eq!(parent_in(b"12 (sh) R 1 12"), Some(1));
        assert_eq!(parent_in(b"12 (sh"), None);
        assert!(parents().iter().any(|(pid, _)| *pid == getpid()));
    }
}
