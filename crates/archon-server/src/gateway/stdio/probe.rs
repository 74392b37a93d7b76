//! Which era a command speaks: asked of a child that is thrown away afterwards, since a server that was asked
//! this first may not take a handshake any more.

use std::sync::Arc;
use std::time::Duration;

use archon_sessions::layer::CallFailed;
use bytes::Bytes;

use super::child::Pending;
use super::children::{Children, Key};
use super::mailbox::Mailbox;
use super::table::Owner;
use crate::gateway::eras::{DISCOVER, Knowledge, Speaks, legacy_versions, read_discovery};
use crate::gateway::wire::message::Message;

/// A server of the legacy era may leave a question unanswered that it does not know.
const LIMIT: Duration = Duration::from_secs(5);

/// Returns which versions the upstream speaks, asking it if need be.
///
/// # Errors
/// If it cannot be started.
pub async fn speaks(children: &Arc<Children>, eras: &Knowledge) -> Result<Speaks, CallFailed> {
    if let Some(known) = eras.get() {
        return Ok(known);
    }
    let _turn = eras.asking.lock().await;
    if let Some(known) = eras.get() {
        return Ok(known);
    }
    let child = children.find_or_start(Key::Probe)?;
    let asked = tokio::time::timeout(LIMIT, async {
        let mailbox = Arc::<Mailbox>::default();
        let message = Message::read(Bytes::from_static(DISCOVER.as_bytes()))?;
        let admitted = child.table().admit(&message, Owner::Nobody, true, mailbox.clone())?;
        let pending = Pending::new(
            child.clone(),
            archon_sessions::session::Era::Legacy,
            admitted.number,
            mailbox,
        );
        child.send(&admitted.bytes).await.ok()?;
        pending.mailbox().answer().await
    });
    let answer = asked.await.ok().flatten();
    if answer.is_none() {
        child.has_ended(LIMIT).await;
    }
    child.stop();
    if child.is_not_a_command() {
        return Err(children.could_not_start(&child));
    }
    let speaks = match &answer {
        Some(answer) => read_discovery(&answer.json),
        // No answer in time, or an end instead of one, means legacy (MCP 2026-07-28, Versioning).
        None => Speaks::LegacyOnly(legacy_versions()),
    };
    let name = &**children.name();
    tracing::info!(upstream = name, "upstream {name} speaks {speaks:?}");
    match answer {
        Some(_) => eras.set(speaks.clone()),
        // It may only have been slow: the first start of an `npx` downloads what it runs.
        None => eras.guess(speaks.clone()),
    }
    Ok(speaks)
}
