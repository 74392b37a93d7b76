//! The stream on which a legacy client is told what changes: fed from one `subscriptions/listen` at a time.

use std::sync::Arc;
use std::time::Duration;

use archon_sessions::layer::InnerRequest;
use futures_util::FutureExt;

use super::connection::{Connection, Listening, Wanted};
use super::{to_legacy, to_modern};
use crate::gateway::plain::Plain;
use crate::gateway::wire::Answer;
use crate::gateway::wire::incoming::{Incoming, Said};
use crate::gateway::wire::message::{Kind, Message};
use crate::gateway::wire::written::{self, Out};

/// Pauses before a subscription that ended is opened again: from the first to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// The first message that a server sends on a subscription.
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// Returns the client's stream. It stays open whatever becomes of the server.
pub fn stream(plain: Plain, connection: Arc<Connection>, request: InnerRequest) -> Answer {
    let listening = connection.listen();
    written::stream(move |out| async move {
        let mut feed = Feed { plain, connection, request, listening };
        feed.run(&out).await;
        Ok(())
    })
}

struct Feed {
    plain: Plain,
    connection: Arc<Connection>,
    request: InnerRequest,
    listening: Listening,
}

impl Feed {
    async fn run(&mut self, out: &Out) {
        let (mut open, mut pause) = (None::<Incoming>, PAUSE_MIN);
        loop {
            let wanted = self.listening.wanted.borrow_and_update().clone();
            // The new subscription first, so that nothing falls between the two.
            let next = self.open(&wanted).await;
            if let Some(mut last) = open.take() {
                while let Some(Ok(Some(message))) = last.next().now_or_never() {
                    tell(&message, out).await;
                }
            }
            match next {
                Ok(subscription) => open = subscription,
                Err(()) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                    continue;
                }
            }
            pause = PAUSE_MIN;
            self.listening.is_heard(wanted.turn);
            if self.tell_until_changed(&mut open, out).await {
                continue;
            }
            open = None;
            tokio::time::sleep(pause).await;
        }
    }

    /// Opens a subscription, and waits until the server has acknowledged it; `None` if there is nothing to tell.
    async fn open(&self, wanted: &Wanted) -> Result<Option<Incoming>, ()> {
        let Some(filter) = self.listening.filter(wanted) else { return Ok(None) };
        let body = to_modern::listen(&self.connection.meta, &filter);
        let listen = to_modern::request(&self.request, "subscriptions/listen", None, body);
        let answer = self.plain.call(listen).await.map_err(|_| ())?;
        let Said::Messages(mut incoming) = Said::of(answer) else { return Err(()) };
        match incoming.next().await {
            Ok(Some(message)) if message.method == ACKNOWLEDGED => Ok(Some(incoming)),
            // It has no subscriptions, or not this one: then there is nothing to tell.
            Ok(Some(Message { kind: Kind::Answer { code: Some(_) }, .. })) => Ok(None),
            _ => Err(()),
        }
    }

    /// Tells what the server says; true once something else is wanted, false if the subscription ended.
    async fn tell_until_changed(&mut self, open: &mut Option<Incoming>, out: &Out) -> bool {
        loop {
            let next = async {
                match open {
                    Some(open) => open.next().await,
                    None => std::future::pending().await,
                }
            };
            // What was read of a message is kept when the other branch wins.
            tokio::select! {
                next = next => match next {
                    Ok(Some(message)) if message.kind == Kind::Notification => tell(&message, out).await,
                    _ => return false,
                },
                changed = self.listening.wanted.changed() => return changed.is_ok(),
            }
        }
    }
}

async fn tell(message: &Message, out: &Out) {
    if message.kind == Kind::Notification && message.method != ACKNOWLEDGED {
        out.send(&to_legacy::news(&message.bytes)).await;
    }
}
