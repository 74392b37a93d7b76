//! The messages between predecessor and successor.

use archon_sessions::layer::CallFailed;
use archon_sessions::store::Outcome;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::bridge::GivenLink;
use super::super::stdio::ChildState;

/// The version of the protocol. Processes of different versions hand no children over.
pub const VERSION: u32 = 1;

/// The head of a frame. Messages that only a later version knows are ignored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Said {
    /// The first word, of the successor first. The predecessor's comes after what belongs to no child.
    Hello {
        /// See [`VERSION`].
        version: u32,
    },
    /// A request for a child of the other's; its body is the frame's.
    Request {
        /// Which one, among those of who says it.
        number: u64,
        /// The upstream's name.
        upstream: String,
        /// The rest of it.
        asked: Asked,
    },
    /// The head of an answer; all of it, with the frame's body, unless it is a stream.
    Head {
        /// The request's.
        number: u64,
        /// HTTP status.
        status: u16,
        /// Headers that matter.
        headers: Headers,
        /// Whether parts follow.
        is_stream: bool,
    },
    /// A part of a stream: the frame's body.
    Part {
        /// The request's.
        number: u64,
    },
    /// Another part may come.
    More {
        /// The request's.
        number: u64,
    },
    /// The end of a stream.
    End {
        /// The request's.
        number: u64,
        /// Whether it broke off.
        is_broken: bool,
    },
    /// The request was answered by a failure.
    Failed {
        /// The request's.
        number: u64,
        /// Which.
        failed: Failed,
    },
    /// There is no such child here, or not any more: it went before this.
    NotHere {
        /// The request's.
        number: u64,
    },
    /// The answer has no reader any more.
    Leave {
        /// The request's.
        number: u64,
    },
    /// A child; its descriptors are the frame's, and what it was in the middle of saying is the body.
    Child {
        /// The upstream's name.
        upstream: String,
        /// Whose it is, and what is known of it.
        child: Box<ChildState>,
    },
    /// The link of a modern client's session at a legacy server.
    Link {
        /// The upstream's name.
        upstream: String,
        /// What is known of it.
        link: Box<GivenLink>,
    },
    /// Whether there is a link of one of these sessions, which is then said before the answer, [`Said::NotHere`].
    AskLink {
        /// Which question, among the requests of who says it.
        number: u64,
        /// The upstream's name.
        upstream: String,
        /// The sessions' ids.
        sessions: Vec<String>,
    },
    /// Which versions an upstream speaks.
    Eras {
        /// The upstream's name.
        upstream: String,
        /// Whether it speaks the modern era.
        is_modern: bool,
        /// The versions.
        versions: Vec<String>,
    },
    /// A message of a later version.
    #[serde(other)]
    Other,
}

/// A request, as far as it matters to a child.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// HTTP's.
    pub method: String,
    /// The era that its client speaks.
    pub is_modern: bool,
    /// The client's session.
    pub session: Option<String>,
    /// The session that this one continues.
    pub continues: Option<String>,
    /// Whether the client has shown that it is its own.
    pub is_proven: bool,
    /// Whether the gateway made the request itself.
    pub is_ours: bool,
    /// Those of the protocol.
    pub headers: Headers,
}

/// Headers, those left out whose values are no text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Returns those of which this is true.
    pub fn of(headers: &HeaderMap, is_kept: impl Fn(&str) -> bool) -> Self {
        let kept = headers.iter().filter(|(name, _)| is_kept(name.as_str()));
        let texts = kept.filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        });
        Self(texts.collect())
    }

    /// Returns them as HTTP has them.
    pub fn map(&self) -> HeaderMap {
        let read = |(name, value): &(String, String)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
        };
        self.0.iter().filter_map(read).collect()
    }
}

/// A failure of a call.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failed {
    status: u16,
    code: i64,
    message: String,
    /// JSON text.
    data: Option<String>,
    outcome: Outcome,
    is_repeatable: bool,
}

impl From<CallFailed> for Failed {
    fn from(failed: CallFailed) -> Self {
        Self {
            status: failed.status.as_u16(),
            code: failed.code,
            message: failed.message,
            data: failed.data.map(|data| data.get().to_owned()),
            outcome: failed.outcome,
            is_repeatable: failed.is_repeatable,
        }
    }
}

impl From<Failed> for CallFailed {
    fn from(failed: Failed) -> Self {
        Self {
            status: StatusCode::from_u16(failed.status).unwrap_or(StatusCode::OK),
            code: failed.code,
            message: failed.message,
            data: failed.data.and_then(|data| RawValue::from_string(data).ok()),
            outcome: failed.outcome,
            is_repeatable: failed.is_repeatable,
        }
    }
}

impl Said {
    /// Returns it as a head.
    pub fn head(&self) -> Bytes {
        // It has no map with keys that are no texts, nor anything else that can fail.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Reads a head.
    pub fn read(head: &[u8]) -> Option<Self> {
        serde_json::from_slice(head).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_says_is_passed_over() {
        let later = br#"{"kind":"song","verses":3}"#;
        assert!(matches!(Said::read(later), Some(Said::Other)));
        let more = br#"{"kind":"hello","version":1,"name":"x"}"#;
        assert!(matches!(Said::read(more), Some(Said::Hello { version: 1 })));
        assert!(Said::read(b"GET /").is_none());
    }

    #[test]
    fn a_failure_arrives_as_it_was() {
        let data = RawValue::from_string(r#"{"supported":[]}"#.into()).unwrap();
        let failed = CallFailed {
            data: Some(data),
            status: StatusCode::BAD_REQUEST,
            ..CallFailed::lost("a")
        };
        let (message, code) = (failed.message_for(Some("1")), failed.code);
        let said = Said::Failed { number: 7, failed: failed.into() };
        let Some(Said::Failed { failed: read, .. }) = Said::read(&said.head()) else {
            panic!("not read")
        };
        let read = CallFailed::from(read);
        assert_eq!((read.status, read.code), (StatusCode::BAD_REQUEST, code));
        assert_eq!(read.message_for(Some("1")), message);
    }
}
