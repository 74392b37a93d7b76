//! What is shown: pure, from frames to lines and rows.

use std::collections::{HashMap, VecDeque};

use archon_sessions::session::printable;
use archon_sessions_api::frames::{Frame, FrameData, Snapshot, UpdateType};
use archon_sessions_api::requests::{Outcome, Request};
use archon_sessions_api::sessions::Session;
use uuid::Uuid;

use crate::cli::print::cell;

/// Events that are kept for the screen; the highest terminal has fewer lines.
const EVENTS_MAX: usize = 300;
/// Sessions that are kept for the screen. A snapshot has no more.
const SESSIONS_MAX: usize = 1000;
/// Characters of an error.
const ERROR_CHARS_MAX: usize = 120;

/// What the screen shows.
#[derive(Default)]
pub struct View {
    sessions: HashMap<Uuid, Row>,
    /// The latest last.
    pub events: VecDeque<String>,
    /// How many sessions are active.
    pub active: u64,
    /// Why there is nothing new; `None` while there is.
    pub lost: Option<String>,
}

/// A session that is here.
pub struct Row {
    pub id: Uuid,
    pub client: String,
    pub user: String,
    pub last_activity: String,
    pub requests: u64,
}

impl View {
    /// Takes in a frame.
    pub fn apply(&mut self, frame: &Frame) {
        match &frame.what {
            FrameData::Snapshot(snapshot) | FrameData::Resync(snapshot) => self.reset(snapshot),
            FrameData::SessionCreated(session) => {
                self.active += 1;
                self.add(session);
            }
            FrameData::SessionUpdated(update) => {
                if let Some(row) = frame.session_id.and_then(|id| self.sessions.get_mut(&id)) {
                    row.last_activity.clone_from(&update.last_activity);
                }
            }
            FrameData::SessionDisconnected(_) => {
                self.active = self.active.saturating_sub(1);
                if let Some(id) = frame.session_id {
                    self.sessions.remove(&id);
                }
            }
            FrameData::Request(request) => {
                if let Some(row) = self.sessions.get_mut(&request.session_id) {
                    row.requests += 1;
                    row.last_activity.clone_from(&frame.timestamp);
                }
            }
            FrameData::HealthUpdate(health) => {
                self.active = u64::try_from(health.status_breakdown.active).unwrap_or(0);
            }
            FrameData::SessionReconnected(_) => {}
        }
        if let Some(line) = line(frame) {
            self.tell(line);
        }
    }

    /// Adds a line to the events.
    pub fn tell(&mut self, line: String) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(line);
    }

    /// Returns the sessions, the latest active first.
    pub fn rows(&self) -> Vec<&Row> {
        let mut rows: Vec<_> = self.sessions.values().collect();
        rows.sort_by(|a, b| (&b.last_activity, b.id).cmp(&(&a.last_activity, a.id)));
        rows
    }

    fn reset(&mut self, snapshot: &Snapshot) {
        self.active = snapshot.total;
        self.sessions.clear();
        for session in &snapshot.sessions {
            self.add(session);
        }
    }

    fn add(&mut self, session: &Session) {
        if self.sessions.len() < SESSIONS_MAX {
            let row = Row {
                id: session.session_id,
                client: client(session),
                user: user(session),
                last_activity: session.last_activity.clone(),
                requests: 0,
            };
            self.sessions.insert(row.id, row);
        }
    }
}

/// Returns a frame as a line; `None` for one that tells nothing by itself.
pub fn line(frame: &Frame) -> Option<String> {
    let who = frame.session_id.map(short).unwrap_or_default();
    let (kind, what) = match &frame.what {
        FrameData::Snapshot(snapshot) => {
            ("snapshot", format!("{} sessions active", snapshot.total))
        }
        FrameData::Resync(snapshot) => {
            ("resync", format!("events were missed; {} sessions active now", snapshot.total))
        }
        FrameData::SessionCreated(session) => {
            ("created", format!("{} {}", client(session), user(session)))
        }
        FrameData::SessionUpdated(update) => match update.update_type {
            UpdateType::Heartbeat => ("heartbeat", String::new()),
            // The request itself is told as well.
            UpdateType::ToolCall | UpdateType::Request => return None,
        },
        FrameData::SessionDisconnected(end) => {
            ("ended", format!("{} after {} s", cell(&end.reason), end.total_duration))
        }
        FrameData::SessionReconnected(back) => {
            ("reconnected", format!("{} times so far", back.reconnect_count))
        }
        FrameData::Request(request) => ("request", call(request)),
        FrameData::HealthUpdate(_) => return None,
    };
    let time = clock(&frame.timestamp);
    Some(format!("{time} {kind:<11} {who:<8} {what}").trim_end().to_owned())
}

fn call(request: &Request) -> String {
    let what = request.tool_name.as_deref().unwrap_or(&request.method);
    let what = format!("{} {} ms", cell(what), request.duration_ms);
    let failure = match request.status {
        Outcome::Success => return what,
        Outcome::Error => "error",
        Outcome::Timeout => "timeout",
    };
    let error = printable(request.error_message.as_deref().unwrap_or_default(), ERROR_CHARS_MAX);
    format!("{what} {failure}: {error}")
}

fn client(session: &Session) -> String {
    let version = session.client_version.as_deref().unwrap_or_default();
    cell(&format!("{} {version}", session.client_type))
}

fn user(session: &Session) -> String {
    let names = [&session.user_email, &session.user_name, &session.user_id];
    names.into_iter().flatten().next().map(|name| cell(name)).unwrap_or_default()
}

/// Returns enough of an id to find it again.
pub fn short(id: Uuid) -> String {
    id.to_string().chars().take(8).collect()
}

/// Returns the time of day of a moment.
pub fn clock(time: &str) -> &str {
    time.get(11..19).unwrap_or("--:--:--")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f2b8c1e-0000-4000-8000-000000000001";

    fn frame(kind: &str, data: &str) -> Frame {
        let text = format!(
            r#"{{"type":"{kind}","seq":1,"session_id":"{ID}","data":{data},"timestamp":"2026-01-11T00:20:45.123456Z"}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn session() -> String {
        format!(
            r#"{{"session_id":"{ID}","client_type":"Cursor","client_version":"1.0","connected_at":"2026-01-11T00:20:00Z",
                "last_activity":"2026-01-11T00:20:00Z","status":"active","principal":"anonymous","era":"legacy",
                "protocol_version":"2025-11-25","idle_timeout_seconds":300,"reconnect_count":0}}"#
        )
    }

    fn request(error: &str) -> String {
        format!(
            r#"{{"session_id":"{ID}","method":"tools/call","tool_name":"find","upstream":"demo",
                "timestamp":"2026-01-11T00:20:45Z","duration_ms":7,"duration_us":7000,{error},
                "prompt_tokens":1,"completion_tokens":1,"estimated_cost":0.0,"request_bytes":1,"response_bytes":1}}"#
        )
    }

    #[test]
    fn each_event_is_a_line() {
        let created = line(&frame("session_created", &session())).unwrap();
        assert_eq!(created, "00:20:45 created     3f2b8c1e Cursor 1.0");
        let good = line(&frame("request", &request(r#""status":"success""#))).unwrap();
        assert_eq!(good, "00:20:45 request     3f2b8c1e find 7 ms");
        let bad = request(r#""status":"error","error_message":"no\u001b[2J such""#);
        let bad = line(&frame("request", &bad)).unwrap();
        assert_eq!(bad, "00:20:45 request     3f2b8c1e find 7 ms error: no[2J such");
        let end = r#"{"reason":"operator","total_duration":45}"#;
        let end = line(&frame("session_disconnected", end)).unwrap();
        assert_eq!(end, "00:20:45 ended       3f2b8c1e operator after 45 s");
    }

    #[test]
    fn the_screen_follows_a_session_from_its_beginning_to_its_end() {
        let mut view = View::default();
        view.apply(&frame("session_created", &session()));
        view.apply(&frame("request", &request(r#""status":"success""#)));
        let rows = view.rows();
        assert_eq!((rows.len(), rows[0].requests, view.active), (1, 1, 1));
        assert_eq!(clock(&rows[0].last_activity), "00:20:45");
        view.apply(&frame("session_disconnected", r#"{"reason":"error","total_duration":1}"#));
        assert_eq!((view.rows().len(), view.active, view.events.len()), (0, 0, 3));
        for _ in 0..2 * EVENTS_MAX {
            view.tell(String::new());
        }
        assert_eq!(view.events.len(), EVENTS_MAX);
    }
}
