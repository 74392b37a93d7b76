//! The query of a client's URL, beside the one that is configured: what is configured cannot be overridden.

use std::collections::HashSet;

use http::Uri;
use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;

/// Returns the configured target with what a client's query adds to it.
pub fn with_clients(target: &Uri, client: Option<&str>) -> Option<Uri> {
    let client = client.filter(|query| !query.is_empty())?;
    let configured = target.query().filter(|query| !query.is_empty());
    let taken: HashSet<String> = keys(configured.unwrap_or_default()).collect();
    let added = client.split('&').filter(|part| !keys(part).any(|key| taken.contains(&key)));
    let all: Vec<&str> = configured.into_iter().chain(added).collect();
    let path_and_query = match &*all.join("&") {
        "" => target.path().to_owned(),
        query => format!("{}?{query}", target.path()),
    };
    let mut parts = target.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path_and_query).ok()?);
    Uri::from_parts(parts).ok()
}

/// Returns the keys of a query in the one form in which the most careless server would take them for each other:
/// decoded, in lower case, without what PHP takes for an index, with its replacements. Some servers part at `;` too.
fn keys(query: &str) -> impl Iterator<Item = String> {
    query.split(['&', ';']).map(|pair| {
        let key = pair.split('=').next().unwrap_or_default().replace('+', " ");
        let key = percent_decode_str(&key).decode_utf8_lossy().to_lowercase();
        let key = key.trim_start().split(['[', '\0']).next().unwrap_or_default();
        key.replace([' ', '.'], "_")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(target: &'static str, client: &str) -> String {
        let target = Uri::from_static(target);
        with_clients(&target, Some(client)).unwrap_or(target).to_string()
    }

    #[test]
    fn a_clients_query_comes_after_the_configured_one() {
        assert_eq!(of("http://h/mcp", "toolsets=a,b&x"), "http://h/mcp?toolsets=a,b&x");
        assert_eq!(of("http://h/mcp?k=v", "toolsets=a"), "http://h/mcp?k=v&toolsets=a");
        assert_eq!(of("http://h/mcp?k=v", ""), "http://h/mcp?k=v");
        assert_eq!(of("http://h/", "a=%26&a=2"), "http://h/?a=%26&a=2");
        assert_eq!(of("http://h/?", "a=1"), "http://h/?a=1");
    }

    #[test]
    fn it_cannot_override_what_is_configured() {
        for evil in [
            "api_key=evil",
            "API_KEY=evil",
            "%61pi_key=evil",
            "api_key",
            "api_key[]=evil",
            "api%5Fkey%5B0%5D=evil",
            "api.key=evil",
            "api+key=evil",
            "+api_key=evil",
            "api_key%00=evil",
            "b=1;api_key=evil",
        ] {
            let merged = of("http://h/mcp?api_key=good", &format!("{evil}&a=1"));
            assert_eq!(merged, "http://h/mcp?api_key=good&a=1", "{evil}");
        }
        assert_eq!(of("http://h/mcp?k=good", "k=evil"), "http://h/mcp?k=good");
    }
}
