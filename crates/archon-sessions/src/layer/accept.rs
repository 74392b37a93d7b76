//! Which forms of answers a client takes, and what a server behind us is told of that.
//!
//! A client must list both forms (MCP 2025-11-25, Transports, Sending Messages), and servers on most SDKs refuse one
//! that does not. Clients that list only JSON, or nothing, are common, so they get from us what they can read.

use http::Method;
use http::header::{ACCEPT, HeaderMap, HeaderValue};

const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// What a client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepts {
    /// Streams of events, by name.
    Streams,
    /// JSON and nothing else.
    JsonOnly,
    /// It does not say.
    Anything,
}

impl Accepts {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        if lists(headers, "text/event-stream") {
            return Self::Streams;
        }
        let is_open = ["*/*", "text/*"].into_iter().any(|range| lists(headers, range));
        let takes_json =
            ["application/json", "application/*"].into_iter().any(|r| lists(headers, r));
        if takes_json && !is_open { Self::JsonOnly } else { Self::Anything }
    }
}

/// Tells the service behind us what we take in the client's place.
pub(super) fn complete(headers: &mut HeaderMap, method: &Method) {
    let takes_streams = lists(headers, "text/event-stream");
    if *method == Method::POST && !(takes_streams && lists(headers, "application/json")) {
        headers.insert(ACCEPT, BOTH);
    } else if *method == Method::GET && Accepts::of(headers) == Accepts::Anything {
        headers.insert(ACCEPT, STREAM);
    }
}

fn lists(headers: &HeaderMap, range: &str) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges = values.flat_map(|value| value.split(','));
    ranges.any(|one| {
        let name = one.split(';').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case(range)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &[&'static str]) -> HeaderMap {
        accept.iter().map(|value| (ACCEPT, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_a_client_takes_is_what_it_lists() {
        for (accept, takes) in [
            (&["application/json, text/event-stream"][..], Accepts::Streams),
            (&["application/json", "Text/Event-Stream;q=0.5"], Accepts::Streams),
            (&["application/json"], Accepts::JsonOnly),
            (&["application/json; charset=utf-8, application/*"], Accepts::JsonOnly),
            (&["application/json, */*;q=0.1"], Accepts::Anything),
            (&["*/*"], Accepts::Anything),
            (&[], Accepts::Anything),
        ] {
            assert_eq!(Accepts::of(&headers(accept)), takes, "{accept:?}");
        }
    }

    #[test]
    fn a_server_is_told_both_forms_and_keeps_what_says_both() {
        let told = |accept: &[&'static str], method: Method| {
            let mut headers = headers(accept);
            complete(&mut headers, &method);
            let told = headers.get(ACCEPT).map(|value| value.to_str().unwrap().to_owned());
            told.unwrap_or_default()
        };
        let own = "text/event-stream, application/json;q=0.9";
        assert_eq!(told(&[own], Method::POST), own);
        for accept in [&["application/json"][..], &["text/event-stream"], &["*/*"], &[]] {
            assert_eq!(told(accept, Method::POST), "application/json, text/event-stream");
        }
        assert_eq!(told(&["*/*"], Method::GET), "text/event-stream");
        assert_eq!(told(&["application/json"], Method::GET), "application/json");
        assert_eq!(told(&[], Method::DELETE), "");
    }
}
