//! `GET /metrics`: what Prometheus scrapes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::overview::Overview;

/// The text format, which every scraper understands.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers with all metrics.
pub async fn show(State(overview): State<Arc<Overview>>) -> Response {
    // Thousands of series take milliseconds, in which a worker thread has calls to pass on.
    let rendered = tokio::task::spawn_blocking(move || overview.metrics()).await;
    match rendered {
        Ok(text) => ([(CONTENT_TYPE, TEXT)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
