//! Children that go from one process of the gateway to the next; see [`crate::gateway::succession`].

use std::fmt;
use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use archon_sessions::layer::CallFailed;
use archon_sessions::protocol::{self, Envelope};
use archon_sessions::session::Era;
use archon_sessions::tracker::Presence;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::Method;
use sha2::{Digest, Sha256};

use super::child::{ChildState, Given, InUse};
use super::children::{Children, Hold, Key};
use super::launch::Process;
use super::table::Unknown;
use super::{Incoming, Sender, StdioUpstream, link_of};
use crate::config::StdioConfig;
use crate::gateway::succession::{Asked, Headers, Origin, Peer, Said};
use crate::gateway::wire::Answer;
use crate::gateway::wire::message::{Kind, Message};

/// How often it is looked whether a child has gone that is about to.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// What a child gets to end by itself that no upstream of the new configuration has.
const STOP_LIMIT: Duration = Duration::from_secs(2);

impl StdioUpstream {
    /// Hands over each child that rests, but for those whose handshake nobody has taken the answer of.
    pub async fn give_children(&self, peer: &Arc<Peer>) {
        for key in self.children.resting() {
            self.children.give(key, peer).await;
        }
    }

    /// Stops the children whose clients had no answer to their handshake: nobody knows them.
    pub fn stop_starting(&self) {
        self.children.stop_starting();
    }

    /// Takes over a child, if it runs what this upstream runs.
    pub fn take_child(
        &self,
        state: ChildState,
        body: Bytes,
        files: Vec<OwnedFd>,
        presence: impl Fn(&str) -> Option<Arc<Presence>>,
    ) {
        let (name, pid, children) = (self.name(), state.pid, &self.children);
        if state.program != program(children.config()) {
            tracing::info!(
                upstream = name,
                pid,
                "{name}[{pid}] is not taken over but stopped, since its command, `env`, `cwd` or `shared` has changed"
            );
            return stop(name.to_owned(), &state, files, children.config().stop_limit);
        }
        let Some(key) = state.key.parse().ok().filter(|key| children.has_place(*key)) else {
            tracing::warn!(
                upstream = name,
                pid,
                "{name}[{pid}] is not taken over but stopped: whose it is has another one already"
            );
            return stop(name.to_owned(), &state, files, children.config().stop_limit);
        };
        match children.resume(key, Given { state, body, files }, presence) {
            Ok(()) => {
                tracing::info!(upstream = name, pid, "{name}[{pid}] was taken over as it was");
            }
            Err(error) => {
                tracing::error!(
                    upstream = name,
                    pid,
                    "{name}[{pid}] could not be taken over, and ends: {error}"
                );
            }
        }
    }

    /// Answers a request of another process of this gateway; `None` if what it is for is not here.
    ///
    /// # Errors
    /// As for any request.
    pub async fn answer_peer(
        &self,
        from: Origin,
        asked: Asked,
        presence: Option<Arc<Presence>>,
        body: Bytes,
    ) -> Result<Option<Answer>, CallFailed> {
        let headers = asked.headers.map();
        let session = |id: Option<String>| id.and_then(|id| id.parse().ok());
        let envelope = match protocol::Message::parse(&body) {
            Ok(protocol::Message::Single(envelope)) => Some(envelope),
            _ => None,
        };
        let incoming = Incoming {
            sender: Sender {
                era: if asked.is_modern { Era::Modern } else { Era::Legacy },
                session: session(asked.session),
                continues: session(asked.continues),
                presence,
                is_proven: asked.is_proven,
                is_ours: asked.is_ours,
            },
            link: link_of(&headers),
            method: asked.method.parse().unwrap_or(Method::POST),
            message: Message::read(body.clone()),
            envelope: envelope.filter(|_: &Envelope| asked.is_modern),
            headers,
            body,
        };
        self.serve(&incoming, from).await
    }

    /// Answers a request here or, if its child is at another process, there; `None` if the successor asked for what is
    /// not here.
    pub(super) async fn serve(
        &self,
        incoming: &Incoming,
        origin: Origin,
    ) -> Result<Option<Answer>, CallFailed> {
        let key = incoming.key(self.children.config().shared);
        if let (Some(Key::Session(id)), Some(before)) = (key, incoming.sender.continues) {
            self.children.inherit(id, before);
        }
        if let Some(child) = self.hold(key, incoming, origin).await {
            return self.here(Some(child), incoming).await.map(Some);
        }
        let is_new = key.is_none();
        for peer in self.peers.beyond(origin) {
            // A new child is nobody's yet: it begins where it will stay.
            if is_new && self.peers.predecessor().is_some_and(|before| Arc::ptr_eq(before, &peer)) {
                continue;
            }
            let answered = peer.relay(self.name(), &incoming.asked(), &incoming.body).await;
            if let Some(answered) = answered {
                return answered.map(Some);
            }
        }
        // It may be here by now.
        if let Some(child) = self.hold(key, incoming, origin).await {
            return self.here(Some(child), incoming).await.map(Some);
        }
        match origin {
            Origin::Successor => Ok(None),
            Origin::Client | Origin::Predecessor => self.here(None, incoming).await.map(Some),
        }
    }

    /// Returns the child that a request is for, if it is here. The successor gets the child instead, if that rests.
    async fn hold(&self, key: Option<Key>, incoming: &Incoming, origin: Origin) -> Option<InUse> {
        let key = key?;
        loop {
            match self.children.hold(key) {
                Hold::Here(child) if origin != Origin::Successor => return Some(child),
                Hold::Here(child) => {
                    drop(child);
                    if let Some(peer) = self.peers.successor()
                        && self.children.give(key, peer).await
                    {
                        return None;
                    }
                    // Where clients share a child, the calls of the successor's would keep it here for ever.
                    let waits = self.peers.is_closing()
                        && incoming.message.as_ref().is_some_and(|m| m.kind == Kind::Request);
                    if !waits && let Hold::Here(child) = self.children.hold(key) {
                        return Some(child);
                    }
                }
                Hold::Leaving => {}
                Hold::Absent => return None,
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Children {
    /// Hands a child over, if it rests; returns whether it is gone.
    pub async fn give(&self, key: Key, peer: &Arc<Peer>) -> bool {
        let Some(child) = self.find(key) else { return false };
        let Some(given) = child.give(key.to_string(), program(self.config())).await else {
            return false;
        };
        let Given { state, body, files } = given;
        let (name, pid) = (&**self.name(), state.pid);
        let said = Said::Child { upstream: name.to_owned(), child: Box::new(state) };
        if peer.send(&said, body, files) {
            tracing::info!(upstream = name, pid, "{name}[{pid}] goes to the new process");
        } else {
            tracing::error!(
                upstream = name,
                pid,
                "{name}[{pid}] could not be handed over, and ends: what its clients have not read is too much"
            );
        }
        // Whoever does not find it here any more asks the other process, which hears of it first.
        self.forget(&child);
        true
    }
}

impl Incoming {
    /// Returns whose child it is for; `None` if it is for a new one, or for none.
    pub(super) fn key(&self, is_shared: bool) -> Option<Key> {
        let of_link = || {
            let link = self.link?;
            Some(if is_shared { Key::SharedLegacy } else { Key::Link(link) })
        };
        if self.method == Method::GET || self.method == Method::DELETE {
            return of_link();
        }
        match self.sender.era {
            Era::Modern => Some(self.sender.modern_key(is_shared)),
            Era::Legacy if self.is_handshake() => is_shared.then_some(Key::SharedLegacy),
            Era::Legacy => of_link(),
        }
    }

    /// Returns what another process has to know of it.
    fn asked(&self) -> Asked {
        let Sender { era, session, continues, is_proven, is_ours, .. } = &self.sender;
        Asked {
            method: self.method.to_string(),
            is_modern: *era == Era::Modern,
            session: session.map(|id| id.to_string()),
            continues: continues.map(|id| id.to_string()),
            is_proven: *is_proven,
            is_ours: *is_ours,
            headers: Headers::of(&self.headers, |name| name.starts_with("mcp-")),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(link) => write!(f, "link {link}"),
            Self::SharedLegacy => f.write_str("shared"),
            Self::Session(session) => write!(f, "session {session}"),
            Self::Common => f.write_str("common"),
            Self::Probe => f.write_str("probe"),
        }
    }
}

impl FromStr for Key {
    type Err = Unknown;

    /// Reads the key of a child that may be handed over, which a probe is not.
    fn from_str(text: &str) -> Result<Self, Unknown> {
        match text.split_once(' ') {
            Some(("link", link)) => link.parse().map(Self::Link).map_err(|_| Unknown),
            Some(("session", id)) => id.parse().map(Self::Session).map_err(|_| Unknown),
            None if text == "shared" => Ok(Self::SharedLegacy),
            None if text == "common" => Ok(Self::Common),
            _ => Err(Unknown),
        }
    }
}

/// Has a child stopped, in order, of which there is no upstream any more.
pub fn stop_unknown(upstream: &str, child: &ChildState, files: Vec<OwnedFd>) {
    let pid = child.pid;
    tracing::info!(
        upstream,
        pid,
        "{upstream}[{pid}] is not taken over but stopped, since its upstream is not in the configuration any more"
    );
    stop(upstream.to_owned(), child, files, STOP_LIMIT);
}

fn stop(upstream: String, child: &ChildState, files: Vec<OwnedFd>, limit: Duration) {
    let pid = child.pid;
    let Some(control) = files.into_iter().nth(2) else { return };
    let Ok(mut process) = Process::resume(control, pid) else { return };
    // Nobody waits for it: its supervisor stops it as well when this process ends.
    tokio::spawn(async move {
        process.stop(limit).await;
        process.gone(limit * 2 + STOP_LIMIT).await;
        tracing::info!(upstream, pid, "{upstream}[{pid}] was stopped");
    });
}

/// Returns a digest of what makes children of an upstream what they are. Values of `env` may be secrets.
fn program(config: &StdioConfig) -> String {
    let cwd = config.cwd.as_ref().map(|cwd| cwd.as_os_str().as_encoded_bytes());
    let text = serde_json::json!([config.command, config.env.0, cwd, config.shared]).to_string();
    BASE64_STANDARD.encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        let link = Key::Link(Uuid::new_v4());
        let session = Key::Session(archon_sessions::session::SessionId::random());
        for key in [link, session, Key::SharedLegacy, Key::Common] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        for text in ["probe", "link", "link x", "session", ""] {
            assert_eq!(text.parse::<Key>(), Err(Unknown), "{text}");
        }
    }

    #[test]
    fn what_a_child_runs_is_told_apart() {
        let one = StdioConfig::of_line("server --a b").unwrap();
        let mut others = vec![
            StdioConfig::of_line("server '--a b'").unwrap(),
            StdioConfig { shared: true, ..one.clone() },
            StdioConfig { cwd: Some("/".into()), ..one.clone() },
        ];
        let mut other = one.clone();
        other.env.0.insert("KEY".into(), "secret".into());
        others.push(other);
        for other in &others {
            assert_ne!(program(&one), program(other), "{other:?}");
        }
        assert!(!program(&others[3]).contains("secret"));
        let same = StdioConfig { children_max: 7, ..one.clone() };
        assert_eq!(program(&one), program(&same));
    }
}
