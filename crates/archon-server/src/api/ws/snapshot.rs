//! How things are, for a listener that begins: what memory knows.

use std::sync::Arc;
use std::time::Duration;

use archon_sessions::session::{Session, SessionId, Timestamp};
use archon_sessions::tracker::{Presence, Tracker};
use archon_sessions_api::frames::Snapshot;
use archon_sessions_api::health::{
    AgeDistribution, ConnectionHealth, RecentActivity, SessionsHealth, StatusBreakdown,
};
use archon_sessions_api::sessions::Status;
use uuid::Uuid;

use super::encode::session_on_wire;

/// Sessions in a snapshot: as many as a page shows. Who wants more asks for lists.
const SESSIONS_MAX: usize = 200;
/// Sessions that were active last, in the health object.
const RECENT_MAX: usize = 10;
/// Seconds since the last activity from which on a session is aging, and stale.
const AGING: Duration = Duration::from_secs(5 * 60);
const STALE: Duration = Duration::from_secs(10 * 60);

/// Returns how things are. With a session, only that one is shown.
pub async fn take(tracker: &Tracker, session: Option<Uuid>, now: Timestamp) -> Snapshot {
    let tracker = tracker.clone();
    // A million sessions are looked at in a tenth of a second: not among what must not wait.
    let look = tokio::task::spawn_blocking(move || {
        let mut present = tracker.presences();
        let health = health_of(&mut present, now);
        let shown = match session {
            Some(id) => tracker.presence(SessionId::from_uuid(id)).into_iter().collect(),
            None => {
                keep_latest(&mut present, SESSIONS_MAX);
                present
            }
        };
        let sessions: Vec<_> = shown.iter().map(|one| session_on_wire(&one.session())).collect();
        let total =
            if session.is_some() { sessions.len() as u64 } else { health.status_breakdown.active };
        Snapshot { health, sessions, total }
    });
    look.await.unwrap_or_else(|_| {
        let health = health_of(&mut Vec::new(), now);
        Snapshot { health, sessions: Vec::new(), total: 0 }
    })
}

/// Returns how sessions are.
pub async fn health(tracker: &Tracker, now: Timestamp) -> SessionsHealth {
    let tracker = tracker.clone();
    let look = tokio::task::spawn_blocking(move || health_of(&mut tracker.presences(), now));
    look.await.unwrap_or_else(|_| health_of(&mut Vec::new(), now))
}

fn health_of(present: &mut Vec<Arc<Presence>>, now: Timestamp) -> SessionsHealth {
    let active = present.len() as u64;
    let mut ages = AgeDistribution::default();
    for presence in present.iter() {
        match now.since(presence.last_activity()) {
            age if age < AGING => ages.healthy += 1,
            age if age <= STALE => ages.aging += 1,
            _ => ages.stale += 1,
        }
    }
    keep_latest(present, SESSIONS_MAX);
    let recent = present.iter().take(RECENT_MAX).map(|one| recent(&one.session(), now)).collect();
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

/// Keeps those that were active last, the latest first.
fn keep_latest(present: &mut Vec<Arc<Presence>>, max: usize) {
    // Activity goes on while we sort, and a sort wants its keys to stay.
    let mut keyed: Vec<_> = present.drain(..).map(|one| (one.last_activity(), one)).collect();
    if keyed.len() > max {
        keyed.select_nth_unstable_by_key(max, |(at, _)| std::cmp::Reverse(*at));
        keyed.truncate(max);
    }
    keyed.sort_unstable_by_key(|(at, _)| std::cmp::Reverse(*at));
    present.extend(keyed.into_iter().map(|(_, one)| one));
}
