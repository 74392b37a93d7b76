//! `GET /api/mcp/sessions/export`: everything, in pages, as fast as the client reads.

use std::io;
use std::sync::Arc;

use archon_sessions::session::{SessionId, Timestamp};
use archon_sessions::store::StoreError;
use archon_sessions::store::transfer::{Selection, Transfer};
use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;

use super::Stored;
use super::line::{Counts, FORMAT, Head, Line};
use crate::api::params::{Date, Query};
use crate::api::problem::ApiError;

/// What the file is called where a browser saves it.
const FILE: &str = "attachment; filename=\"archon-sessions.jsonl\"";

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Exported {
    /// Only sessions that were active since then, and their requests since then: a day or a moment.
    #[param(value_type = Option<String>, format = Date)]
    since: Option<Date>,
    /// Only this session.
    session_id: Option<uuid::Uuid>,
}

/// Gives out sessions, requests and prices as JSON Lines: a head, the rows in the order of their ids, and an end that
/// counts them. An export that fails has no end.
#[utoipa::path(
    get, path = "/api/mcp/sessions/export", operation_id = "export_sessions", tag = "sessions", params(Exported),
    responses((status = 200, body = String, content_type = "application/jsonl", description = "The lines"))
)]
pub(super) async fn export(
    stored: Stored,
    Query(asked): Query<Exported>,
) -> Result<Response, ApiError> {
    let transfers = super::stored(stored)?;
    let turn = super::turn(&transfers.exports, "export")?;
    let store = transfers.store.clone();
    let of = Selection {
        since: asked.since.map(Date::start),
        session: asked.session_id.map(SessionId::from_uuid),
    };
    // Here, so that a store that is away is answered as one.
    let until = store.last_request().await.map_err(crate::api::store_failed)?;
    let export =
        Export { store, of, until, next: Next::Head, counts: Counts::default(), _turn: turn };
    let pages = stream::try_unfold(export, |mut export| async move {
        match export.page().await {
            Ok(page) => Ok(page.map(|page| (page, export))),
            Err(error) => {
                // The client sees its connection end early, and the file has no end.
                tracing::warn!("an export failed: {error}");
                Err(error)
            }
        }
    });
    let headers = [(CONTENT_TYPE, "application/jsonl"), (CONTENT_DISPOSITION, FILE)];
    Ok((headers, Body::from_stream(pages)).into_response())
}

/// An export as far as it has come.
struct Export {
    store: Arc<dyn Transfer>,
    of: Selection,
    /// Requests after that came while we were reading; their sessions may have been missed.
    until: i64,
    next: Next,
    counts: Counts,
    _turn: OwnedSemaphorePermit,
}

/// What comes next.
enum Next {
    Head,
    Sessions(Option<SessionId>),
    Requests(i64),
    Nothing,
}

impl Export {
    /// Returns the next lines; `None` after the last.
    async fn page(&mut self) -> io::Result<Option<Bytes>> {
        let mut text = Vec::new();
        match self.next {
            Next::Head => self.head(&mut text).await?,
            Next::Sessions(after) => self.sessions(after, &mut text).await?,
            Next::Requests(after) => self.requests(after, &mut text).await?,
            Next::Nothing => return Ok(None),
        }
        Ok(Some(text.into()))
    }

    async fn head(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let exported_at = Timestamp::now().to_string();
        Line::ArchonExport(Head { format: FORMAT, version, exported_at }).write_to(text)?;
        for price in self.store.prices().await.map_err(failed)? {
            self.counts.prices += 1;
            Line::Price(price).write_to(text)?;
        }
        self.next = Next::Sessions(None);
        Ok(())
    }

    async fn sessions(&mut self, after: Option<SessionId>, text: &mut Vec<u8>) -> io::Result<()> {
        let page = self.store.sessions(&self.of, after).await.map_err(failed)?;
        let last = page.last().map(|session| SessionId::from_uuid(session.session_id));
        for session in page {
            self.counts.sessions += 1;
            Line::Session(Box::new(session)).write_to(text)?;
        }
        // A page that is not full may still not be the last; an empty one is.
        self.next = last.map_or(Next::Requests(i64::MIN), |last| Next::Sessions(Some(last)));
        Ok(())
    }

    async fn requests(&mut self, after: i64, text: &mut Vec<u8>) -> io::Result<()> {
        let page = self.store.requests(&self.of, after, self.until).await.map_err(failed)?;
        let last = page.last().map(|request| request.id);
        for request in page {
            self.counts.requests += 1;
            Line::Request(Box::new(request)).write_to(text)?;
        }
        self.next = match last {
            Some(last) => Next::Requests(last),
            None => {
                Line::End(self.counts).write_to(text)?;
                Next::Nothing
            }
        };
        Ok(())
    }
}

fn failed(error: StoreError) -> io::Error {
    io::Error::other(error)
}
