//! The API's description, made from the code, and a page to read it.

use std::sync::Arc;

use archon_sessions_api::frames::Frame;
use archon_sessions_api::problem::Problem;
use axum::Router;
use axum::extract::Path;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::schema::{Object, Schema};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder, SecurityRequirement};
use utoipa::{Modify, OpenApi};

use super::params::NoParams;
use super::problem::ApiError;

/// Where the description is.
const OPENAPI: &str = "/api/mcp/openapi.json";
/// Styles that the page's own scripts set; nothing of it is loaded from elsewhere.
const PAGE_CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);
const PAGE: &str = include_str!("docs/page.html");
const START: &str = include_str!("docs/start.js");

/// The parts of the description that no handler has.
#[derive(OpenApi)]
#[openapi(
    info(title = "Archon Sessions", description = "Who is connected, what they do, and what went wrong."),
    tags(
        (name = "sessions", description = "Sessions and their clients"),
        (name = "reports", description = "What was used, and how it went"),
        (name = "service", description = "This process"),
        (name = "access", description = "Who may use the API"),
    ),
    components(schemas(Problem, Frame)),
    modifiers(&Schemes)
)]
pub struct Description;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("token", bearer);
        let handle = ApiKeyValue::new("X-Archon-Session-Id");
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Header(handle)));
    }
}

/// Schemas whose fields may be missing: bodies that clients send, and what is only said where there is cause.
const SPARSE: &[&str] =
    &["Disconnect", "Health", "Login", "NewPricing", "Price", "Reconnect", "Frame"];

/// Says that answers have all their fields, even those that are `null`.
fn require_fields(openapi: &mut utoipa::openapi::OpenApi) {
    let Some(components) = &mut openapi.components else { return };
    for (name, schema) in &mut components.schemas {
        if SPARSE.contains(&name.as_str()) {
            continue;
        }
        match schema {
            RefOr::T(Schema::Object(object)) => require_all(object),
            RefOr::T(Schema::AllOf(parts)) => {
                for part in &mut parts.items {
                    if let RefOr::T(Schema::Object(object)) = part {
                        require_all(object);
                    }
                }
            }
            RefOr::T(_) | RefOr::Ref(_) => {}
        }
    }
}

fn require_all(object: &mut Object) {
    object.required = object.properties.keys().cloned().collect();
}

/// Adds to each operation what any request may be answered with, and who may send it.
pub fn complete(openapi: &mut utoipa::openapi::OpenApi) {
    require_fields(openapi);
    for (path, item) in &mut openapi.paths.paths {
        let is_of_session = path.contains("{session_id}");
        for operation in [&mut item.get, &mut item.put, &mut item.post, &mut item.delete] {
            let Some(operation) = operation else { continue };
            complete_operation(path, is_of_session, operation);
        }
    }
}

fn complete_operation(path: &str, is_of_session: bool, operation: &mut Operation) {
    let is_cursor = |of: &RefOr<Parameter>| matches!(of, RefOr::T(of) if of.name == "cursor");
    let is_paged = operation.parameters.iter().flatten().any(is_cursor);
    let mut answers = vec![
        ("403", "Not for you, or from a page elsewhere"),
        ("422", "A parameter or the body is wrong; it is named"),
        ("429", "Too many tries; Retry-After says when to go on"),
        ("503", "The session store cannot be asked right now"),
    ];
    if !path.ends_with("/health") || path.contains("/sessions/") {
        answers.push(("401", "Who are you?"));
    }
    if is_paged {
        answers.push(("409", "The cursor is of another list, or of another order"));
    }
    if is_of_session {
        answers.push(("404", "There is no such session"));
        answers.push(("400", "The session has ended, or the body is not JSON"));
        answers.push(("409", "The session has ended already"));
    }
    if operation.request_body.is_some() {
        answers.push(("400", "The body is not JSON"));
        answers.push(("408", "The body did not arrive in time"));
        answers.push(("413", "The body is too large"));
        answers.push(("415", "The body is not declared to be JSON"));
    }
    let of_problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    for (status, description) in answers {
        let answer = ResponseBuilder::new()
            .description(description)
            .content("application/json", of_problem.clone());
        let known = &mut operation.responses.responses;
        known.entry(status.to_owned()).or_insert_with(|| answer.build().into());
    }
    let is_open = ["/health", "/login", "/logout", "/me", "/reconnect"];
    if path.contains("/sessions/health") || !is_open.iter().any(|end| path.ends_with(end)) {
        let token = SecurityRequirement::new::<_, [&str; 0], &str>("token", []);
        // Where no token is configured none is needed.
        operation.security = Some(vec![SecurityRequirement::default(), token]);
    }
}

/// Returns the routes of the description and its page; they are open, as they hold nothing of anybody's.
pub fn router(openapi: utoipa::openapi::OpenApi) -> Router {
    let openapi = Arc::new(openapi);
    let files = Arc::new(utoipa_swagger_ui::Config::from(OPENAPI));
    let page = get(async |_: NoParams| html());
    let file = get(async move |Path(name): Path<String>| asset(&name, files));
    Router::new()
        .route(OPENAPI, get(async move |_: NoParams| axum::Json(openapi)))
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", page)
        .route("/docs/{file}", file)
}

fn html() -> Response {
    ([(CONTENT_SECURITY_POLICY, PAGE_CSP)], axum::response::Html(PAGE)).into_response()
}

/// Answers one of the files that the page is made of; they come with this program.
fn asset(name: &str, files: Arc<utoipa_swagger_ui::Config<'static>>) -> Response {
    if name == "start.js" {
        return ([(CONTENT_TYPE, "text/javascript")], START).into_response();
    }
    match utoipa_swagger_ui::serve(name, files) {
        Ok(Some(file)) => ([(CONTENT_TYPE, file.content_type)], file.bytes).into_response(),
        Ok(None) | Err(_) => {
            let hint = "the page is at /docs/";
            let detail = "the documentation has no such file";
            ApiError::new(StatusCode::NOT_FOUND, "not_found", detail, hint).into_response()
        }
    }
}
