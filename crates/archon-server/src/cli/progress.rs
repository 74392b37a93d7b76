//! How far a long transfer has come: a bar on a terminal, a line at the end elsewhere.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shown on standard error, so that standard output holds nothing but results.
pub struct Progress {
    bar: ProgressBar,
    rows: AtomicU64,
    bytes: AtomicU64,
    is_silent: bool,
}

impl Progress {
    /// Shows nothing.
    pub fn silent() -> Self {
        Self { is_silent: true, ..Self::on(ProgressBar::hidden(), "") }
    }

    /// Shows how much there was, where nobody knows how much there will be.
    pub fn rows() -> Self {
        Self::on(ProgressBar::no_length(), "{spinner} {msg}  {bytes}  {bytes_per_sec}  {elapsed}")
    }

    /// Shows how much there was of so many bytes.
    pub fn of_bytes(bytes: u64) -> Self {
        let style = "{wide_bar} {bytes}/{total_bytes}  {msg}  {bytes_per_sec}  {eta} left";
        Self::on(ProgressBar::new(bytes), style)
    }

    fn on(bar: ProgressBar, style: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self { bar, rows: AtomicU64::new(0), bytes: AtomicU64::new(0), is_silent: false }
    }

    /// Counts what was transferred.
    pub fn add(&self, chunk: &[u8]) {
        let lines = memchr::memchr_iter(b'\n', chunk).count() as u64;
        let rows = self.rows.fetch_add(lines, Ordering::Relaxed) + lines;
        self.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        self.bar.set_message(format!("{} lines", HumanCount(rows)));
        self.bar.inc(chunk.len() as u64);
    }

    /// Says how much it was.
    pub fn finish(&self, what: &str) {
        self.bar.finish_and_clear();
        if !self.is_silent {
            let (rows, bytes) =
                (self.rows.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
            eprintln!("{what} {} lines, {}", HumanCount(rows), HumanBytes(bytes));
        }
    }
}
