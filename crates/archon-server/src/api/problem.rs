//! Errors in the API's form: `{detail, code, hint}` with the right status.

use std::borrow::Cow;

use archon_sessions_api::problem::Problem;
use axum::Json;
use axum::extract::Request;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// Characters of what we repeat of a request.
const REPEATED_CHARS_MAX: usize = 300;

/// An error as it is answered.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    hint: Cow<'static, str>,
    retry_after_seconds: Option<u64>,
}

impl ApiError {
    /// Returns an error: what went wrong for programs, for people, and what to do next.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
        hint: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (detail, hint) = (detail.into(), hint.into());
        Self { status, code, detail, hint, retry_after_seconds: None }
    }

    /// Adds when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds.max(1));
        self
    }

    /// Returns 422 for a parameter; `complaint` names it.
    pub fn parameter(complaint: &str) -> Self {
        let detail = bounded(complaint);
        let hint = "correct or leave out the parameter; /docs lists what there is";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_parameter", detail, hint)
    }

    /// Returns 422 for a body; `complaint` names the field.
    pub fn body(complaint: &str) -> Self {
        let detail = bounded(complaint);
        let hint = "correct the body; /docs shows its form";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", detail, hint)
    }

    /// Returns 503: the store cannot be asked.
    pub fn store() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store_unavailable",
            "the session store cannot be asked right now",
            "try again in a moment; /health says what is wrong",
        )
        .retry_after(1)
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns what went wrong, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Returns the error's code.
    pub fn code(&self) -> &'static str {
        self.code
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { status, code, detail, hint, retry_after_seconds } = self;
        let (detail, hint) = (detail.into_owned(), hint.into_owned());
        let mut response =
            (status, Json(Problem { detail, code: code.to_owned(), hint })).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = retry_after_seconds {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"archon\""));
        }
        response
    }
}

/// Answers a path that is nothing.
pub async fn not_found(request: Request) -> ApiError {
    let path: String = request.uri().path().chars().take(REPEATED_CHARS_MAX).collect();
    let hint = "GET /api/mcp/openapi.json lists what there is";
    ApiError::new(StatusCode::NOT_FOUND, "not_found", format!("nothing at {path}"), hint)
}

/// Answers a method that a path does not know; `Allow` says which it does.
pub async fn method_not_allowed(request: Request) -> ApiError {
    let detail = format!("{} is not a method of this path", request.method());
    let hint = "the header Allow lists its methods";
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", bounded(&detail), hint)
}

/// Cuts down what may repeat a part of a request.
fn bounded(text: &str) -> String {
    text.chars().take(REPEATED_CHARS_MAX).collect()
}
