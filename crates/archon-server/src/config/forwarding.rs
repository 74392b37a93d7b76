//! Which of a client's headers go on to an upstream.

use anyhow::{Context, bail};
use http::header::{self, HeaderName, HeaderValue};

use super::file;

/// What a client may authenticate with beside `Authorization`.
pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Which of a client's headers go on to an upstream, beside the protocol's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarding {
    /// Those that were chosen; `None` for all that are not a matter between the client and us.
    pub chosen: Option<Vec<HeaderName>>,
    /// `Authorization`, which never goes on otherwise.
    pub authorization: bool,
    /// Whether `X-API-Key` is a matter between the client and us.
    pub keeps_api_key: bool,
    /// Where we say who authenticated.
    pub identity_header: Option<HeaderName>,
}

/// Reads what an upstream's table says.
pub(super) fn read(name: &str, upstream: &file::Upstream) -> anyhow::Result<Forwarding> {
    let parse = |setting: &str, text: &str| -> anyhow::Result<HeaderName> {
        let header = text.parse().with_context(|| {
            format!("upstreams.{name}: {text:?} in `{setting}` is not a header")
        })?;
        if let Some(reason) = reserved(&header) {
            bail!("upstreams.{name}: {text:?} cannot be in `{setting}`: {reason}");
        }
        Ok(header)
    };
    let chosen = upstream.forward_headers.as_ref().map(|headers| {
        headers.iter().map(|text| parse("forward_headers", text)).collect::<Result<_, _>>()
    });
    let identity_header = match upstream.identity_header.as_deref() {
        // The one name of ours that can be chosen.
        Some(text) if text.eq_ignore_ascii_case(IDENTITY) => {
            Some(HeaderName::from_static(IDENTITY))
        }
        Some(text) => Some(parse("identity_header", text)?),
        None => None,
    };
    Ok(Forwarding {
        chosen: chosen.transpose()?,
        authorization: upstream.forward_authorization,
        keeps_api_key: false,
        identity_header,
    })
}

const IDENTITY: &str = "x-archon-principal";

/// Returns why a header cannot be chosen, if it cannot.
fn reserved(header: &HeaderName) -> Option<&'static str> {
    let name = header.as_str();
    if *header == header::AUTHORIZATION {
        return Some("that is `forward_authorization = true`");
    }
    if *header == header::COOKIE {
        return Some("the gateway's own handle is in it");
    }
    if name.starts_with("x-archon-") {
        return Some("it is the gateway's own");
    }
    if name.starts_with("mcp-") || name == "x-mcp-session-id" || *header == "last-event-id" {
        return Some("it is the protocol's own, and taken care of");
    }
    if is_of_one_hop(header) || OF_THE_MESSAGE.contains(header) {
        return Some("it belongs to one hop");
    }
    None
}

/// RFC 9110, 7.6.1, and what older proxies send.
pub fn is_of_one_hop(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 7] = [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
    ];
    NAMES.contains(name) || name.as_str() == "keep-alive"
}

/// What says how this very message is sent.
const OF_THE_MESSAGE: [HeaderName; 7] = [
    header::HOST,
    header::ORIGIN,
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::EXPECT,
];

/// Returns `Authorization` from a variable of the environment.
pub(super) fn bearer(name: &str, variable: &str) -> anyhow::Result<HeaderValue> {
    let what = || format!("upstreams.{name}: `bearer_env` names {variable}, which holds no token");
    let token = std::env::var(variable).ok().filter(|token| !token.trim().is_empty());
    let token = token.with_context(what)?;
    // It is a secret, so a bad one is not repeated.
    let value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).ok();
    let mut value = value.with_context(what)?;
    value.set_sensitive(true);
    Ok(value)
}
