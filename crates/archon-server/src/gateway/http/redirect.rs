//! What becomes of a redirection: followed within the upstream's own origin, where that keeps the request as it is.

use http::header::LOCATION;
use http::{HeaderMap, Method, StatusCode, Uri};
use url::Url;

/// Redirections followed for one request; a server that adds a slash needs one.
pub const FOLLOWED_MAX: usize = 5;

/// What follows from an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// It is the answer.
    Answer,
    /// The same request goes there.
    Follow(Uri),
    /// It is not followed, for this reason. The address stays out of it: it is the upstream's affair.
    Refuse(&'static str),
}

/// Returns what follows from an answer with this head to a request that was sent to `at`.
pub fn step(method: &Method, at: &Uri, status: StatusCode, headers: &HeaderMap) -> Step {
    let Some(location) = headers.get(LOCATION).filter(|_| status.is_redirection()) else {
        return Step::Answer;
    };
    let here = Url::parse(&at.to_string()).ok();
    let there = here.as_ref().zip(location.to_str().ok()).and_then(|(here, to)| here.join(to).ok());
    let (Some(here), Some(there)) = (here, there) else {
        return Step::Refuse("it redirects to what is not a URL");
    };
    if here.origin() != there.origin() || !there.username().is_empty() {
        return Step::Refuse("it redirects to another origin; configure the URL that it should be");
    }
    let keeps_method = match status {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        // Clients differ in whether they make a GET of a POST (RFC 9110, 15.4): there is no doubt with a GET.
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => {
            *method == Method::GET
        }
        _ => false,
    };
    if !keeps_method {
        return Step::Refuse(
            "it redirects in a way that does not keep the request's method; configure the URL that it should be",
        );
    }
    let target = &there[url::Position::BeforeScheme..url::Position::AfterQuery];
    target.parse().map_or(Step::Refuse("it redirects to what is not a URL"), Step::Follow)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(method: &Method, status: u16, location: &'static str) -> Step {
        let at = Uri::from_static("http://h.example:8000/mcp?k=v");
        let headers = [(LOCATION, HeaderValue::from_static(location))].into_iter().collect();
        step(method, &at, StatusCode::from_u16(status).unwrap(), &headers)
    }

    fn to(uri: &'static str) -> Step {
        Step::Follow(Uri::from_static(uri))
    }

    #[test]
    fn the_same_origin_is_followed_with_the_same_method() {
        for method in [Method::POST, Method::GET, Method::DELETE] {
            for status in [307, 308] {
                let target = to("http://h.example:8000/mcp/?k=v");
                assert_eq!(of(&method, status, "/mcp/?k=v"), target);
                assert_eq!(of(&method, status, "http://H.example:8000/mcp/?k=v#x"), target);
                assert_eq!(of(&method, status, "mcp/"), to("http://h.example:8000/mcp/"));
            }
        }
        assert_eq!(of(&Method::GET, 302, "/mcp/"), to("http://h.example:8000/mcp/"));
    }

    #[test]
    fn another_origin_or_method_is_not() {
        for location in [
            "http://h.example/mcp/",
            "https://h.example:8000/mcp",
            "//evil.example/",
            "http://user:pw@h.example:8000/",
            "http://[",
            "javascript:alert(1)",
        ] {
            for status in [301, 302, 303, 307, 308, 300] {
                let step = of(&Method::POST, status, location);
                let Step::Refuse(why) = step else { panic!("{status} {location}: {step:?}") };
                assert!(!why.contains("example"));
            }
        }
        for method in [Method::POST, Method::DELETE] {
            for status in [301, 302, 303] {
                assert!(matches!(of(&method, status, "/mcp/"), Step::Refuse(_)), "{status}");
            }
        }
    }

    #[test]
    fn what_names_no_place_is_an_answer() {
        let at = Uri::from_static("http://h.example/");
        let not_modified = StatusCode::NOT_MODIFIED;
        assert_eq!(step(&Method::GET, &at, not_modified, &HeaderMap::new()), Step::Answer);
        let created = [(LOCATION, HeaderValue::from_static("/x"))].into_iter().collect();
        assert_eq!(step(&Method::POST, &at, StatusCode::CREATED, &created), Step::Answer);
    }
}
