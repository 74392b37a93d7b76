//! What this server is called by those who make out tokens to it (RFC 8707), and what it says of itself (RFC 9728).

use std::net::SocketAddr;

use http::HeaderMap;
use http::header::HOST;

/// RFC 9728, 3.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The origins under which clients reach us, the first where a request does not tell which.
#[derive(Clone, Debug)]
pub struct Origins(Vec<String>);

impl Origins {
    /// Returns the one that is configured, or else the names of this machine for itself. Never what a request
    /// says alone: that would let its sender choose to whom his token has to be made out.
    pub fn new(public_url: Option<&str>, address: SocketAddr) -> Self {
        if let Some(url) = public_url {
            return Self(vec![url.to_owned()]);
        }
        let port = address.port();
        let mut all = vec![format!("http://{address}")];
        for host in ["127.0.0.1", "localhost", "[::1]"] {
            let origin = format!("http://{host}:{port}");
            if !all.contains(&origin) {
                all.push(origin);
            }
        }
        Self(all)
    }

    /// Returns the origin that a request is meant for.
    fn of(&self, headers: &HeaderMap) -> &str {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let is_meant = |origin: &&String| {
            origin.split_once("://").is_some_and(|(_, own)| own.eq_ignore_ascii_case(host))
        };
        self.0.iter().find(is_meant).or(self.0.first()).map_or("", String::as_str)
    }

    /// Returns to whom tokens for an endpoint may be made out: to it, by each of its paths, or to all of this
    /// server. Clients put a slash behind it or do not.
    pub fn audiences(&self, paths: &[String]) -> Vec<String> {
        let of_origin = |origin: &String| {
            let at = |path: &String| format!("{origin}{path}");
            let all: Vec<String> =
                std::iter::once(origin.clone()).chain(paths.iter().map(at)).collect();
            all.into_iter().flat_map(|name| [format!("{name}/"), name])
        };
        self.0.iter().flat_map(of_origin).collect()
    }

    /// Returns where the metadata for a path is.
    pub fn metadata_url(&self, headers: &HeaderMap, path: &str) -> String {
        format!("{}{WELL_KNOWN}{}", self.of(headers), path.trim_end_matches('/'))
    }

    /// Returns the metadata for the resource at this path, or, without one, for all of this server.
    pub fn metadata(&self, headers: &HeaderMap, path: &str, issuer: &str) -> String {
        serde_json::json!({
            "resource": format!("{}{path}", self.of(headers)),
            "authorization_servers": [issuer],
            "bearer_methods_supported": ["header"],
        })
        .to_string()
    }
}

/// Returns the path of the resource whose metadata is at this path.
pub fn described_by(path: &str) -> Option<&str> {
    let path = path.strip_prefix(WELL_KNOWN)?.trim_end_matches('/');
    (path.is_empty() || path.starts_with('/')).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn asked_at(host: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(host));
        headers
    }

    #[test]
    fn a_request_chooses_among_our_names_and_adds_none() {
        let here = Origins::new(None, ([127, 0, 0, 1], 8051).into());
        let url = |host| here.metadata_url(&asked_at(host), "/mcp/a");
        let rest = "/.well-known/oauth-protected-resource/mcp/a";
        assert_eq!(url("LOCALHOST:8051"), format!("http://localhost:8051{rest}"));
        assert_eq!(url("other.example"), format!("http://127.0.0.1:8051{rest}"));
        let public = Origins::new(Some("https://mcp.example"), ([127, 0, 0, 1], 8051).into());
        assert_eq!(
            public.metadata_url(&asked_at("localhost:8051"), "/mcp"),
            "https://mcp.example/.well-known/oauth-protected-resource/mcp"
        );
        assert_eq!(
            public.audiences(&["/mcp".into()]),
            [
                "https://mcp.example/",
                "https://mcp.example",
                "https://mcp.example/mcp/",
                "https://mcp.example/mcp",
            ]
        );
    }

    #[test]
    fn metadata_lies_beside_each_resource() {
        assert_eq!(described_by("/.well-known/oauth-protected-resource"), Some(""));
        assert_eq!(described_by("/.well-known/oauth-protected-resource/mcp/a/"), Some("/mcp/a"));
        assert_eq!(described_by("/.well-known/oauth-protected-resourceful"), None);
        assert_eq!(described_by("/mcp"), None);
    }
}
