//! Every legal move of a session's life, as functions of the session, the input and the time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Session, Timestamp};

/// Whether a session is present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The client is here.
    Active,
    /// The session has ended.
    Disconnected,
    /// Ended in an older system; only rows imported from there have it.
    Expired,
}

impl Status {
    /// Returns the stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disconnected => "disconnected",
            Self::Expired => "expired",
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// No activity within the idle timeout. The client's handle stays good for the resume window.
    TimeoutNoActivity,
    /// The client said goodbye: a legacy DELETE, or a client's close.
    ClientDisconnect,
    /// It could not go on.
    Error,
    /// Ended from the API, the command line or the dashboard.
    Operator,
    /// The server is gone for good.
    ServerShutdown,
}

impl DisconnectReason {
    /// Returns the stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TimeoutNoActivity => "timeout_no_activity",
            Self::ClientDisconnect => "client_disconnect",
            Self::Error => "error",
            Self::Operator => "operator",
            Self::ServerShutdown => "server_shutdown",
        }
    }

    /// Reads the stored word; `None` for one we do not write.
    pub fn from_stored(word: &str) -> Option<Self> {
        [
            Self::TimeoutNoActivity,
            Self::ClientDisconnect,
            Self::Error,
            Self::Operator,
            Self::ServerShutdown,
        ]
        .into_iter()
        .find(|reason| reason.as_str() == word)
    }

    /// Returns true if the end also ends the connections: their handles answer 404 from then on.
    pub fn ends_connections(self) -> bool {
        match self {
            Self::TimeoutNoActivity | Self::Error | Self::ServerShutdown => false,
            Self::ClientDisconnect | Self::Operator => true,
        }
    }
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// When.
    pub at: Timestamp,
    /// Why; `None` only in rows imported from older systems.
    pub reason: Option<DisconnectReason>,
    /// True in rows whose status is `expired`.
    pub imported: bool,
}

/// What a client gets that presents the id of a session which is not in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// The session is active: it goes on.
    Same,
    /// Its presence timed out within the resume window: a new session continues it.
    Continue,
    /// It is over, and its id means nothing any more.
    Over,
}

impl Session {
    /// Returns the status.
    pub fn status(&self) -> Status {
        match self.end {
            None => Status::Active,
            Some(End { imported: true, .. }) => Status::Expired,
            Some(_) => Status::Disconnected,
        }
    }

    /// Returns true once the session has been silent for longer than it may be.
    pub fn is_idle_out(&self, now: Timestamp) -> bool {
        now.since(self.last_activity) >= self.idle_timeout
    }

    /// Returns the whole seconds from its start to its end, if it has ended.
    pub fn total_duration(&self) -> Option<i64> {
        let end = self.end?;
        i64::try_from(end.at.since(self.connected_at).as_secs()).ok()
    }

    /// Ends the session, once; a later end changes nothing. Returns true if this one did it.
    pub fn disconnect(&mut self, reason: DisconnectReason, now: Timestamp) -> bool {
        if self.end.is_some() {
            return false;
        }
        self.end = Some(End { at: now, reason: Some(reason), imported: false });
        self.revision += 1;
        true
    }

    /// Returns true if this end, as somebody decided it, is the end of the session as it is stored. A timeout is an
    /// end on a condition: that nobody has heard of the session since.
    pub fn may_end(&self, stored: &Session) -> bool {
        let is_timeout =
            self.end.and_then(|end| end.reason) == Some(DisconnectReason::TimeoutNoActivity);
        let is_news = stored.last_activity > self.last_activity || stored.revision >= self.revision;
        stored.end.is_none() && !(is_timeout && is_news)
    }

    /// Returns the session that goes on from this one for the same client.
    pub fn continued(&self, now: Timestamp) -> Session {
        Session {
            continues: Some(self.id),
            fingerprint: self.fingerprint,
            client_key: self.client_key,
            user: self.user.clone(),
            ..Session::new(
                self.client.clone(),
                self.principal.clone(),
                self.era,
                self.protocol_version.clone(),
                self.idle_timeout,
                now,
            )
        }
    }

    /// Decides what presenting this session's id is worth now.
    pub fn resumption(&self, window: Duration, now: Timestamp) -> Resumption {
        match self.end {
            // Active in the store but silent for too long: the reaper has not come by yet.
            None if !self.is_idle_out(now) => Resumption::Same,
            None if now.since(self.last_activity) < self.idle_timeout + window => {
                Resumption::Continue
            }
            None => Resumption::Over,
            Some(end) => match end.reason {
                Some(
                    DisconnectReason::TimeoutNoActivity
                    | DisconnectReason::ServerShutdown
                    | DisconnectReason::Error,
                ) if now.since(end.at) < window => Resumption::Continue,
                _ => Resumption::Over,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{ClientInfo, Era, IDLE_TIMEOUT, Principal, RESUME_WINDOW};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn session() -> Session {
        let client = ClientInfo::default();
        Session::new(client, Principal::Anonymous, Era::Legacy, "2025-11-25", IDLE_TIMEOUT, at(0))
    }

    #[test]
    fn a_session_ends_once() {
        let mut session = session();
        assert!(session.disconnect(DisconnectReason::Operator, at(61)));
        assert!(!session.disconnect(DisconnectReason::TimeoutNoActivity, at(99)));
        assert_eq!(session.total_duration(), Some(61));
        assert_eq!(session.end.and_then(|e| e.reason), Some(DisconnectReason::Operator));
        assert_eq!(session.revision, 1);
    }

    #[test]
    fn what_an_old_id_is_worth() {
        use DisconnectReason as Reason;
        let window = RESUME_WINDOW.as_secs() as i64;
        let table = [
            (None, 299, Resumption::Same),
            (None, 300, Resumption::Continue),
            (None, 300 + window, Resumption::Over),
            (Some(Reason::TimeoutNoActivity), 300 + window - 1, Resumption::Continue),
            (Some(Reason::TimeoutNoActivity), 300 + window, Resumption::Over),
            (Some(Reason::ServerShutdown), 400, Resumption::Continue),
            (Some(Reason::ClientDisconnect), 301, Resumption::Over),
            (Some(Reason::Operator), 301, Resumption::Over),
        ];
        for (ended, now, expected) in table {
            let mut session = session();
            if let Some(reason) = ended {
                session.disconnect(reason, at(300));
            }
            assert_eq!(session.resumption(RESUME_WINDOW, at(now)), expected, "{ended:?} {now}");
        }
    }

    #[test]
    fn every_reason_reads_back() {
        for word in
            ["timeout_no_activity", "client_disconnect", "error", "operator", "server_shutdown"]
        {
            assert_eq!(DisconnectReason::from_stored(word).map(|r| r.as_str()), Some(word));
        }
        assert_eq!(DisconnectReason::from_stored("nonsense"), None);
    }
}
