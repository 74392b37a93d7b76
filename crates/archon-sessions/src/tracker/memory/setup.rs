//! What a client set up on its connection after the handshake, to be set up again where the upstream
//! forgot it: its log level, and the resources it subscribed to.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Affinity;
use crate::protocol::Envelope;

/// Subscriptions kept for one connection; what exceeds them is not renewed.
const SUBSCRIPTIONS_MAX: usize = 256;
/// Params of one of them; a URI is shorter.
const PARAMS_BYTES_MAX: usize = 4096;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct ConnectionSetup {
    level: Option<Arc<str>>,
    /// URI and params.
    subscriptions: Vec<(Box<str>, Arc<str>)>,
}

/// Its stored form: JSON texts in JSON.
#[derive(Serialize, Deserialize)]
struct Stored {
    level: Option<String>,
    #[serde(default)]
    subscriptions: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    affinity: String,
    /// Whether its connection came to its session by nothing but its name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    named: bool,
}

impl ConnectionSetup {
    /// Returns true if a request of this method sets something up.
    pub fn is_of(method: &str) -> bool {
        matches!(method, "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe")
    }

    /// Reads the stored form, with what is stored beside it: the affinity, and whether the session was only named;
    /// nothing from a text that is not one.
    pub(in crate::tracker) fn from_stored(text: &str) -> (Self, Option<Affinity>, bool) {
        let Ok(stored) = serde_json::from_str::<Stored>(text) else {
            return (Self::default(), None, false);
        };
        let pairs = stored.subscriptions.into_iter().take(SUBSCRIPTIONS_MAX);
        let setup = Self {
            level: stored.level.map(Into::into),
            subscriptions: pairs.map(|(uri, params)| (uri.into(), params.into())).collect(),
        };
        let affinity = Some(stored.affinity).filter(|text| !text.is_empty());
        (setup, affinity.as_deref().map(Affinity::from_stored), stored.named)
    }

    /// Returns the stored form, with the rest beside it; `None` if there is nothing to store.
    pub(in crate::tracker) fn to_stored(
        setup: Option<&Self>,
        affinity: Option<&Affinity>,
        named: bool,
    ) -> Option<Arc<str>> {
        let affinity = affinity.map(Affinity::text).filter(|text| !text.is_empty());
        if setup.is_none() && affinity.is_none() && !named {
            return None;
        }
        let pairs = setup.map_or(&[][..], |setup| &setup.subscriptions).iter();
        let stored = Stored {
            level: setup.and_then(|setup| setup.level.as_deref()).map(str::to_owned),
            subscriptions: pairs
                .map(|(uri, params)| (uri.to_string(), params.to_string()))
                .collect(),
            affinity: affinity.as_deref().unwrap_or_default().to_owned(),
            named,
        };
        serde_json::to_string(&stored).ok().map(Into::into)
    }

    pub(in crate::tracker) fn is_empty(&self) -> bool {
        self.level.is_none() && self.subscriptions.is_empty()
    }

    /// Notes a request of the client's, if it is one of those.
    pub(in crate::tracker) fn note(&mut self, envelope: &Envelope) {
        let params = envelope.params.as_deref().filter(|params| params.len() <= PARAMS_BYTES_MAX);
        let (Some(params), target) = (params, envelope.target.as_deref()) else { return };
        match (&*envelope.method, target) {
            ("logging/setLevel", _) => self.level = Some(params.into()),
            ("resources/subscribe", Some(uri)) => {
                self.subscriptions.retain(|(known, _)| **known != *uri);
                if self.subscriptions.len() < SUBSCRIPTIONS_MAX {
                    self.subscriptions.push((uri.into(), params.into()));
                }
            }
            ("resources/unsubscribe", Some(uri)) => {
                self.subscriptions.retain(|(known, _)| **known != *uri);
            }
            _ => {}
        }
    }

    /// Returns the requests that set it up again: method and params as JSON text.
    pub fn requests(&self) -> impl Iterator<Item = (&'static str, &Arc<str>)> {
        let level = self.level.iter().map(|params| ("logging/setLevel", params));
        level.chain(self.subscriptions.iter().map(|(_, params)| ("resources/subscribe", params)))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::protocol::Message;

    #[test]
    fn the_latest_level_and_the_open_subscriptions_are_kept() {
        let mut setup = ConnectionSetup::default();
        for (method, params) in [
            ("logging/setLevel", r#"{"level":"info"}"#),
            ("logging/setLevel", r#"{"level":"debug"}"#),
            ("resources/subscribe", r#"{"uri":"a:1"}"#),
            ("resources/subscribe", r#"{"uri":"a:2"}"#),
            ("resources/subscribe", r#"{"uri":"a:2"}"#),
            ("resources/unsubscribe", r#"{"uri":"a:1"}"#),
            ("tools/list", "{}"),
        ] {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
            let message = Message::parse(&Bytes::from(body)).unwrap();
            setup.note(&message.envelopes()[0]);
        }
        let found: Vec<_> = setup.requests().map(|(method, params)| (method, &**params)).collect();
        let expected = [
            ("logging/setLevel", r#"{"level":"debug"}"#),
            ("resources/subscribe", r#"{"uri":"a:2"}"#),
        ];
        assert_eq!(found, expected);
        let stored = ConnectionSetup::to_stored(Some(&setup), None, false).unwrap();
        let (again, affinity, is_named) = ConnectionSetup::from_stored(&stored);
        assert!(again.requests().eq(setup.requests()), "the stored form reads back");
        assert!(affinity.is_none() && !stored.contains("affinity") && !is_named);
    }

    #[test]
    fn an_affinity_is_stored_beside_it() {
        let affinity = Affinity::from_stored("a=1");
        let stored = ConnectionSetup::to_stored(None, Some(&affinity), true).unwrap();
        let (setup, again, is_named) = ConnectionSetup::from_stored(&stored);
        assert_eq!(again.map(|again| again.text()), Some("a=1".into()));
        assert_eq!((setup.requests().count(), is_named), (0, true));
        assert_eq!(ConnectionSetup::to_stored(None, Some(&Affinity::default()), false), None);
    }
}
