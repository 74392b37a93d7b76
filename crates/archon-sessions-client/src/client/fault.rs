//! What went wrong with one attempt, and what follows from it: pure.

use std::time::Duration;

use http::StatusCode;
use rmcp::model::ErrorData;
use serde_json::Value;

use super::forgotten;
use crate::error::{
    ConnectionError, ConnectionReason, Error, OutcomeUnknown, SessionError, SessionReason,
    ToolError, UnknownReason,
};
use crate::retry::RetryPolicy;
use crate::wire::message::{Incoming, names};

/// The gateway's own codes; what they mean is said in its `docs/errors.md`.
mod codes {
    pub const UPSTREAM_UNREACHABLE: i64 = -31001;
    pub const OUTCOME_UNKNOWN: i64 = -31002;
    pub const TIMED_OUT: i64 = -31003;
    pub const TOO_MANY: i64 = -31004;
    pub const SESSION_UNAVAILABLE: i64 = -31005;
    pub const NO_SESSION: i64 = -31006;
    pub const REFUSED: i64 = -31007;
    pub const ANSWER_GONE: i64 = -31008;
    pub const UNAUTHENTICATED: i64 = -31009;
    /// MCP 2026-07-28: a header is missing or unlike the body.
    pub const HEADER_MISMATCH: i64 = -32020;
}

/// What went wrong with one attempt.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Nothing was sent.
    NotSent(ConnectionError),
    /// It was refused without being run; perhaps with a time to wait.
    Refused(ConnectionError),
    /// The session is forgotten. What was sent in it did not run; the error is what its caller is told if another
    /// handshake does not help.
    UnknownSession(Error),
    /// Headers did not repeat the arguments as they should: the tool's schema is not known, or has changed.
    HeaderMismatch(Error),
    /// It may have run.
    Lost(OutcomeUnknown),
    /// Sending it again would not help.
    Final(Error),
}

/// What one request has cost so far.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    retries: u32,
    has_reopened: bool,
    has_relisted: bool,
}

/// What is allowed to one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed<'a> {
    pub policy: &'a RetryPolicy,
    /// Running it twice does no harm.
    pub is_repeatable: bool,
    /// A new handshake may be made for it.
    pub can_reopen: bool,
    /// Tools may be listed again for it; not for a listing itself.
    pub can_relist: bool,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Send it again, so much later.
    Again(Duration, Error),
    /// Make a new handshake, and send it again.
    Reopen,
    /// List the tools, and send it again.
    Relist,
    /// Tell the caller.
    GiveUp(Error),
}

impl Tries {
    /// Decides what follows from a fault. `dice` is from 0 to 1; `spend` takes a retry out of the budget.
    pub fn next(
        &mut self,
        fault: Fault,
        allowed: Allowed<'_>,
        dice: f64,
        spend: impl FnOnce() -> bool,
    ) -> Next {
        let (error, wait) = match fault {
            Fault::NotSent(error) => (Error::from(error), None),
            Fault::Refused(error) => {
                let wait = error.retry_after;
                (Error::from(error), wait)
            }
            Fault::Lost(error) if allowed.is_repeatable => (Error::from(error), None),
            Fault::UnknownSession(_) if allowed.can_reopen && !self.has_reopened => {
                self.has_reopened = true;
                return Next::Reopen;
            }
            Fault::HeaderMismatch(_) if allowed.can_relist && !self.has_relisted => {
                self.has_relisted = true;
                return Next::Relist;
            }
            Fault::UnknownSession(error) | Fault::HeaderMismatch(error) => {
                return Next::GiveUp(error);
            }
            Fault::Lost(error) => return Next::GiveUp(error.into()),
            Fault::Final(error) => return Next::GiveUp(error),
        };
        let is_too_long = wait.is_some_and(|wait| wait > allowed.policy.retry_after_max);
        if self.retries >= allowed.policy.max_retries || is_too_long || !spend() {
            return Next::GiveUp(error);
        }
        // Whoever was told the same second to come back would come back together.
        let wait = wait.unwrap_or_default() + allowed.policy.delay(self.retries, dice);
        self.retries += 1;
        Next::Again(wait, error)
    }
}

/// What an HTTP status says that is no success.
pub(crate) struct Refusal<'a> {
    pub status: StatusCode,
    pub retry_after: Option<Duration>,
    pub body: &'a [u8],
    /// Whether it was sent with a legacy handle.
    pub has_handle: bool,
    /// The request's id, if it was sent in a legacy session, which can be forgotten.
    pub bound: Option<u64>,
}

impl Refusal<'_> {
    /// Returns what this is to the request that was refused.
    pub fn fault(self) -> Fault {
        let (rpc, named) = match Incoming::parse(self.body) {
            Some(Incoming::Answer { id, outcome: Err(error) }) => (Some(error), id),
            _ => (None, None),
        };
        let is_own = named.zip(self.bound).is_some_and(|(named, id)| names(&named, id));
        let is_forgotten = (self.has_handle || self.bound.is_some())
            && forgotten::says_status(
                self.status,
                rpc.as_ref().map(|error| (error, is_own)),
                self.body,
                self.has_handle,
            );
        let code = rpc.as_ref().map(code_of);
        let says =
            rpc.as_ref().map_or_else(|| self.status.to_string(), |error| error.message.to_string());
        let connection =
            |reason| ConnectionError::new(reason, says.clone()).retry_after(self.retry_after);
        match (self.status, code) {
            _ if is_forgotten => {
                Fault::UnknownSession(SessionError::new(SessionReason::Unknown, says).into())
            }
            (StatusCode::TOO_MANY_REQUESTS, _) => {
                Fault::Refused(connection(ConnectionReason::Busy))
            }
            (StatusCode::SERVICE_UNAVAILABLE, _) if self.retry_after.is_some() => {
                Fault::Refused(connection(ConnectionReason::Busy))
            }
            (status, _) if status.is_redirection() => {
                let message = format!(
                    "{status}: the server redirects to another origin, which is not followed"
                );
                let reason = ConnectionReason::Refused(status);
                Fault::Final(ConnectionError::new(reason, message).into())
            }
            (StatusCode::UNAUTHORIZED, _) => {
                Fault::Final(connection(ConnectionReason::Unauthorized).into())
            }
            (StatusCode::FORBIDDEN, code) if code != Some(codes::REFUSED) => {
                Fault::Final(connection(ConnectionReason::Unauthorized).into())
            }
            (status, _) if status.is_server_error() && rpc.is_none() => {
                let message = format!("the server answered {status}; the call may have run");
                Fault::Lost(OutcomeUnknown::new(UnknownReason::UpstreamLost, message))
            }
            _ => match rpc {
                Some(error) => answered(error),
                None => Fault::Final(connection(ConnectionReason::Refused(self.status)).into()),
            },
        }
    }
}

/// Returns what a JSON-RPC error is to the request that it answers, in a legacy session that may be forgotten.
pub(crate) fn answered_in_session(error: ErrorData) -> Fault {
    let is_forgotten = forgotten::says_error(&error);
    match answered(error) {
        Fault::Final(error) if is_forgotten => Fault::UnknownSession(error),
        fault => fault,
    }
}

/// Returns what a JSON-RPC error is to the request that it answers.
pub(crate) fn answered(error: ErrorData) -> Fault {
    let code = code_of(&error);
    let ran = error.data.as_ref().and_then(|data| data.get("ran")).and_then(Value::as_str);
    // Others may use these codes for something else. Who repeats must be told that it did not run.
    let did_not_run = ran == Some("no");
    let says = error.message.to_string();
    let reason = match code {
        codes::UPSTREAM_UNREACHABLE => ConnectionReason::UpstreamUnreachable,
        codes::TOO_MANY | codes::SESSION_UNAVAILABLE => ConnectionReason::Busy,
        codes::REFUSED => ConnectionReason::Refused(StatusCode::BAD_REQUEST),
        codes::UNAUTHENTICATED => ConnectionReason::Unauthorized,
        codes::OUTCOME_UNKNOWN => return lost(UnknownReason::UpstreamLost, says),
        codes::TIMED_OUT => return lost(UnknownReason::TimedOut, says),
        codes::ANSWER_GONE => return lost(UnknownReason::AnswerGone, says),
        codes::NO_SESSION => {
            return Fault::Final(SessionError::new(SessionReason::Unknown, says).into());
        }
        _ => {
            let failed = ToolError { code: Some(code), data: error.data, ..ToolError::new(says) };
            return match code {
                codes::HEADER_MISMATCH => Fault::HeaderMismatch(failed.into()),
                _ => Fault::Final(failed.into()),
            };
        }
    };
    let error = ConnectionError::new(reason, says);
    if did_not_run { Fault::Refused(error) } else { Fault::Final(error.into()) }
}

fn lost(reason: UnknownReason, says: String) -> Fault {
    Fault::Lost(OutcomeUnknown::new(reason, says))
}

fn code_of(error: &ErrorData) -> i64 {
    i64::from(error.code.0)
}

#[cfg(test)]
mod tests;
