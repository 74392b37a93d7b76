//! The record of requests that were turned away: counted by cause, upstream, address and minute.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::session::{Network, Principal, Timestamp};
use crate::store::{RefusedRequests, reports};
use crate::tracker::Tracker;

/// Rows that may wait to be written, for as long as the writer takes to come by. Beyond it addresses are not told apart.
const ROWS_MAX: usize = 256;
/// Of texts that a stranger chooses, so much is kept.
const TEXT_CHARS_MAX: usize = 200;

/// The words for causes, as they are stored, counted and shown. The API's port has its own beside them.
pub mod causes {
    /// `Host` or `Origin` is not one of ours.
    pub const HOST_NOT_ALLOWED: &str = "host_not_allowed";
    /// The body was too large, too slow, or broke off.
    pub const BODY_REFUSED: &str = "body_refused";
    /// The request does not say what it must, or not in the form it must.
    pub const MALFORMED: &str = "malformed";
    /// It shows nothing where it must show who sends it.
    pub const UNAUTHENTICATED: &str = "unauthenticated";
    /// What it shows is not good.
    pub const BAD_CREDENTIALS: &str = "bad_credentials";
    /// Whether what it shows is good could not be found out.
    pub const CREDENTIALS_UNCHECKED: &str = "credentials_unchecked";
    /// It shows no handle.
    pub const NO_SESSION: &str = "no_session";
    /// Its handle is unknown, or has ended.
    pub const UNKNOWN_SESSION: &str = "unknown_session";
    /// The store could not be asked for its handle.
    pub const STORE_UNAVAILABLE: &str = "store_unavailable";
    /// The node that has its session could not be reached.
    pub const UNREACHABLE: &str = "node_unreachable";
    /// There are as many sessions as there may be.
    pub const TOO_MANY_SESSIONS: &str = "too_many_sessions";
    /// Its address or its session does too much at once.
    pub const RATE_LIMITED: &str = "rate_limited";
    /// The upstream refused a handshake.
    pub const HANDSHAKE_REFUSED: &str = "handshake_refused";
    /// The upstream did not answer a handshake.
    pub const HANDSHAKE_FAILED: &str = "handshake_failed";
}

/// A request that was turned away.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// Why: one of a fixed number of words, [`causes`] for example.
    pub cause: &'static str,
    /// Where; empty for what is no upstream's.
    pub upstream: &'a str,
    /// From where.
    pub peer: Option<IpAddr>,
    /// Who sent it.
    pub principal: &'a Principal,
    /// What its sender calls itself.
    pub client: Option<&'a str>,
    /// What it was told.
    pub detail: &'a str,
}

impl Tracker {
    /// Notes that a request was turned away. It is counted at once, and stored within the next batch.
    pub fn note_refusal(&self, refused: &Refused<'_>, now: Timestamp) {
        if let Some(observer) = self.observer() {
            observer.refused(refused.upstream, refused.cause);
        }
        self.inner.writer.note_refusal(refused, now);
    }
}

/// Rows that wait to be written: at most [`ROWS_MAX`], and one more for each cause and upstream.
#[derive(Default)]
pub(in crate::tracker) struct Refusals(HashMap<Key, RefusedRequests>);

/// What is counted together.
type Key = (Timestamp, &'static str, Arc<str>, Option<Network>);

impl Refusals {
    pub(in crate::tracker) fn add(&mut self, refused: &Refused<'_>, now: Timestamp) {
        let (minute, upstream) = (reports::minute_of(now), Arc::<str>::from(refused.upstream));
        let mut key = (minute, refused.cause, upstream, refused.peer.map(Network::of));
        if self.0.len() >= ROWS_MAX && !self.0.contains_key(&key) {
            key.3 = None;
        }
        let row = self.0.entry(key).or_insert_with_key(|(_, _, upstream, peer)| RefusedRequests {
            minute,
            cause: refused.cause,
            upstream: upstream.clone(),
            peer: *peer,
            principal: refused.principal.clone(),
            client: refused.client.map(shown).filter(|client| !client.is_empty()),
            detail: shown(refused.detail),
            count: 0,
            last_at: now,
        });
        row.count = row.count.saturating_add(1);
        row.last_at = row.last_at.max(now);
    }

    pub(in crate::tracker) fn take(&mut self) -> Vec<RefusedRequests> {
        let mut rows: Vec<_> = std::mem::take(&mut self.0).into_values().collect();
        // In one order, so that two processes lock rows in the same one.
        rows.sort_by(|a, b| {
            (a.minute, a.cause, &a.upstream, a.peer).cmp(&(b.minute, b.cause, &b.upstream, b.peer))
        });
        rows
    }
}

/// Returns a text of a stranger's as it is kept: one line, and not long.
fn shown(text: &str) -> Box<str> {
    let plain = text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX);
    plain.collect::<String>().trim().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANYBODY: Refused<'_> = Refused {
        cause: causes::UNKNOWN_SESSION,
        upstream: "main",
        peer: None,
        principal: &Principal::Anonymous,
        client: Some("an agent\n"),
        detail: "session not found",
    };

    fn from(number: u32) -> Refused<'static> {
        Refused { peer: Some(IpAddr::from((0x0a00_0000 + number).to_be_bytes())), ..ANYBODY }
    }

    #[test]
    fn requests_of_a_minute_are_one_row_with_a_count() {
        let (mut refusals, now) = (Refusals::default(), Timestamp::from_micros(90_000_000));
        (0..50).for_each(|_| refusals.add(&from(1), now));
        refusals.add(&from(2), now);
        refusals.add(&Refused { cause: causes::MALFORMED, ..from(1) }, now);
        refusals.add(&from(1), Timestamp::from_micros(130_000_000));
        let rows = refusals.take();
        let counts: Vec<_> = rows.iter().map(|row| (row.minute, row.cause, row.count)).collect();
        let [first, second] = [60_000_000, 120_000_000].map(Timestamp::from_micros);
        assert_eq!(
            counts,
            [
                (first, "malformed", 1),
                (first, "unknown_session", 50),
                (first, "unknown_session", 1),
                (second, "unknown_session", 1)
            ]
        );
        assert_eq!(rows[1].client.as_deref(), Some("an agent"));
        assert!(refusals.take().is_empty());
    }

    #[test]
    fn rows_are_bounded_and_none_is_uncounted() {
        let (mut refusals, now) = (Refusals::default(), Timestamp::from_micros(0));
        (0..10_000).for_each(|number| refusals.add(&from(number), now));
        let long = "x".repeat(10_000);
        refusals.add(&Refused { detail: &long, client: Some(&long), ..from(0) }, now);
        let rows = refusals.take();
        assert_eq!(rows.len(), ROWS_MAX + 1);
        assert_eq!(rows.iter().map(|row| row.count).sum::<u32>(), 10_001);
        assert!(rows.iter().all(|row| row.detail.len() <= TEXT_CHARS_MAX));
    }
}
