//! Other nodes of this gateway: gateways that share its database.
//!
//! Each session is at one node, and a request that comes to another is sent on to it, over a port that is for nodes only.
//! Whoever speaks there shows a key that all nodes of a database read from it, so there is no secret to configure. The
//! connection is not encrypted: it belongs on a network that only nodes can reach.

mod links;

pub use links::Links;

use archon_sessions::session::SessionId;
use archon_sessions::tracker::Question;
use http::HeaderName;
use sha2::{Digest as _, Sha256};

/// Shows that a request comes from a node.
pub const NODE_KEY: HeaderName = HeaderName::from_static("x-archon-node-key");
/// The address of the client whose request was sent on, `host:port`.
pub const CLIENT_ADDRESS: HeaderName = HeaderName::from_static("x-archon-client-address");

/// Says that the call of a request that was sent on may have run at a node that is gone.
pub const MAY_HAVE_RUN: HeaderName = HeaderName::from_static("x-archon-may-have-run");

const KNOWS: &str = "/nodes/knows/";
const GIVE: &str = "/nodes/give/";

/// Returns what nodes show each other, from a secret that the database keeps.
pub fn key_of(secret: &str) -> String {
    let digest = Sha256::new().chain_update("archon nodes\0").chain_update(secret).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the path that asks a question.
fn path(question: &Question) -> String {
    match question {
        Question::Knows(id) => format!("{KNOWS}{id}"),
        Question::Give { session, to } => {
            let to = percent_encoding::utf8_percent_encode(to, percent_encoding::NON_ALPHANUMERIC);
            format!("{GIVE}{session}/{to}")
        }
    }
}

/// Reads a path that asks a question.
pub fn question(path: &str) -> Option<Question> {
    if let Some(id) = path.strip_prefix(KNOWS) {
        return Some(Question::Knows(id.parse().ok()?));
    }
    let (session, to) = path.strip_prefix(GIVE)?.split_once('/')?;
    let to = percent_encoding::percent_decode_str(to).decode_utf8().ok()?;
    Some(Question::Give { session: session.parse::<SessionId>().ok()?, to: to.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_it_was_written() {
        for asked in [
            Question::Knows(SessionId::random().as_uuid()),
            Question::Give { session: SessionId::random(), to: "a b/c:8080".into() },
        ] {
            assert_eq!(question(&path(&asked)), Some(asked));
        }
        for path in ["/nodes/knows/1", "/nodes/give/1/a", "/nodes/give/", "/mcp"] {
            assert_eq!(question(path), None, "{path}");
        }
    }
}
