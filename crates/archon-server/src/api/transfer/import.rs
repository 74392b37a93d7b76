//! `POST /api/mcp/sessions/import`: rows are taken in part by part, as they arrive.

use std::sync::Arc;
use std::time::Duration;

use archon_sessions::session::{SessionId, Status, Timestamp};
use archon_sessions::store::transfer::{PART_ROWS, Part, TakenIn};
use archon_sessions_api::transfer::Imported;
use axum::Json as Answer;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::StreamExt;
use futures_util::future::ready;
use memchr::memchr;

use super::line::{Counts, FORMAT, Line};
use super::{Stored, Transfers};
use crate::api::access::Operator;
use crate::api::params::NoParams;
use crate::api::problem::ApiError;
use crate::overview::Overview;

/// Bytes of a line. The largest that we write are a session's, with 16 KiB of capabilities.
const LINE_BYTES_MAX: usize = 1024 * 1024;
/// How long the client may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long we read on after an error, for nothing but that the client reads our answer.
const REST_MAX: Duration = Duration::from_secs(2);

/// Takes in what an export gave out. What is there already stays as it is, so the same file twice changes nothing, and
/// one that was not taken in to its end is completed by taking it in again.
#[utoipa::path(
    post, path = "/api/mcp/sessions/import", operation_id = "import_sessions", tag = "sessions",
    request_body(content = String, content_type = "application/jsonl"),
    responses((status = 200, body = Imported, description = "What became of it"))
)]
pub(super) async fn import(
    _: Operator,
    stored: Stored,
    State(overview): State<Arc<Overview>>,
    _: NoParams,
    body: Body,
) -> Result<Answer<Imported>, ApiError> {
    let transfers = super::stored(stored)?;
    let _turn = super::turn(&transfers.imports, "import")?;
    let mut chunks = body.into_data_stream();
    let done = match take_in(Import::new(&transfers, &overview), &mut chunks).await {
        Ok(done) => done,
        Err(error) => {
            // Who is still sending would otherwise find the connection closed, and no answer on it.
            let _ = tokio::time::timeout(REST_MAX, chunks.for_each(|_| ready(()))).await;
            return Err(error);
        }
    };
    tracing::info!(
        sessions = done.sessions,
        requests = done.requests,
        "imported {} sessions and {} requests",
        done.sessions,
        done.requests
    );
    Ok(Answer(Imported {
        success: true,
        sessions: done.sessions,
        known_sessions: done.known_sessions,
        requests: done.requests,
        known_requests: done.known_requests,
        requests_without_session: done.requests_without_session,
        prices: done.prices,
    }))
}

async fn take_in(mut import: Import<'_>, chunks: &mut BodyDataStream) -> Result<TakenIn, ApiError> {
    loop {
        let next =
            tokio::time::timeout(SILENCE_MAX, chunks.next()).await.map_err(|_| too_slow())?;
        let Some(chunk) = next else { return import.finish().await };
        import.read(&chunk.map_err(|_| incomplete())?).await?;
    }
}

/// An import as far as it has come.
struct Import<'a> {
    transfers: &'a Transfers,
    overview: &'a Overview,
    /// The beginning of a line whose rest has not come yet.
    rest: Vec<u8>,
    /// The line that was read last.
    line: u64,
    has_head: bool,
    end: Option<Counts>,
    counts: Counts,
    part: Part,
    done: TakenIn,
}

impl<'a> Import<'a> {
    fn new(transfers: &'a Transfers, overview: &'a Overview) -> Self {
        Self {
            transfers,
            overview,
            rest: Vec::new(),
            line: 0,
            has_head: false,
            end: None,
            counts: Counts::default(),
            part: Part::default(),
            done: TakenIn::default(),
        }
    }

    async fn read(&mut self, chunk: &Bytes) -> Result<(), ApiError> {
        let mut chunk: &[u8] = chunk;
        while let Some(end) = memchr(b'\n', chunk) {
            let mut line = std::mem::take(&mut self.rest);
            line.extend_from_slice(&chunk[..end]);
            chunk = &chunk[end + 1..];
            self.take(&line).await?;
        }
        self.rest.extend_from_slice(chunk);
        if self.rest.len() > LINE_BYTES_MAX {
            self.line += 1;
            return Err(self.bad(&format!("is longer than {LINE_BYTES_MAX} bytes")));
        }
        Ok(())
    }

    async fn take(&mut self, line: &[u8]) -> Result<(), ApiError> {
        self.line += 1;
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let line = serde_json::from_slice(line).map_err(|error| self.unreadable(&error))?;
        if self.end.is_some() {
            return Err(self.bad("comes after the end"));
        }
        match line {
            Line::ArchonExport(_) if self.has_head => return Err(self.bad("is a second head")),
            Line::ArchonExport(head) if head.format > FORMAT => {
                let format = head.format;
                return Err(self.bad(&format!(
                    "has format {format}, and this version reads formats up to {FORMAT}"
                )));
            }
            Line::ArchonExport(_) => self.has_head = true,
            _ if !self.has_head => {
                return Err(self.bad("is not the head of an export, {\"archon_export\": …}"));
            }
            Line::Price(price) => {
                self.counts.prices += 1;
                self.part.prices.push(price);
            }
            Line::Session(session) => {
                self.counts.sessions += 1;
                self.part.sessions.push(session.as_of(Timestamp::now()));
            }
            Line::Request(mut request) => {
                self.counts.requests += 1;
                // Where an older system has milliseconds only.
                if request.duration_us == 0 {
                    request.duration_us = i64::from(request.duration_ms) * 1000;
                }
                self.part.requests.push(*request);
            }
            Line::End(counts) => self.end = Some(counts),
        }
        if self.part.len() >= PART_ROWS {
            self.write().await?;
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), ApiError> {
        let part = std::mem::take(&mut self.part);
        let taken = self.transfers.store.take_in(&part).await.map_err(crate::api::store_failed)?;
        self.done += taken;
        // Somebody has to end them, should their clients not come: the tracker, which then knows them.
        for session in part.sessions.iter().filter(|session| session.status == Status::Active) {
            let id = SessionId::from_uuid(session.session_id);
            // One that cannot be found now is found at the next start.
            let _ = self.overview.tracker.find(id, Timestamp::now()).await;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<TakenIn, ApiError> {
        let last = std::mem::take(&mut self.rest);
        if !last.is_empty() {
            self.take(&last).await?;
        }
        let end = self.end;
        if end != Some(self.counts) {
            self.line += 1;
            return Err(self.bad(match end {
                None => "is missing: the file is torn, it has no end",
                Some(_) => "is missing: lines were lost, the end counts more of them, or fewer",
            }));
        }
        self.write().await?;
        Ok(self.done)
    }

    fn unreadable(&self, error: &serde_json::Error) -> ApiError {
        let why = error.to_string();
        // Its own count of lines begins anew with each of ours.
        let why = why.split(" at line ").next().unwrap_or_default();
        self.bad(&format!("cannot be read at column {}: {why}", error.column()))
    }

    fn bad(&self, why: &str) -> ApiError {
        let why: String = why.chars().filter(|letter| !letter.is_control()).take(300).collect();
        let TakenIn { sessions, requests, .. } = self.done;
        ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "bad_export",
            format!("line {} {why}", self.line),
            format!(
                "{sessions} sessions and {requests} requests before it were taken in; take in a good file, \
                 what is there stays as it is"
            ),
        )
    }
}

fn incomplete() -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "body_incomplete",
        "the file did not arrive to its end",
        "send it again; what is there stays as it is",
    )
}

fn too_slow() -> ApiError {
    let hint = "send it again; what is there stays as it is";
    ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        "body_too_slow",
        "nothing more arrived for 30 s",
        hint,
    )
}
