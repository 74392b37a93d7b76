//! Which answers are refusals, and what is noted of them: each passes here, whoever made it.

use http::header::{HeaderValue, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Response};
use serde::Deserialize;

use super::edge::PeerAddress;
use crate::protocol::Message;
use crate::session::{ClientInfo, Identity, Principal, Timestamp};
use crate::tracker::{Refused, Tracker};

/// On an answer that turns its request away, until that is noted.
#[derive(Clone, Debug)]
struct Mark {
    cause: &'static str,
    detail: Box<str>,
    client: Option<Box<str>>,
}

/// Marks an answer as a refusal.
pub(super) fn mark<B>(
    mut response: Response<B>,
    cause: &'static str,
    detail: impl Into<Box<str>>,
) -> Response<B> {
    let mark = Mark { cause, detail: detail.into(), client: None };
    response.extensions_mut().insert(mark);
    response
}

/// Says on a refusal what the sender calls itself, where its message says that.
pub(super) fn name_client<B>(response: &mut Response<B>, message: &Message) {
    let Some(mark) = response.extensions_mut().get_mut::<Mark>() else { return };
    mark.client = message.envelopes().iter().find_map(|envelope| {
        let client = match (&envelope.meta.client_info, envelope.params.as_deref()) {
            (Some(info), _) => ClientInfo::read(Some(info), None),
            (None, Some(params)) if &*envelope.method == "initialize" => {
                ClientInfo::from_initialize(params)
            }
            (None, _) => return None,
        };
        client.name
    });
}

/// Returns what an upstream says in its refusal.
pub(super) fn reason(answer: Option<&[u8]>, status: http::StatusCode) -> String {
    #[derive(Deserialize)]
    struct Answer {
        error: Option<Reason>,
    }
    #[derive(Deserialize)]
    struct Reason {
        message: Option<String>,
    }
    let answer = answer.and_then(|answer| serde_json::from_slice::<Answer>(answer).ok());
    let message = answer.and_then(|answer| answer.error?.message);
    message.unwrap_or_else(|| format!("the upstream answered with status {status}"))
}

/// Who sent a request, kept until it is answered.
pub(super) struct Sender {
    peer: Option<PeerAddress>,
    principal: Principal,
    agent: Option<HeaderValue>,
}

impl Sender {
    pub(super) fn of(parts: &Parts) -> Self {
        let identity = parts.extensions.get::<Identity>();
        Self {
            peer: parts.extensions.get::<PeerAddress>().copied(),
            principal: identity.map(|identity| identity.principal.clone()).unwrap_or_default(),
            agent: agent(&parts.headers).cloned(),
        }
    }

    /// Notes a refusal; does nothing with any other answer.
    pub(super) fn note<B>(&self, response: &mut Response<B>, tracker: &Tracker, upstream: &str) {
        let Some(Mark { cause, detail, client }) = response.extensions_mut().remove() else {
            return;
        };
        let agent = || self.agent.as_ref().and_then(|agent| agent.to_str().ok());
        let refused = Refused {
            cause,
            upstream,
            peer: self.peer.map(|peer| peer.0.ip()),
            principal: &self.principal,
            client: client.as_deref().or_else(agent),
            detail: &detail,
        };
        tracker.note_refusal(&refused, Timestamp::now());
    }
}

fn agent(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(USER_AGENT)
}
