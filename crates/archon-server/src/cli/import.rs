//! `archon import`: takes an export into a running gateway.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use archon_sessions_api::transfer::Imported;
use clap::Args;
use futures_util::stream;
use reqwest::{Body, Method};

use super::api::GatewayArgs;
use super::progress::Progress;
use super::{print, runtime};

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// What is there already stays as it is: the same file twice changes nothing, and one that was not taken in to its end
/// is completed by taking it in again.
#[derive(Debug, Args)]
pub struct Import {
    /// File written by `archon export`; - reads standard input
    file: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: GatewayArgs,
}

impl Import {
    /// Sends the file.
    ///
    /// # Errors
    /// If it cannot be read, or is not taken in.
    pub fn run(self) -> anyhow::Result<()> {
        runtime::block_on(self.send())
    }

    async fn send(self) -> anyhow::Result<()> {
        let name = self.file.display().to_string();
        let (input, progress): (Box<dyn Read + Send>, _) = if name == "-" {
            (Box::new(io::stdin()), Progress::rows())
        } else {
            let file = File::open(&self.file).with_context(|| format!("could not read {name}"))?;
            let bytes = file.metadata().map_or(0, |about| about.len());
            (Box::new(file), Progress::of_bytes(bytes))
        };
        let progress = Arc::new(progress);
        let client = self.api.client()?;
        let request = client
            .request(Method::POST, "sessions/import", &[])
            .header(reqwest::header::CONTENT_TYPE, "application/jsonl")
            .body(body(input, progress.clone()));
        let done: Imported =
            client.answer(request).await.with_context(|| format!("could not import {name}"))?;
        progress.finish("sent");
        if self.json {
            return print::lines(&serde_json::to_string_pretty(&done)?);
        }
        print::lines(&told(&done))
    }
}

fn told(done: &Imported) -> String {
    let Imported { sessions, known_sessions, requests, known_requests, prices, .. } = done;
    let mut text = format!(
        "imported {sessions} sessions ({known_sessions} were there), {requests} requests ({known_requests} were \
         there), {prices} new or changed prices"
    );
    if done.requests_without_session > 0 {
        text.push_str(&format!(
            "; {} requests were left out, their sessions are not in the file",
            done.requests_without_session
        ));
    }
    text
}

/// Returns what is read, as a request's body. Reading waits on a thread of its own.
fn body(input: Box<dyn Read + Send>, progress: Arc<Progress>) -> Body {
    let chunks = stream::try_unfold((input, progress), |(mut input, progress)| async move {
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = loop {
                match input.read(&mut chunk) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
            chunk.truncate(read);
            io::Result::Ok((chunk, input))
        });
        let (chunk, input) = read.await.map_err(io::Error::other)??;
        progress.add(&chunk);
        io::Result::Ok((!chunk.is_empty()).then_some((chunk, (input, progress))))
    });
    Body::wrap_stream(chunks)
}
