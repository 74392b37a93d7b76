//! Which era a command speaks: asked of a child that is thrown away afterwards, since a server that was asked
//! this first may not take a handshake any more.

use std::sync::Arc;
use std::time::Duration;

use archon_sessions::layer::CallFailed;
use archon_sessions::session::Era;
use bytes::Bytes;

use super::child::{Child, Pending};
use super::children::{Children, Key};
use super::mailbox::{Mailbox, Next};

use super::table::Owner;
use crate::gateway::eras::{DISCOVER, Knowledge, Speaks, legacy_versions, read_discovery};
use crate::gateway::wire::message::Message;

/// A server of the legacy era may leave a question unanswered that it does not know.
const LIMIT: Duration = Duration::from_secs(5);

/// Returns which versions the upstream speaks, asking it if need be.
///
/// # Errors
/// If it cannot be started.
pub async fn speaks(children: &Arc<Children>, eras: &Arc<Knowledge>) -> Result<Speaks, CallFailed> {
    if let Some(known) = eras.get() {
        return Ok(known);
    }
    if children.is_slow_to_start() {
        // A second one would begin what takes so long once more. Whoever did a handshake knows its server.
        return Ok(Speaks::LegacyOnly(legacy_versions()));
    }
    let _turn = eras.asking.lock().await;
    if let Some(known) = eras.get() {
        return Ok(known);
    }
    let child = children.find_or_start(Key::Probe).await?;
    let Some(pending) = ask(children, &child) else {
        return Err(CallFailed::unreachable(children.name()));
    };
    let Ok(answer) = tokio::time::timeout(LIMIT, pending.mailbox().answer()).await else {
        let (name, limit) = (&**children.name(), LIMIT.as_secs());
        tracing::info!(
            upstream = name,
            "{name} did not answer server/discover within {limit} s; until it does it is taken for a server of the \
             handshake versions"
        );
        let speaks = Speaks::LegacyOnly(legacy_versions());
        eras.guess(speaks.clone());
        wait_on(children, eras, (*child).clone(), pending);
        return Ok(speaks);
    };
    if answer.is_none() {
        child.has_ended(LIMIT).await;
    }
    child.stop();
    if child.is_not_a_command() {
        return Err(children.could_not_start(&child));
    }
    let speaks = match &answer {
        Some(answer) => learned(children.name(), &answer.json),
        // An end instead of an answer means legacy (MCP 2026-07-28, Versioning).
        None => Speaks::LegacyOnly(legacy_versions()),
    };
    match answer {
        Some(_) => eras.set(speaks.clone()),
        None => eras.guess(speaks.clone()),
    }
    Ok(speaks)
}

/// Asks a child.
fn ask(children: &Arc<Children>, child: &Arc<Child>) -> Option<Pending> {
    let mailbox = Arc::<Mailbox>::default();
    let message = Message::read(Bytes::from_static(DISCOVER.as_bytes()))?;
    let admitted = child.table().admit(&message, Owner::Nobody, true, mailbox.clone())?;
    let pending = Pending::new(child.clone(), Era::Legacy, admitted.number, mailbox.clone());
    let told = child.clone();
    children.spawn(async move {
        if told.send(&admitted.bytes).await.is_err() {
            mailbox.end(Next::Lost);
        }
    });
    Some(pending)
}

/// Leaves a child that has not answered the time that any start gets: it may be installing its server, which would only
/// begin again with the next one.
fn wait_on(children: &Arc<Children>, eras: &Arc<Knowledge>, child: Arc<Child>, pending: Pending) {
    let limit = children.config().start_timeout;
    let (name, eras) = (children.name().clone(), eras.clone());
    children.spawn(async move {
        let answer = tokio::time::timeout(limit, pending.mailbox().answer()).await;
        if let Ok(Some(answer)) = answer {
            eras.set(learned(&name, &answer.json));
        }
        child.stop();
    });
}

fn learned(name: &str, answer: &[u8]) -> Speaks {
    let speaks = read_discovery(answer);
    let (Speaks::Modern(versions) | Speaks::LegacyOnly(versions)) = &speaks;
    tracing::info!(upstream = name, "{name} speaks {}", versions.join(", "));
    speaks
}
