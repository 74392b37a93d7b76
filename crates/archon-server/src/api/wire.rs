//! What the library knows, as the API says it: conversions and nothing else.

use archon_sessions::session::{self, SessionId, Timestamp, User};
use archon_sessions::store::reports::{
    AttemptRecord, Chain, ChainLink, Days, RefusalRecord, RequestRecord, SessionRecord, Totals,
};
use archon_sessions::store::{self, RequestRow};
use archon_sessions::tracker::Tracker;
use archon_sessions_api::logs::{Level, LogEntry};
use archon_sessions_api::reconnect::Attempt;
use archon_sessions_api::refusals::Refusal;
use archon_sessions_api::requests::{Outcome, Request};
use archon_sessions_api::sessions::{
    ChainedSession, Period, Session, SessionChain, SessionSummary, Status, StoredSession,
};

/// Millionths in one.
const MILLION: f64 = 1e6;

/// Returns a session as it is shown; what memory knows of its latest sign of life counts.
pub fn session(record: SessionRecord, tracker: &Tracker) -> Session {
    let SessionRecord {
        session,
        client_type,
        metadata,
        disconnect_reason,
        total_duration,
        totals: _,
        upstreams: _,
    } = record;
    let status = status(session.status());
    let is_active = status == Status::Active;
    let last_activity = last_activity(&session, tracker);
    Session {
        session_id: session.id.as_uuid(),
        client_type,
        client_name: session.client.name.map(String::from),
        client_version: session.client.version.map(String::from),
        client_capabilities: session.client.capabilities.as_deref().and_then(json),
        connected_at: session.connected_at.to_string(),
        last_activity: last_activity.to_string(),
        expires_at: is_active.then(|| last_activity.plus(session.idle_timeout).to_string()),
        disconnected_at: session.end.map(|end| end.at.to_string()),
        total_duration,
        status,
        disconnect_reason,
        user_id: of_user(session.user.as_deref(), |user| &user.id),
        user_email: of_user(session.user.as_deref(), |user| &user.email),
        user_name: of_user(session.user.as_deref(), |user| &user.name),
        metadata: metadata.as_deref().and_then(json),
        principal: session.principal.to_string(),
        era: session.era.as_str().to_owned(),
        protocol_version: session.protocol_version,
        continues: session.continues.map(SessionId::as_uuid),
        idle_timeout_seconds: whole(session.idle_timeout.as_secs()),
        reconnect_count: session.reconnect_count,
    }
}

/// Returns a session as it is shown with what it has used.
pub fn stored_session(mut record: SessionRecord, tracker: &Tracker) -> StoredSession {
    let upstreams = std::mem::take(&mut record.upstreams);
    let used = summary(record.totals);
    StoredSession {
        session: session(record, tracker),
        total_requests: used.total_requests,
        total_errors: used.total_errors,
        total_prompt_tokens: used.total_prompt_tokens,
        total_completion_tokens: used.total_completion_tokens,
        total_cost: used.total_cost,
        upstreams,
    }
}

/// Returns what was before and after a session.
pub fn chain(chain: Chain) -> SessionChain {
    let link = |link: ChainLink| ChainedSession {
        session_id: link.id.as_uuid(),
        connected_at: link.connected_at.to_string(),
        disconnected_at: link.disconnected_at.map(|at| at.to_string()),
        disconnect_reason: link.disconnect_reason,
    };
    SessionChain {
        before: chain.before.into_iter().map(link).collect(),
        after: chain.after.into_iter().map(link).collect(),
    }
}

/// Returns an attempt to take a session back.
pub fn attempt(record: AttemptRecord) -> Attempt {
    let AttemptRecord { at, peer, principal, result } = record;
    Attempt { timestamp: at.to_string(), result, principal, peer }
}

/// Returns requests that were turned away.
pub fn refusal(record: RefusalRecord) -> Refusal {
    Refusal {
        minute: record.minute.to_string(),
        last_at: record.last_at.to_string(),
        cause: record.cause,
        detail: record.detail,
        count: record.count,
        upstream: record.upstream,
        peer: record.peer,
        client: record.client,
        principal: record.principal,
    }
}

/// Returns a part of what is known of who uses a session.
pub fn of_user(
    user: Option<&User>,
    part: impl FnOnce(&User) -> &Option<Box<str>>,
) -> Option<String> {
    part(user?).as_deref().map(str::to_owned)
}

/// Returns the latest sign of life of a stored session: memory knows of some before the store does.
pub fn last_activity(session: &session::Session, tracker: &Tracker) -> Timestamp {
    let present = tracker.presence(session.id).filter(|_| session.end.is_none());
    present
        .map_or(session.last_activity, |present| present.last_activity().max(session.last_activity))
}

/// Returns a status.
pub fn status(status: session::Status) -> Status {
    match status {
        session::Status::Active => Status::Active,
        session::Status::Disconnected => Status::Disconnected,
        session::Status::Expired => Status::Expired,
    }
}

/// Returns what a session used.
pub fn summary(totals: Totals) -> SessionSummary {
    let Totals { requests, errors, timeouts, prompt_tokens, completion_tokens, cost_micros } =
        totals;
    SessionSummary {
        total_requests: requests,
        total_errors: errors + timeouts,
        total_prompt_tokens: prompt_tokens,
        total_completion_tokens: completion_tokens,
        total_tokens: prompt_tokens + completion_tokens,
        total_cost: dollars(cost_micros),
    }
}

/// Returns a request as it is shown.
pub fn request(id: Option<i64>, row: RequestRow) -> Request {
    Request {
        id,
        session_id: row.session.as_uuid(),
        method: row.method.into(),
        tool_name: row.tool.map(String::from),
        upstream: row.upstream.to_string(),
        timestamp: row.started.to_string(),
        duration_ms: row.duration_us / 1000,
        duration_us: row.duration_us,
        status: outcome(row.outcome),
        error_message: row.error.map(String::from),
        prompt_tokens: row.prompt_tokens,
        completion_tokens: row.completion_tokens,
        estimated_cost: dollars(row.cost_micros),
        request_bytes: row.request_bytes,
        response_bytes: row.response_bytes,
        model: row.model.as_deref().map(String::from),
    }
}

/// Returns a request as a line of a log.
pub fn log_entry(record: RequestRecord) -> LogEntry {
    let RequestRecord { id, row, client_type } = record;
    let what = match &row.tool {
        Some(tool) => format!("{} {tool}", row.method),
        None => row.method.to_string(),
    };
    let took = row.duration_us / 1000;
    let (level, how) = match row.outcome {
        store::Outcome::Success => (Level::Info, format!("answered in {took} ms")),
        store::Outcome::Timeout => (Level::Warning, format!("not answered within {took} ms")),
        store::Outcome::Error => (Level::Error, format!("failed after {took} ms")),
    };
    let message = match &row.error {
        Some(error) => format!("{what} {how}: {error}"),
        None => format!("{what} {how}"),
    };
    LogEntry { request: request(Some(id), row), client_type, level, message }
}

fn outcome(outcome: store::Outcome) -> Outcome {
    match outcome {
        store::Outcome::Success => Outcome::Success,
        store::Outcome::Error => Outcome::Error,
        store::Outcome::Timeout => Outcome::Timeout,
    }
}

/// Returns some days.
pub fn period(days: Days) -> Period {
    Period {
        start_date: days.start().to_string(),
        end_date: days.end().to_string(),
        days: days.count(),
    }
}

/// Returns an amount of money in dollars.
pub fn dollars(micros: i64) -> f64 {
    micros as f64 / MILLION
}

/// Returns a time in milliseconds, three decimals.
pub fn millis(micros: i64) -> f64 {
    micros as f64 / 1000.0
}

/// Returns how many of a hundred, two decimals; 0 of nothing.
pub fn percent(part: i64, of: i64) -> f64 {
    if of <= 0 { 0.0 } else { rounded(part as f64 / of as f64 * 100.0, 2) }
}

/// Returns a number with so many decimals.
pub fn rounded(number: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (number * scale).round() / scale
}

/// Returns a quotient; 0 of nothing.
pub fn mean(sum: i64, count: i64) -> f64 {
    if count <= 0 { 0.0 } else { sum as f64 / count as f64 }
}

/// Returns a count in the type that most of our numbers have.
pub fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads a stored JSON text; what is none is not shown.
fn json(text: &str) -> Option<serde_json::Value> {
    serde_json::from_str(text).ok().filter(serde_json::Value::is_object)
}
