//! Requests of the modern era: each stands for itself, and its stream is its life.

use std::sync::Arc;

use archon_sessions::layer::CallFailed;
use archon_sessions::protocol::Envelope;
use archon_sessions::protocol::codes::modern_status;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::child::{Child, InUse, Pending, Unsent};
use super::events;
use super::mailbox::{self, Next};
use super::table::Owner;
use super::{Incoming, Sender, StdioUpstream};
use crate::gateway::catalog::Page;
use crate::gateway::wire::Answer;
use crate::gateway::wire::answer::{self, KEEP_ALIVE, mismatch};
use crate::gateway::wire::message::{Kind, Message};
use crate::gateway::wire::object::Object;

/// A child that ends under our hands is replaced; one that does so twice is not worth a third.
const TRIES: usize = 2;

impl StdioUpstream {
    /// Answers a request of the modern era.
    pub(super) async fn modern(
        &self,
        mut found: Option<InUse>,
        incoming: &Incoming,
        message: &Message,
    ) -> Result<Answer, CallFailed> {
        let Incoming { sender, headers, envelope, .. } = incoming;
        let key = sender.modern_key(self.children.config().shared);
        let owner = sender.session.map_or(Owner::Nobody, Owner::Session);
        if message.kind != Kind::Request {
            return match found {
                Some(child) => {
                    let passed = self.pass(&child, owner, message).await;
                    Ok(passed.unwrap_or_else(|_| answer::empty(StatusCode::ACCEPTED)))
                }
                None => Ok(answer::empty(StatusCode::ACCEPTED)),
            };
        }
        let mut ended = None;
        for _ in 0..TRIES {
            let child = match found.take() {
                Some(child) => child,
                None => self.children.find_or_start(key).await?,
            };
            child.touch(owner, sender.presence.as_ref());
            if let Some(envelope) = envelope.as_ref().filter(|_| message.method == "tools/call") {
                self.check_mirrored(&child, owner, headers, envelope).await?;
            }
            match self.send(&child, owner, sender, message).await {
                Ok(pending) => return self.answer_modern(pending).await,
                Err(Unsent) => ended = Some((*child).clone()),
            }
        }
        let Some(child) = ended else { return Err(CallFailed::unreachable(self.name())) };
        child.has_ended(self.children.config().start_timeout).await;
        Err(self.children.could_not_start(&child))
    }

    /// Waits for the first message of an answer: the protocol has a status for some errors.
    async fn answer_modern(&self, pending: Pending) -> Result<Answer, CallFailed> {
        let mailbox = pending.mailbox().clone();
        // A call that takes longer is past the errors that have a status of their own.
        let first = tokio::time::timeout(KEEP_ALIVE, mailbox.peek()).await;
        match first {
            Ok(Next::Event(event)) => {
                self.children.condition().answered();
                let mailbox::Role::Answer(code) = event.role else {
                    return Ok(events::events(mailbox, pending));
                };
                Ok(answer::json(modern_status(code), event.json))
            }
            Ok(Next::Lost) => Err(CallFailed::lost(self.name())),
            // Its client has cancelled it, and wants no answer.
            Ok(Next::End) => Ok(events::events(mailbox, pending)),
            Err(_) => Ok(events::events(mailbox, pending)),
        }
    }

    /// Checks the headers that mirror a call's arguments. Schemas are learned from the lists that pass by;
    /// before the first one, we ask for it.
    async fn check_mirrored(
        &self,
        child: &Arc<Child>,
        owner: Owner,
        headers: &HeaderMap,
        envelope: &Envelope,
    ) -> Result<(), CallFailed> {
        let Some(tool) = envelope.tool() else { return Ok(()) };
        if let Some(meta) = envelope.meta.source.as_deref() {
            let ask = |cursor| self.list_tools(child, owner, meta, cursor);
            self.catalog.complete(self.children.config().start_timeout, ask).await;
        }
        let params = envelope.params.as_deref().unwrap_or("{}");
        self.catalog.check_mirrors(tool, headers, params).map_err(mismatch)
    }

    /// Asks for a page of the tools as the sender of a call with this `_meta` would; both are JSON text.
    async fn list_tools(
        &self,
        child: &Arc<Child>,
        owner: Owner,
        meta: &str,
        cursor: Option<String>,
    ) -> Option<Page> {
        let mut params = Object::default();
        params.set("_meta", meta);
        if let Some(cursor) = cursor {
            params.set("cursor", cursor);
        }
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":"archon-tools","method":"tools/list","params":{params}}}"#
        );
        let pending = self.send_ours(child, owner, &Message::read(Bytes::from(text))?).await?;
        let answer = pending.mailbox().answer().await?;
        Page::read(&answer.json)
    }

    async fn send_ours(
        &self,
        child: &Arc<Child>,
        owner: Owner,
        message: &Message,
    ) -> Option<Pending> {
        let era = archon_sessions::session::Era::Modern;
        let (session, continues, presence) = (None, None, None);
        let ours = Sender { era, session, continues, presence, is_proven: false, is_ours: true };
        self.send(child, owner, &ours, message).await.ok()
    }
}
