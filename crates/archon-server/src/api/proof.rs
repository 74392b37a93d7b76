//! Whether somebody may act for a session: its own client, or an operator.

use archon_sessions::protocol::Presented;
use archon_sessions::session::SessionId;
use archon_sessions::tracker::{Presence, Tracker};
use archon_sessions_api::access::Role;
use axum::http::{HeaderMap, StatusCode};

use super::access::ApiUser;
use super::problem::ApiError;

/// The session's id.
const HEADER: &str = "x-archon-session-id";

/// What showed that somebody may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionProof {
    /// Its id, and nothing else: enough for a sign of life, and for nothing more.
    Named,
    /// The role.
    Operator,
}

/// Checks who acts for a session. Who shows another session's id speaks as its client: not for another one, even
/// where no token is asked for.
///
/// # Errors
/// 401 for somebody who shows nothing, 403 for who shows the wrong thing.
pub fn check_proof(
    id: SessionId,
    headers: &HeaderMap,
    user: Option<&ApiUser>,
) -> Result<SessionProof, ApiError> {
    let handle = headers.get(HEADER).map(|value| value.to_str().unwrap_or_default());
    let is_own = handle.map(|handle| handle.parse() == Ok(id));
    match (is_own, user) {
        (Some(true) | None, Some(user)) if user.role >= Role::Operator => {
            Ok(SessionProof::Operator)
        }
        (Some(true), _) => Ok(SessionProof::Named),
        // An operator who was let in by a token is one whatever else is sent.
        (Some(false), Some(user)) if user.role >= Role::Operator && user.name.is_some() => {
            Ok(SessionProof::Operator)
        }
        (Some(false), _) | (None, Some(_)) => Err(not_yours()),
        (None, None) => Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "this is for the session's own client, or for operators",
            "send the session's X-Archon-Session-Id header, or an operator's API token",
        )),
    }
}

impl SessionProof {
    /// Checks whether it is enough to note a sign of life: where somebody authenticated, the id alone is not.
    ///
    /// # Errors
    /// 403 if it is not.
    pub fn is_good_for_heartbeat(self, presence: &Presence) -> Result<(), ApiError> {
        match self {
            Self::Named if presence.principal().is_authenticated() => Err(not_yours()),
            Self::Named | Self::Operator => Ok(()),
        }
    }

    /// Checks whether it is enough for a token: the session's cookie or its client's key must come with its id.
    ///
    /// # Errors
    /// 403 if it is not.
    pub fn is_good_for_token(
        self,
        presence: &Presence,
        headers: &HeaderMap,
        tracker: &Tracker,
    ) -> Result<(), ApiError> {
        match self {
            Self::Named if !tracker.proves(&Presented::read(headers), presence) => {
                Err(not_proven())
            }
            Self::Named | Self::Operator => Ok(()),
        }
    }
}

fn not_proven() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "not_proven",
        "a session's id does not show that it is yours",
        "send the cookie archon_session or the X-Archon-Client-Key of its client as well, or use get_reconnect_token on the MCP port",
    )
}

fn not_yours() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "not_your_session",
        "this session is not yours",
        "its own client uses the gateway's tools on the MCP port; operators use an operator's API token",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(shown: Option<&str>, role: Option<(Role, Option<&str>)>) -> &'static str {
        let id: SessionId = "7e67a8b5-0000-4000-8000-000000000001".parse().unwrap();
        let mut headers = HeaderMap::new();
        if let Some(shown) = shown {
            headers.insert(HEADER, shown.parse().unwrap());
        }
        let user = role.map(|(role, name)| ApiUser { role, name: name.map(Into::into) });
        match check_proof(id, &headers, user.as_ref()) {
            Ok(SessionProof::Named) => "named",
            Ok(SessionProof::Operator) => "operator",
            Err(error) => error.code(),
        }
    }

    #[test]
    fn a_session_is_for_its_own_client_and_for_operators() {
        let (own, other) = (Some("7E67A8B5-0000-4000-8000-000000000001"), Some("x"));
        let open = Some((Role::Operator, None));
        let operator = Some((Role::Operator, Some("ops")));
        let viewer = Some((Role::Viewer, Some("tv")));
        for (shown, user, expected) in [
            (own, None, "named"),
            (own, viewer, "named"),
            (own, open, "operator"),
            (own, operator, "operator"),
            (None, open, "operator"),
            (None, operator, "operator"),
            (other, operator, "operator"),
            (other, open, "not_your_session"),
            (other, None, "not_your_session"),
            (None, viewer, "not_your_session"),
            (other, viewer, "not_your_session"),
            (None, None, "unauthorized"),
        ] {
            assert_eq!(code(shown, user), expected, "{shown:?} {user:?}");
        }
    }
}
