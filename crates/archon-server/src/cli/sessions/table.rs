//! Sessions and requests for people.

use std::fmt::Write as _;

use archon_sessions::session::{Timestamp, printable};
use archon_sessions_api::requests::Request;
use archon_sessions_api::sessions::{Session, SessionPage, Status, StoredSession};
use comfy_table::{Table, presets};

use crate::cli::print::{cell, plain};

/// Characters of an error that are shown; `--json` shows all.
const ERROR_CHARS_MAX: usize = 60;

/// Returns a list of sessions.
pub fn sessions(all: &[StoredSession]) -> String {
    let mut table = plain_table(&[
        "SESSION",
        "CLIENT",
        "VERSION",
        "USER",
        "STATUS",
        "CONNECTED",
        "LAST ACTIVITY",
        "REQUESTS",
        "FAILED",
    ]);
    for StoredSession { session, total_requests, total_errors, .. } in all {
        table.add_row([
            session.session_id.to_string(),
            cell(&session.client_type),
            cell(session.client_version.as_deref().unwrap_or("-")),
            cell(user(session)),
            status(session),
            seconds(&session.connected_at),
            seconds(&session.last_activity),
            total_requests.to_string(),
            total_errors.to_string(),
        ]);
    }
    trimmed(&table)
}

/// Returns a session and its latest requests.
pub fn session(page: &SessionPage) -> String {
    let SessionPage { session, requests, summary, upstreams, .. } = page;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<15} {value}");
    };
    line("session", session.session_id.to_string());
    let version = session.client_version.as_deref().unwrap_or_default();
    line("client", plain(format!("{} {version}", session.client_type).trim_end()));
    line("user", plain(user(session)));
    line("status", status(session));
    line("connected", seconds(&session.connected_at));
    line("last activity", seconds(&session.last_activity));
    if let Some(at) = &session.disconnected_at {
        line("ended", seconds(at));
    }
    if let Some(lasted) = session.total_duration {
        line("lasted", format!("{lasted} s"));
    }
    line("protocol", plain(&format!("{} {}", session.era, session.protocol_version)));
    if !upstreams.is_empty() {
        line("upstreams", plain(&upstreams.join(", ")));
    }
    if let Some(id) = page.continues {
        line("continues", id.to_string());
    }
    if let Some(id) = page.continued_by {
        line("continued by", id.to_string());
    }
    line("requests", format!("{}, {} failed", summary.total_requests, summary.total_errors));
    line(
        "tokens",
        format!("{} in, {} out", summary.total_prompt_tokens, summary.total_completion_tokens),
    );
    line("cost", format!("${:.6}", summary.total_cost));
    if !requests.is_empty() {
        let _ = write!(text, "\n{}", self::requests(requests));
    }
    text.trim_end().to_owned()
}

fn requests(all: &[Request]) -> String {
    let mut table = plain_table(&["TIME", "METHOD", "TOOL", "STATUS", "MS", "ERROR"]);
    for request in all {
        let error = request.error_message.as_deref().unwrap_or_default();
        table.add_row([
            seconds(&request.timestamp),
            cell(&request.method),
            cell(request.tool_name.as_deref().unwrap_or("-")),
            format!("{:?}", request.status).to_lowercase(),
            request.duration_ms.to_string(),
            printable(error, ERROR_CHARS_MAX),
        ]);
    }
    trimmed(&table)
}

fn plain_table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head.to_vec());
    table
}

/// Lines without spaces at their ends, which would wrap on a narrow terminal.
fn trimmed(table: &Table) -> String {
    let lines: Vec<_> = table
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned())
        .collect();
    lines.join("\n")
}

fn user(session: &Session) -> &str {
    let names = [&session.user_email, &session.user_name, &session.user_id];
    names.into_iter().flatten().next().map_or(&session.principal, |name| name)
}

fn status(session: &Session) -> String {
    let reason = cell(session.disconnect_reason.as_deref().unwrap_or_default());
    match session.status {
        Status::Active => "active".to_owned(),
        Status::Disconnected => format!("ended {reason}").trim_end().to_owned(),
        Status::Expired => format!("expired {reason}").trim_end().to_owned(),
    }
}

/// Returns a moment without its fractions; what is none as it is.
fn seconds(time: &str) -> String {
    let text = Timestamp::parse(time).map_or_else(|| time.to_owned(), |at| at.to_string());
    plain(text.split('.').next().unwrap_or_default()).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_or_hostile_name_wrecks_no_table() {
        let name = format!("\u{202e}{}", "x".repeat(131));
        let session: StoredSession = serde_json::from_value(serde_json::json!({
            "session_id": "3f2b8c1e-0000-4000-8000-000000000001", "client_type": name, "client_version": "1\u{1b}[2J",
            "connected_at": "2026-01-11T00:20:00Z", "last_activity": "2026-01-11T00:20:00Z", "status": "active",
            "principal": "anonymous", "era": "legacy", "protocol_version": "2025-11-25",
            "idle_timeout_seconds": 300, "reconnect_count": 0, "total_requests": 1, "total_errors": 0,
            "total_timeouts": 0, "total_prompt_tokens": 0, "total_completion_tokens": 0, "total_cost": 0.0,
            "upstreams": []
        }))
        .unwrap();
        let table = sessions(&[session]);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 2, "{table}");
        assert!(lines.iter().all(|line| line.chars().count() < 240), "{table}");
        assert!(
            table.chars().all(|c| c == '\n' || archon_sessions::session::is_printable(c)),
            "{table}"
        );
    }
}
