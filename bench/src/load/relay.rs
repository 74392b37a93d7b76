//! How long an event of a stream is under way, from sent upstream to received.

use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use memchr::memmem;

use super::meter::Meter;
use crate::http::Connection;
use crate::mcp::{Call, Endpoint, Era, Session};
use crate::sse::Events;

/// Events of one call.
const EVENTS: u32 = 20;
/// Far enough apart that no event waits for another.
const GAP_MS: u32 = 5;

/// Reads streams of events that name the time they were sent.
pub async fn relay(endpoint: Rc<Endpoint>, meter: Rc<Meter>) -> Result<()> {
    let mut connection = Connection::open(endpoint.address).await?;
    let session = Session::open(&mut connection, &endpoint).await?;
    let mut call = Call::events(&endpoint, Era::Legacy(&session), EVENTS, GAP_MS);
    meter.arrive();
    while !meter.is_over() {
        let (head, mut body) = connection.begin(call.advance()).await?;
        let (mut read, mut seen) = (0, 0);
        loop {
            let now = SystemTime::now();
            let mut events = Events::new(connection.body(), read);
            for event in events.by_ref() {
                if let Some(sent) = sent_at(&event)? {
                    meter.record(now.duration_since(sent).unwrap_or_default());
                    seen += 1;
                }
            }
            read = events.position();
            if body.is_complete() {
                break;
            }
            connection.pull(&mut body).await?;
        }
        if let Err(error) = call.answer().check(&head, connection.body()) {
            meter.fault(error);
        } else if seen != EVENTS {
            meter.fault(format_args!("{seen} of {EVENTS} events arrived"));
        }
    }
    session.end(&mut connection, &endpoint).await
}

/// Returns when the event was sent, or nothing for another kind of event.
fn sent_at(event: &[u8]) -> Result<Option<SystemTime>> {
    let Some(at) = memmem::find(event, b"\"sent-") else { return Ok(None) };
    let digits = &event[at + 6..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).context("event cut short")?;
    let nanos: u64 =
        std::str::from_utf8(&digits[..end])?.parse().context("bad time of an event")?;
    Ok(Some(UNIX_EPOCH + Duration::from_nanos(nanos)))
}
