//! Messages beside the answers: notifications of ours, and answers to servers' questions.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::attempt::lost;
use super::fault::{Fault, Refusal};
use super::{Inner, Link};
use crate::error::UnknownReason;
use crate::session::Era;
use crate::wire::headers;
use crate::wire::http::{Sent, read_refusal, retry_after};
use crate::wire::message;

/// A message that nobody waits for may take so long.
const ASIDE_LIMIT: Duration = Duration::from_secs(5);
/// How many tasks may answer servers' questions and say goodbye to calls. A server that asks more at once is not
/// answered.
const TASKS_MAX: usize = 256;

impl Inner {
    /// Sends a message that has no answer, and returns whether the server took it.
    pub(super) async fn post_aside(
        &self,
        link: &Link,
        text: String,
        method: &str,
    ) -> Result<(), Fault> {
        let mut headers = self.headers(link);
        if link.era == Era::Modern {
            headers::mirror(&mut headers, method, &Value::Null, None);
        }
        let sent = Sent::default();
        let posting = self.http.post(headers, Bytes::from(text), &sent);
        let response = match timeout(ASIDE_LIMIT, posting).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.broken(error, &sent)),
            Err(_) => {
                return Err(lost(
                    UnknownReason::TimedOut,
                    format!("{method} was not taken in time"),
                ));
            }
        };
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let retry_after = retry_after(response.headers(), Timestamp::now());
        let body = read_refusal(response).await;
        Err(Refusal {
            status,
            retry_after,
            body: &body,
            has_handle: link.handle.is_some(),
            bound: None,
        }
        .fault())
    }

    /// Sends a message that has no answer, beside everything else.
    pub(super) fn post_beside(
        self: &Arc<Self>,
        link: &Arc<Link>,
        text: String,
        method: &'static str,
    ) {
        if self.tasks.len() >= TASKS_MAX || self.stop.is_cancelled() {
            return;
        }
        let (inner, link) = (self.clone(), link.clone());
        self.tasks.spawn(async move {
            if let Err(fault) = inner.post_aside(&link, text, method).await {
                tracing::debug!(?fault, "{method} did not get through");
            }
        });
    }

    /// Answers a server's question, beside everything else.
    pub(super) fn answer_beside(
        self: &Arc<Self>,
        link: &Arc<Link>,
        id: Value,
        method: &str,
        params: Value,
    ) {
        if self.tasks.len() >= TASKS_MAX {
            tracing::warn!("the server asks too much at once; {method} is not answered");
            return;
        }
        let asked = match method {
            "ping" => None,
            _ => Some(self.settings.handler.request(method, params)),
        };
        let (inner, link) = (self.clone(), link.clone());
        self.tasks.spawn(async move {
            let outcome = match asked {
                Some(asked) => tokio::select! {
                    outcome = asked => outcome,
                    // The question is not answered: who closes has no session to answer in.
                    () = inner.stop.cancelled() => return,
                },
                None => Ok(json!({})),
            };
            let text = message::answer(&id, outcome);
            if let Err(fault) = inner.post_aside(&link, text, "response").await {
                tracing::debug!(?fault, "an answer to the server did not get through");
            }
        });
    }
}
