//! Says that a client is alive while it does nothing. The task ends with the client.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::builder::Heartbeat;
use super::call::Place;
use super::{Inner, Link};
use crate::error::Error;

/// A client that has done nothing for so long asks for the first time how long it may be silent. One that only makes a
/// few calls never asks.
const FIRST: Duration = Duration::from_secs(5);
/// A third of the time that a session may be silent: two beats may be lost.
const PART: u32 = 3;
/// However short that is, nobody beats faster.
const EVERY_MIN: Duration = Duration::from_millis(20);
/// However long it is: proxies forget connections that are silent for longer.
const EVERY_MAX: Duration = Duration::from_secs(600);

impl Inner {
    pub(super) fn touch(&self) {
        *self.last_use.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(super) fn start_heartbeat(self: &Arc<Self>) {
        let every = match self.settings.heartbeat {
            Heartbeat::Off => return,
            // Without a gateway there is nobody to tell.
            _ if self.known().session_id.is_none() => return,
            Heartbeat::Auto => None,
            Heartbeat::Every(every) => Some(every.max(EVERY_MIN)),
        };
        self.tasks.spawn(keep_alive(Arc::downgrade(self), self.stop.clone(), every));
    }
}

async fn keep_alive(client: Weak<Inner>, stop: CancellationToken, fixed: Option<Duration>) {
    let mut every = fixed.unwrap_or(FIRST);
    let mut dead: Option<Arc<Link>> = None;
    loop {
        // Between 80 and 100 %, so that clients that began together do not beat together.
        let due = every.mul_f64(0.8 + 0.2 * fastrand::f64());
        let Some(wait) = client.upgrade().map(|client| due.saturating_sub(client.idle())) else {
            return;
        };
        tokio::select! {
            () = tokio::time::sleep(wait.max(EVERY_MIN)) => {}
            // Nothing is lost: there is nobody left to be alive.
            () = stop.cancelled() => return,
        }
        let Some(client) = client.upgrade() else { return };
        if client.idle() < due {
            continue;
        }
        let Ok(link) = client.link() else { return };
        if dead.as_ref().is_some_and(|dead| dead.generation == link.generation) {
            client.touch();
            continue;
        }
        let beat = tokio::select! {
            beat = client.beat(Place::On(&link)) => beat,
            // The beat was not needed any more.
            () = stop.cancelled() => return,
        };
        match beat {
            Ok(Some(silence)) if fixed.is_none() => {
                every = (silence / PART).clamp(EVERY_MIN, EVERY_MAX);
            }
            Ok(Some(_)) => {}
            // The gateway's tools are switched off; asking for its list was a sign of life, and calls are.
            Ok(None) => client.forget_tools(),
            Err(Error::Session(error)) => {
                // Somebody ended this session. Coming back unasked would undo that; the next call comes back.
                tracing::info!("no more heartbeats: {error}");
                dead = Some(link);
            }
            Err(error) => tracing::debug!("a heartbeat did not get through: {error}"),
        }
    }
}
