//! `archon export`: sessions and requests of a running gateway as JSON Lines.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use reqwest::Method;

use super::api::GatewayArgs;
use super::progress::Progress;
use super::{print, runtime};

/// Bytes at the end of an export that are looked at; its last line has less than two hundred.
const TAIL_BYTES: usize = 512;

/// What is printed, or written to a file, can be taken in elsewhere with `archon import`.
#[derive(Debug, Args)]
pub struct Export {
    /// Output file [default: standard output]; it appears once it is complete.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only sessions active since this day or time, and their requests since then (2026-01-11, or RFC 3339)
    #[arg(long, value_name = "DAY|TIME")]
    since: Option<String>,
    /// Only this session
    #[arg(long, value_name = "ID")]
    session: Option<uuid::Uuid>,
    #[command(flatten)]
    api: GatewayArgs,
}

impl Export {
    /// Writes the export.
    ///
    /// # Errors
    /// If it does not come to its end.
    pub fn run(self) -> anyhow::Result<()> {
        let Some(path) = self.file.clone() else {
            let output = io::stdout();
            // Lines on the terminal are progress enough.
            let progress = if output.is_terminal() { Progress::silent() } else { Progress::rows() };
            return runtime::block_on(self.write(&mut BufWriter::new(output), progress));
        };
        let part = with_suffix(&path, ".part");
        let written = runtime::block_on(self.write_file(&part));
        if written.is_err() {
            // A part of an export is none. If it cannot be removed, its name says what it is.
            let _ = std::fs::remove_file(&part);
            return written;
        }
        std::fs::rename(&part, &path).with_context(|| format!("could not write {}", path.display()))
    }

    async fn write_file(self, part: &Path) -> anyhow::Result<()> {
        let file =
            File::create(part).with_context(|| format!("could not write {}", part.display()))?;
        let mut output = BufWriter::new(file);
        self.write(&mut output, Progress::rows()).await?;
        let file = output.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all().with_context(|| format!("could not write {}", part.display()))
    }

    async fn write(self, output: &mut impl Write, progress: Progress) -> anyhow::Result<()> {
        let client = self.api.client()?;
        let mut parameters = Vec::new();
        parameters.extend(self.since.map(|since| ("since", since)));
        parameters.extend(self.session.map(|id| ("session_id", id.to_string())));
        let request = client.request(Method::GET, "sessions/export", &parameters);
        let mut answer = client.send(request).await?;
        let mut tail = Vec::new();
        loop {
            let chunk = answer.chunk().await.context(
                "the export broke off; the gateway's log says why, if it was the gateway",
            )?;
            let Some(chunk) = chunk else { break };
            if let Err(error) = output.write_all(&chunk) {
                return print::written(Err(error));
            }
            progress.add(&chunk);
            let kept = tail.len().saturating_sub(TAIL_BYTES);
            tail.drain(..kept);
            tail.extend_from_slice(&chunk[chunk.len().saturating_sub(TAIL_BYTES)..]);
        }
        ensure!(ends_well(&tail), "the export has no end; the gateway's log says why");
        progress.finish("exported");
        print::written(output.flush())
    }
}

/// Returns true if the last line is an export's end.
fn ends_well(tail: &[u8]) -> bool {
    let Some(text) = tail.strip_suffix(b"\n") else { return false };
    text.rsplit(|byte| *byte == b'\n').next().is_some_and(|line| line.starts_with(b"{\"end\":"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
