//! What an upstream hands over to a successor, and takes over from a predecessor.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use archon_sessions::layer::CallFailed;
use archon_sessions::session::SessionId;
use archon_sessions::tracker::Presence;
use bytes::Bytes;

use super::Upstream;
use crate::gateway::bridge::GivenLink;
use crate::gateway::eras::Speaks;
use crate::gateway::plain::Plain;
use crate::gateway::stdio::{ChildState, StdioUpstream};
use crate::gateway::succession::{Asked, Origin, Peer, Peers, Said};
use crate::gateway::wire::Answer;

impl Upstream {
    /// Returns the other processes of this gateway.
    pub fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }

    /// Hands over what is no process: links of modern clients, and which versions its server speaks.
    pub fn hand_over(&self, peer: &Arc<Peer>) {
        let speaks = self.plain.eras().and_then(|eras| eras.get());
        if let (Some(speaks), Plain::Stdio(_)) = (speaks, &self.plain) {
            let is_modern = matches!(speaks, Speaks::Modern(_));
            let (Speaks::Modern(versions) | Speaks::LegacyOnly(versions)) = speaks;
            peer.say(&Said::Eras { upstream: self.name().to_owned(), is_modern, versions });
        }
        if let Some(bridge) = &self.bridge {
            bridge.give_links(peer, None);
        }
    }

    /// Hands over the links of these sessions.
    pub fn give_links(&self, peer: &Arc<Peer>, sessions: &[SessionId]) {
        if let Some(bridge) = &self.bridge {
            bridge.give_links(peer, Some(sessions));
        }
    }

    /// Takes over the link of a session.
    pub fn take_link(&self, link: GivenLink) {
        if let Some(bridge) = &self.bridge {
            bridge.take_link(link);
        }
    }

    /// Learns which versions its server speaks, if it does not know.
    pub fn learn_eras(&self, is_modern: bool, versions: Vec<String>) {
        if let Some(eras) = self.plain.eras().filter(|eras| eras.get().is_none()) {
            eras.set(if is_modern {
                Speaks::Modern(versions)
            } else {
                Speaks::LegacyOnly(versions)
            });
        }
    }

    /// Hands over each child that rests.
    pub async fn give_children(&self, peer: &Arc<Peer>) {
        if let Some(stdio) = self.stdio() {
            stdio.give_children(peer).await;
        }
    }

    /// Gives up what keeps children here though no client waits for it.
    pub fn give_up_waiting(&self) {
        if let Some(bridge) = &self.bridge {
            bridge.give_up_parked();
        }
        if let Some(stdio) = self.stdio() {
            stdio.stop_starting();
        }
    }

    /// Takes over a child, if it is still one of ours.
    pub fn take_child(
        &self,
        child: ChildState,
        body: Bytes,
        files: Vec<OwnedFd>,
        presence: impl Fn(&str) -> Option<Arc<Presence>>,
    ) {
        match self.stdio() {
            Some(stdio) => stdio.take_child(child, body, files, presence),
            None => crate::gateway::stdio::stop_unknown(self.name(), &child, files),
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
        match self.stdio() {
            Some(stdio) => stdio.answer_peer(from, asked, presence, body).await,
            None => Ok(None),
        }
    }

    fn stdio(&self) -> Option<&StdioUpstream> {
        match &self.plain {
            Plain::Stdio(stdio) => Some(stdio),
            Plain::Http(_) | Plain::Demo(_) => None,
        }
    }
}
