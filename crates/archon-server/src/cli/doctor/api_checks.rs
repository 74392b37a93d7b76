//! What an operator sees.

use std::time::Duration;

use archon_sessions::session::Timestamp;
use archon_sessions_api::frames::FrameData;
use archon_sessions_api::health::Health;
use archon_sessions_api::logs::Logs;
use archon_sessions_api::reconnect::Heartbeat;
use archon_sessions_api::sessions::{Ended, SessionPage, Sessions, Status};
use archon_sessions_api::status::{ServiceConfig as Config, ServiceStatus as Process};
use archon_sessions_client::{EventsQuery, Notice};
use reqwest::Method;
use serde_json::json;

use super::Patient;
use super::mcp::{CLIENT, Connection};
use super::report::{Complaint, Report};
use crate::cli::api::told;

/// Rows are written within a tenth of a second; a loaded machine is given more.
const WRITTEN_LIMIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the reaper may take for one look.
const REAP_GRACE: Duration = Duration::from_secs(60);

const API: &str = "name the API with --api or ARCHON_API_URL, and a token with ARCHON_API_TOKEN";
const STORE: &str =
    "see to the database: docs/database.md says how; the gateway's log has the reason";
const LOG: &str = "the gateway's log says what happened; `archon serve` shows it";

impl Patient {
    pub(super) async fn api_is_well(&self, report: &mut Report) -> bool {
        let found = match self.api.get::<Health>("health", &[]).await {
            Ok(_) => match self.api.get::<Process>("status", &[]).await {
                Ok(status) => Ok(format!(
                    "{}archon {}, the store is {}",
                    self.where_it_is(),
                    status.version,
                    status.store.status
                )),
                Err(error) => Err(Complaint::of(&error, API)),
            },
            Err(error) => Err(Complaint::of(&error, API)),
        };
        report.add("API", found)
    }

    fn where_it_is(&self) -> String {
        format!("{} is ", self.api.base())
    }

    async fn page(&self, id: &str) -> anyhow::Result<SessionPage> {
        self.api.get(&format!("sessions/{id}"), &[]).await
    }

    /// Returns the page of a session once it is as expected, or as it is when there is no more waiting.
    async fn page_when(
        &self,
        id: &str,
        is_expected: impl Fn(&SessionPage) -> bool,
    ) -> anyhow::Result<SessionPage> {
        let begun = tokio::time::Instant::now();
        loop {
            let page = self.page(id).await;
            let is_good = page.as_ref().is_ok_and(&is_expected);
            if is_good || begun.elapsed() > WRITTEN_LIMIT {
                return page;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub(super) async fn is_recorded(&self, report: &mut Report, connection: &Connection) {
        let page = self.page_when(&connection.session, |_| true).await;
        report.add(
            "session is recorded",
            match page {
                Ok(page) if page.session.client_name.as_deref() == Some(CLIENT) => {
                    Ok(format!("as {}, {:?}", page.session.client_type, page.session.status)
                        .to_lowercase())
                }
                Ok(page) => Err(Complaint::new(
                    format!("its client is {:?}", page.session.client_name),
                    LOG,
                )),
                Err(error) => Err(Complaint::of(&error, STORE)),
            },
        );
    }

    pub(super) async fn is_tracked(&self, report: &mut Report, connection: &Connection) {
        let lists = |page: &SessionPage| page.requests.iter().any(|r| r.method == "tools/list");
        let page = self.page_when(&connection.session, lists).await;
        report.add(
            "requests are tracked",
            match page {
                Ok(page) if lists(&page) => Ok(format!("{} so far", page.summary.total_requests)),
                Ok(_) => {
                    let why = format!("no tools/list within {} s", WRITTEN_LIMIT.as_secs());
                    Err(Complaint::new(why, STORE))
                }
                Err(error) => Err(Complaint::of(&error, STORE)),
            },
        );
    }

    pub(super) async fn has_heartbeat(&self, report: &mut Report, connection: &Connection) {
        let path = format!("sessions/{}/heartbeat", connection.session);
        // As its client, so that a viewer's token does.
        let request = self.api.request(Method::POST, &path, &[]);
        let request = request.header("x-archon-session-id", &connection.session);
        let beat: anyhow::Result<Heartbeat> = self.api.answer(request).await;
        report.add(
            "heartbeat",
            match beat {
                Ok(beat) => Ok(format!("the session lives until {}", beat.expires_at)),
                Err(error) => Err(Complaint::of(&error, LOG)),
            },
        );
    }

    /// The session that has been silent for longest must not be overdue.
    pub(super) async fn cleans_up(&self, report: &mut Report) {
        let found = async {
            let config: Config = self.api.get("config", &[]).await?;
            let oldest = self.oldest("last_activity").await?;
            anyhow::Ok((config, oldest))
        };
        let name = "cleanup";
        match found.await {
            Err(error) => _ = report.add(name, Err(Complaint::of(&error, API))),
            Ok((config, oldest)) => {
                let every = Duration::from_secs(config.reap_every_seconds);
                let expires = oldest.sessions.first().and_then(|s| s.session.expires_at.clone());
                let expires = expires.as_deref().and_then(Timestamp::parse);
                let overdue = expires.map(|at| Timestamp::now().since(at)).unwrap_or_default();
                report.add(
                    name,
                    if overdue > every + REAP_GRACE {
                        let why = format!("a session is {} s overdue", overdue.as_secs());
                        Err(Complaint::new(
                            why,
                            "the gateway does not end what is idle: its log says why; restart it",
                        ))
                    } else {
                        Ok(format!("nothing is overdue; looked for every {} s", every.as_secs()))
                    },
                );
            }
        }
    }

    async fn oldest(&self, by: &str) -> anyhow::Result<Sessions> {
        let text = |text: &str| text.to_owned();
        let asked = [
            ("status", text("active")),
            ("sort", text(by)),
            ("order", text("asc")),
            ("limit", text("10")),
        ];
        self.api.get("sessions", &asked).await
    }

    /// An active session that is older than the process has survived a restart.
    pub(super) async fn has_recovered(&self, report: &mut Report) {
        let name = "recovery";
        match self.oldest("connected_at").await {
            Err(error) => _ = report.add(name, Err(Complaint::of(&error, API))),
            Ok(oldest) => {
                let up = Duration::from_secs(oldest.server_uptime_seconds);
                let started = Timestamp::now().minus(up);
                // Whole seconds: ours would pass for older within the first.
                let is_ours = |name: &Option<String>| name.as_deref() == Some(CLIENT);
                let mut all = oldest.sessions.iter().map(|stored| &stored.session);
                let first = all.find(|session| !is_ours(&session.client_name));
                let is_older = first
                    .and_then(|s| Timestamp::parse(&s.connected_at))
                    .is_some_and(|at| at < started);
                match first.filter(|_| is_older) {
                    Some(session) => {
                        let found =
                            format!("session {} is older than this process", session.session_id);
                        report.add(name, Ok(found));
                    }
                    None => report
                        .skip(name, "no session is older than this process: nothing to see yet"),
                }
            }
        }
    }

    pub(super) async fn tells_live(&self, report: &mut Report) {
        let first = async {
            let mut events = self.api.events(EventsQuery::default()).await?;
            let next = tokio::time::timeout(WRITTEN_LIMIT, events.next()).await;
            let late = |_| anyhow::anyhow!("no frame within {} s", WRITTEN_LIMIT.as_secs());
            match next.map_err(late)? {
                Notice::Frame { frame, .. } => Ok(frame),
                Notice::Lost(error) => Err(told(error)),
                Notice::Back => Err(anyhow::anyhow!("the connection was lost at once")),
            }
        };
        let fix = "if a proxy is in between, let it pass WebSockets on: Connection and Upgrade";
        report.add(
            "WebSocket",
            match first.await {
                Ok(frame) => match frame.what {
                    FrameData::Snapshot(snapshot) => {
                        Ok(format!("a snapshot of {} sessions", snapshot.total))
                    }
                    _ => Err(Complaint::new("the first frame is no snapshot", fix)),
                },
                Err(error) => Err(Complaint::of(&error, fix)),
            },
        );
    }

    pub(super) async fn has_no_orphans(&self, report: &mut Report) {
        let logs: anyhow::Result<Logs> =
            self.api.get("logs", &[("limit", "1000".to_owned())]).await;
        report.add(
            "integrity",
            match logs {
                Ok(logs) => {
                    let orphans =
                        logs.logs.iter().filter(|entry| entry.client_type.is_none()).count();
                    if orphans == 0 {
                        Ok(format!("the latest {} requests have their sessions", logs.logs.len()))
                    } else {
                        let why = format!(
                            "{orphans} of the latest {} requests have no session",
                            logs.logs.len()
                        );
                        Err(Complaint::new(
                            why,
                            "rows were deleted by hand, or the database is damaged: check it",
                        ))
                    }
                }
                Err(error) => Err(Complaint::of(&error, API)),
            },
        );
    }

    pub(super) async fn says_goodbye(
        &self,
        report: &mut Report,
        connection: &Connection,
        has_api: bool,
    ) {
        let name = "goodbye";
        if let Err(error) = self.mcp.end(connection).await {
            report.add(name, Err(Complaint::of(&error, LOG)));
            return;
        }
        if !has_api {
            report.add(name, Ok("the connection has ended".to_owned()));
            return;
        }
        let has_ended = |page: &SessionPage| page.session.status != Status::Active;
        let page = self.page_when(&connection.session, has_ended).await;
        report.add(
            name,
            match page {
                Ok(page) if has_ended(&page) => Ok(format!(
                    "the session ended: {}",
                    page.session.disconnect_reason.unwrap_or_default()
                )),
                Ok(_) => Err(Complaint::new(
                    "the session is still active after its client's DELETE",
                    STORE,
                )),
                Err(error) => Err(Complaint::of(&error, STORE)),
            },
        );
    }

    pub(super) async fn ends_by_hand(&self, report: &mut Report, id: &str) {
        let path = format!("sessions/{id}/disconnect");
        let ended: anyhow::Result<Ended> =
            self.api.post(&path, &json!({ "reason": "operator" })).await;
        match ended {
            Ok(ended) => _ = report.add("end by hand", Ok(ended.message)),
            Err(error) if format!("{error:#}").contains("role operator") => {
                report.skip(
                    "end by hand",
                    "this token may only look; the session ends by its timeout",
                );
            }
            Err(error) => _ = report.add("end by hand", Err(Complaint::of(&error, STORE))),
        }
    }
}
