//! What a child says on standard error: into our log, a bounded part of it, as one line each.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

/// A line longer than this is cut.
const LINE_BYTES_MAX: usize = 4 * 1024;
/// A child that says more is counted only: our log is not its own.
const LINES_A_SECOND_MAX: u32 = 50;
/// Of its last line, so much goes into an error for a client.
const LAST_CHARS_MAX: usize = 200;

/// Reads a child's standard error to its end.
pub struct Stderr {
    upstream: std::sync::Arc<str>,
    /// The last line that says something.
    last: Mutex<String>,
}

impl Stderr {
    /// Returns a reader for a child of this upstream.
    pub fn new(upstream: std::sync::Arc<str>) -> Self {
        Self { upstream, last: Mutex::default() }
    }

    /// Returns the last line that it said, cut.
    pub fn last(&self) -> String {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes on from what another reader has heard last.
    pub fn resume(&self, last: String) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    /// Logs what comes, until `until` is cancelled: then it returns the pipe. `label` says of whom, as far as that is
    /// known by then.
    pub async fn relay(
        &self,
        mut pipe: pipe::Receiver,
        until: CancellationToken,
        label: impl Fn() -> (i32, Option<String>),
    ) -> Option<pipe::Receiver> {
        let (mut line, mut is_cut) = (Vec::new(), false);
        let mut rate = Rate::new(Instant::now());
        let mut chunk = [0; 4 * 1024];
        // What was not read stays in the pipe.
        while let Some(read) = until.run_until_cancelled(pipe.read(&mut chunk)).await {
            let Ok(read @ 1..) = read else { break };
            for byte in &chunk[..read] {
                match byte {
                    b'\n' => {
                        self.log(&line, is_cut, &mut rate, &label);
                        line.clear();
                        is_cut = false;
                    }
                    _ if line.len() < LINE_BYTES_MAX => line.push(*byte),
                    _ => is_cut = true,
                }
            }
        }
        self.log(&line, is_cut, &mut rate, &label);
        if rate.dropped > 0 {
            self.tell_dropped(rate.dropped, &label);
        }
        until.is_cancelled().then_some(pipe)
    }

    fn log(
        &self,
        line: &[u8],
        is_cut: bool,
        rate: &mut Rate,
        label: &impl Fn() -> (i32, Option<String>),
    ) {
        let text = escaped(line.trim_ascii_end());
        if text.is_empty() {
            return;
        }
        if says_why(&text) {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
                text.chars().take(LAST_CHARS_MAX).collect();
        }
        match rate.take(Instant::now()) {
            Verdict::Drop => return,
            Verdict::Log { dropped: 0 } => {}
            Verdict::Log { dropped } => self.tell_dropped(dropped, label),
        }
        let (upstream, (pid, session)) = (&*self.upstream, label());
        let more = if is_cut { "…" } else { "" };
        tracing::info!(upstream, pid, session_id = session, "{upstream}[{pid}] {text}{more}");
    }

    fn tell_dropped(&self, dropped: u64, label: &impl Fn() -> (i32, Option<String>)) {
        let (upstream, (pid, session)) = (&*self.upstream, label());
        tracing::warn!(
            upstream,
            pid,
            session_id = session,
            "{upstream}[{pid}] said too much on standard error: {dropped} lines were dropped"
        );
    }
}

/// Returns whether a line may say why its program ended. Node writes its version last, after the places in its
/// source that led there.
fn says_why(line: &str) -> bool {
    let line = line.trim();
    !(line.starts_with("Node.js v") || line.starts_with("at ") || matches!(line, "}" | "]" | "^"))
}

/// Returns text in which nothing can pass for another line or colour of ours.
fn escaped(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    for c in String::from_utf8_lossy(line).chars() {
        if c.is_control() && c != '\t' {
            text.extend(c.escape_unicode());
        } else {
            text.push(c);
        }
    }
    text
}

/// Counts lines within a second.
pub struct Rate {
    since: Instant,
    lines: u32,
    dropped: u64,
}

/// Whether a line is logged.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Log {
        /// The lines before it that were not.
        dropped: u64,
    },
    /// It is not.
    Drop,
}

impl Rate {
    /// Returns one that has counted nothing.
    pub fn new(now: Instant) -> Self {
        Self { since: now, lines: 0, dropped: 0 }
    }

    /// Counts a line.
    pub fn take(&mut self, now: Instant) -> Verdict {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            (self.since, self.lines) = (now, 0);
        }
        if self.lines >= LINES_A_SECOND_MAX {
            self.dropped += 1;
            return Verdict::Drop;
        }
        self.lines += 1;
        Verdict::Log { dropped: std::mem::take(&mut self.dropped) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_so_many_lines() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        let verdicts: Vec<_> = (0..60).map(|_| rate.take(start)).collect();
        assert_eq!(verdicts.iter().filter(|v| **v == Verdict::Drop).count(), 10);
        let later = start + Duration::from_secs(1);
        assert_eq!(rate.take(later), Verdict::Log { dropped: 10 });
        assert_eq!(rate.take(later), Verdict::Log { dropped: 0 });
    }

    #[test]
    fn the_last_line_is_one_that_says_why() {
        let crash = ["Error: no configuration", "    at main (x.js:1:1)", "}", "Node.js v24.1.0"];
        assert_eq!(crash.iter().rfind(|line| says_why(line)), Some(&crash[0]));
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(escaped(b"a\x1b[31mb\r\tc\xff"), "a\\u{1b}[31mb\\u{d}\tc\u{fffd}");
    }
}
