//! How things are, for a listener that begins.
//!
//! Sessions are shown as memory knows them: the store learns of a new one a moment later, and a listener that begins
//! in that moment would hear of it neither here nor in an event.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use archon_sessions::session::{Session, SessionId, Timestamp};
use archon_sessions::tracker::Presence;
use archon_sessions_api::frames::Snapshot;
use archon_sessions_api::health::{
    AgeDistribution, ConnectionHealth, RecentActivity, SessionsHealth, StatusBreakdown,
};
use archon_sessions_api::sessions::Status;
use uuid::Uuid;

use super::encode::session_on_wire;
use crate::api::sessions::describe;
use crate::overview::Overview;

/// Sessions in a snapshot: as many as a page shows. Who wants more asks for lists.
const SESSIONS_MAX: usize = 200;
/// Sessions that were active last, in the health object.
const RECENT_MAX: usize = 10;
/// How long the store may take; then what memory knows must do.
const STORE_LIMIT: Duration = Duration::from_secs(2);
/// Time since the last activity from which on a session is aging, and stale.
const AGING: Duration = Duration::from_secs(5 * 60);
const STALE: Duration = Duration::from_secs(10 * 60);

/// Returns how things are. With a session, only that one is shown.
pub async fn take(overview: &Overview, session: Option<Uuid>, now: Timestamp) -> Snapshot {
    let health = health(overview, now).await;
    let tracker = overview.tracker.clone();
    let look = tokio::task::spawn_blocking(move || {
        let (shown, total) = match session {
            Some(id) => {
                let one: Vec<_> = tracker.presence(SessionId::from_uuid(id)).into_iter().collect();
                let total = one.len();
                (one, total)
            }
            None => latest(tracker.presences()),
        };
        let sessions =
            shown.iter().map(|one| session_on_wire(one.session(), &tracker)).collect::<Vec<_>>();
        (sessions, total as u64)
    });
    let (sessions, total) = look.await.unwrap_or_default();
    Snapshot { health, sessions, total, epoch: overview.tracker.events().epoch() }
}

/// Returns how sessions are: of all times, as the store knows; else of those that are here.
pub async fn health(overview: &Overview, now: Timestamp) -> SessionsHealth {
    let tracker = overview.tracker.clone();
    let asked = tokio::time::timeout(STORE_LIMIT, overview.reports.session_health(now)).await;
    if let Ok(Ok(stored)) = asked {
        return describe(stored, &tracker, now);
    }
    let look = tokio::task::spawn_blocking(move || remembered(tracker.presences(), now));
    look.await.unwrap_or_else(|_| remembered(Vec::new(), now))
}

fn remembered(present: Vec<Arc<Presence>>, now: Timestamp) -> SessionsHealth {
    let active = i64::try_from(present.len()).unwrap_or(i64::MAX);
    let mut ages = AgeDistribution::default();
    for presence in &present {
        match now.since(presence.last_activity()) {
            age if age < AGING => ages.healthy += 1,
            age if age <= STALE => ages.aging += 1,
            _ => ages.stale += 1,
        }
    }
    let (latest, _) = latest(present);
    let recent = latest.iter().take(RECENT_MAX).map(|one| recent(&one.session(), now)).collect();
    SessionsHealth {
        status_breakdown: StatusBreakdown { active, disconnected: 0, total: active },
        age_distribution: ages,
        connection_health: ConnectionHealth::default(),
        recent_activity: recent,
        timestamp: now.to_string(),
    }
}

fn recent(session: &Session, now: Timestamp) -> RecentActivity {
    let minutes = |since| i64::try_from(now.since(since).as_secs() / 60).unwrap_or(i64::MAX);
    RecentActivity {
        session_id: session.id.as_uuid(),
        client_type: session.client.kind().to_owned(),
        status: Status::Active,
        age_minutes: minutes(session.last_activity),
        uptime_minutes: minutes(session.connected_at),
    }
}

/// Returns those that were active last, the latest first, and how many there were in all.
fn latest(present: Vec<Arc<Presence>>) -> (Vec<Arc<Presence>>, usize) {
    let all = present.len();
    // Activity goes on while we sort, and a sort wants its keys to stay.
    let mut keyed: Vec<_> = present.into_iter().map(|one| (one.last_activity(), one)).collect();
    if all > SESSIONS_MAX {
        keyed.select_nth_unstable_by_key(SESSIONS_MAX, |(at, _)| Reverse(*at));
        keyed.truncate(SESSIONS_MAX);
    }
    keyed.sort_unstable_by_key(|(at, _)| Reverse(*at));
    (keyed.into_iter().map(|(_, one)| one).collect(), all)
}
