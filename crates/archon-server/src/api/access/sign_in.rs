//! How a browser logs in: a token for a cookie that scripts cannot read.

use std::sync::Arc;

use archon_sessions_api::access::{LoggedOut, Login, Me};
use axum::Json as Answer;
use axum::extract::State;
use axum::http::header::{ORIGIN, SET_COOKIE};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::logins::{COOKIE_NAME, LOGIN_LASTS};
use super::{Access, Anybody, ApiUser, Shown, TOKEN_CHARS_MAX, peer_of, shown};
use crate::api::Api;
use crate::api::body::Json;
use crate::api::params::NoParams;
use crate::api::problem::ApiError;

/// Returns the routes; they are open to everybody.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(login)).routes(routes!(logout)).routes(routes!(me))
}

/// Logs a browser in: a token for a cookie.
#[utoipa::path(
    post, path = "/api/mcp/login", operation_id = "log_in", tag = "access", request_body = Login,
    responses((status = 200, body = Me, description = "Logged in; the cookie is HttpOnly and SameSite=Strict"))
)]
async fn login(
    State(access): State<Arc<Access>>,
    headers: HeaderMap,
    extensions: Extensions,
    _: NoParams,
    Json(Login { token }): Json<Login>,
) -> Result<Response, ApiError> {
    if token.chars().count() > TOKEN_CHARS_MAX {
        return Err(ApiError::body("token: longer than 1024 characters"));
    }
    if !access.is_required() {
        let user = ApiUser { role: archon_sessions_api::access::Role::Operator, name: None };
        return Ok(Answer(describe(&access, Some(&user))).into_response());
    }
    let peer = peer_of(&extensions);
    let user = access.by_token(token.trim().as_bytes(), peer).inspect_err(|refusal| {
        access.turned_away(&headers, &extensions, refusal);
    })?;
    let value = access.logins.begin(user.clone()).map_err(|error| {
        tracing::error!("could not log in: {error:#}");
        let (status, hint) = (StatusCode::INTERNAL_SERVER_ERROR, "look at the log");
        ApiError::new(status, "internal", "could not log in", hint)
    })?;
    // A browser that reaches us over TLS says so itself; we only see what a proxy sends on.
    let is_secure = headers.get(ORIGIN).is_some_and(|o| o.as_bytes().starts_with(b"https://"));
    let cookie = set_cookie(&value, LOGIN_LASTS.as_secs(), is_secure);
    Ok(([(SET_COOKIE, cookie)], Answer(describe(&access, Some(&user)))).into_response())
}

/// Logs a browser out.
#[utoipa::path(
    post, path = "/api/mcp/logout", operation_id = "log_out", tag = "access",
    responses((status = 200, body = LoggedOut, description = "Logged out, now or before"))
)]
async fn logout(State(access): State<Arc<Access>>, headers: HeaderMap, _: NoParams) -> Response {
    if let Shown::Cookie(cookie) = shown(&headers) {
        access.logins.end(cookie);
    }
    let gone = set_cookie("", 0, false);
    ([(SET_COOKIE, gone)], Answer(LoggedOut { success: true })).into_response()
}

/// Says who the caller is.
#[utoipa::path(
    get, path = "/api/mcp/me", operation_id = "get_me", tag = "access",
    responses((status = 200, body = Me, description = "What the caller may do"))
)]
async fn me(State(access): State<Arc<Access>>, Anybody(user): Anybody, _: NoParams) -> Answer<Me> {
    Answer(describe(&access, user.as_ref()))
}

fn describe(access: &Access, user: Option<&ApiUser>) -> Me {
    Me {
        role: user.map(|user| user.role),
        name: user.and_then(|user| user.name.as_deref().map(String::from)),
        auth_required: access.is_required(),
    }
}

fn set_cookie(value: &str, seconds: u64, is_secure: bool) -> HeaderValue {
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!(
        "{COOKIE_NAME}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    );
    // Base64 and our own words.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(COOKIE_NAME))
}
