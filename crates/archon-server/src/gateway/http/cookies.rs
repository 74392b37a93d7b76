//! The cookies of one link: what a balancer in front of an upstream finds the right one of its servers by.
//!
//! RFC 6265, for a single origin: a cookie goes to the very URL that it came from, on the link on which it came.

use cookie::{Cookie, Expiration};
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use http::{HeaderName, Uri};
use serde::{Deserialize, Serialize};

/// Cookies kept of one link; balancers set one or two. The oldest gives way.
const COOKIES_MAX: usize = 16;
/// Bytes of a name and its value together; RFC 6265, 6.1, has clients keep as much.
const COOKIE_BYTES_MAX: usize = 4096;
/// Bytes of all, as they are kept.
const JAR_BYTES_MAX: usize = 8 * 1024;

/// See the module.
#[derive(Default)]
pub struct Jar {
    /// The oldest first.
    kept: Vec<Kept>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    name: String,
    value: String,
    path: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    secure: bool,
    /// In seconds since 1970; `None` for as long as the link lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

impl Jar {
    /// Reads the text of one; nothing from what is none.
    pub fn read(text: &str) -> Self {
        if text.is_empty() {
            return Self::default();
        }
        Self { kept: serde_json::from_str(text).unwrap_or_default() }
    }

    /// Returns its text; empty for an empty one.
    fn text(&self) -> String {
        if self.kept.is_empty() {
            return String::new();
        }
        serde_json::to_string(&self.kept).unwrap_or_default()
    }

    /// Returns the `Cookie` header of a request to `at`, beside the cookies that are configured for it.
    pub fn header(
        &self,
        at: &Uri,
        configured: Option<&HeaderValue>,
        now: i64,
    ) -> Option<HeaderValue> {
        let configured = configured.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_configured = |name: &str| {
            configured.split(';').any(|pair| pair.split('=').next().map(str::trim) == Some(name))
        };
        let is_secure = at.scheme_str() == Some("https");
        let mut fitting: Vec<&Kept> = self.kept.iter().collect();
        fitting.retain(|kept| {
            kept.until.is_none_or(|until| until > now)
                && (is_secure || !kept.secure)
                && is_within(at.path(), &kept.path)
                && !is_configured(&kept.name)
        });
        // RFC 6265, 5.4: longer paths first; of the same length, the older ones.
        fitting.sort_by_key(|kept| std::cmp::Reverse(kept.path.len()));
        let pairs = fitting.iter().map(|kept| format!("{}={}", kept.name, kept.value));
        let configured = Some(configured.to_owned()).filter(|text| !text.is_empty());
        let all: Vec<String> = configured.into_iter().chain(pairs).collect();
        let mut value = HeaderValue::try_from(all.join("; ")).ok().filter(|v| !v.is_empty())?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Takes the cookies of an answer from `at`; returns the text that is to be kept in place of `text`, if it has
    /// changed.
    pub fn learn(text: &str, headers: &HeaderMap, at: &Uri, now: i64) -> Option<String> {
        let mut jar = Self::read(text);
        jar.kept.retain(|kept| kept.until.is_none_or(|until| until > now));
        for said in headers.get_all(SET_COOKIE) {
            if let Some(kept) = said.to_str().ok().and_then(|said| Kept::of(said, at, now)) {
                jar.keep(kept, now);
            }
        }
        Some(jar.text()).filter(|changed| changed != text)
    }

    fn keep(&mut self, new: Kept, now: i64) {
        let is_same = |kept: &Kept| kept.name == new.name && kept.path == new.path;
        let place = self.kept.iter().position(is_same);
        if new.until.is_some_and(|until| until <= now) {
            place.map(|place| self.kept.remove(place));
            return;
        }
        match place {
            Some(place) => self.kept[place] = new,
            None => self.kept.push(new),
        }
        while self.kept.len() > COOKIES_MAX || self.text().len() > JAR_BYTES_MAX {
            self.kept.remove(0);
        }
    }
}

impl Kept {
    /// Reads a `Set-Cookie` of an answer from `at`; `None` for what is none, or is not for there.
    fn of(said: &str, at: &Uri, now: i64) -> Option<Self> {
        let cookie = Cookie::parse(said).ok()?;
        let (name, value) = (cookie.name(), cookie.value());
        if name.is_empty() || name.len() + value.len() > COOKIE_BYTES_MAX {
            return None;
        }
        let host = at.host().unwrap_or_default();
        let domain = cookie.domain().filter(|domain| !domain.is_empty());
        if !domain.is_none_or(|domain| is_of_domain(host, domain)) {
            return None;
        }
        let is_secure = cookie.secure() == Some(true);
        // Who could have said it on a connection that anybody may write to?
        if is_secure && at.scheme_str() != Some("https") {
            return None;
        }
        let expires = match cookie.expires() {
            Some(Expiration::DateTime(at)) => Some(at.unix_timestamp()),
            Some(Expiration::Session) | None => None,
        };
        let max_age = cookie.max_age().map(|age| now.saturating_add(age.whole_seconds()));
        Some(Self {
            name: name.to_owned(),
            value: value.to_owned(),
            path: cookie.path().map_or_else(|| default_path(at.path()), str::to_owned),
            secure: is_secure,
            until: max_age.or(expires),
        })
    }
}

/// The header that carries cookies to a server.
pub const COOKIE: HeaderName = http::header::COOKIE;

/// RFC 6265, 5.1.3.
fn is_of_domain(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    let is_number = |host: &str| host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok();
    let above = host.strip_suffix(&domain).filter(|above| above.ends_with('.'));
    host == domain || (above.is_some() && !is_number(&host))
}

/// RFC 6265, 5.1.4: the path of a cookie that names none.
fn default_path(path: &str) -> String {
    match path.rfind('/') {
        Some(0) | None => "/".to_owned(),
        Some(end) => path[..end].to_owned(),
    }
}

/// RFC 6265, 5.1.4.
fn is_within(path: &str, of_cookie: &str) -> bool {
    path.strip_prefix(of_cookie)
        .is_some_and(|rest| rest.is_empty() || of_cookie.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn learn(text: &str, url: &'static str, said: &[&str]) -> String {
        let said = said.iter().map(|said| (SET_COOKIE, said.parse().unwrap()));
        let headers: HeaderMap = said.collect();
        let learnt = Jar::learn(text, &headers, &Uri::from_static(url), NOW);
        learnt.unwrap_or_else(|| text.to_owned())
    }

    fn sent(text: &str, url: &'static str, now: i64) -> String {
        let header = Jar::read(text).header(&Uri::from_static(url), None, now);
        header.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    }

    const HTTP: &str = "http://h.example/mcp";
    const HTTPS: &str = "https://h.example/mcp";

    #[test]
    fn the_cookies_of_balancers_come_back() {
        let aws = learn(
            "",
            HTTPS,
            &[
                "AWSALB=a+b/c==; Expires=Wed, 05 Dec 2035 10:00:00 GMT; Path=/",
                "AWSALBCORS=a+b/c==; Expires=Wed, 05 Dec 2035 10:00:00 GMT; Path=/; SameSite=None; Secure",
            ],
        );
        assert_eq!(sent(&aws, HTTPS, NOW), "AWSALB=a+b/c==; AWSALBCORS=a+b/c==");
        let aws = learn(&aws, HTTPS, &["AWSALB=d; Path=/"]);
        assert_eq!(sent(&aws, HTTPS, NOW), "AWSALB=d; AWSALBCORS=a+b/c==");
        let google = learn(
            "",
            HTTP,
            &["GCLB=\"CJ-x\"; path=/; HttpOnly; expires=Wed, 05-Dec-2035 10:00:00 GMT"],
        );
        assert_eq!(sent(&google, HTTP, NOW), "GCLB=\"CJ-x\"");
        let nginx = learn("", HTTP, &["route=1; max-age=3600; domain=.example; path=/"]);
        assert_eq!(sent(&nginx, HTTP, NOW), "route=1");
    }

    #[test]
    fn a_cookie_ends_when_its_time_is_up_or_it_is_taken_back() {
        let jar = learn("", HTTP, &["a=1; Max-Age=60; Path=/", "b=2; Path=/"]);
        assert_eq!(sent(&jar, HTTP, NOW + 59), "a=1; b=2");
        assert_eq!(sent(&jar, HTTP, NOW + 60), "b=2");
        let jar = learn(
            &jar,
            HTTP,
            &["b=; Max-Age=0; Path=/", "a=; expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/"],
        );
        assert_eq!(jar, "");
        // `Max-Age` wins.
        let jar = learn("", HTTP, &["a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]);
        assert_eq!(sent(&jar, HTTP, NOW), "a=1");
    }

    #[test]
    fn a_cookie_goes_only_where_it_belongs() {
        assert_eq!(learn("", HTTP, &["a=1; Secure", "b=1; Domain=other.example", "=x", "c"]), "");
        assert_eq!(learn("", "http://127.0.0.1/", &["a=1; Domain=0.0.1"]), "");
        let jar =
            learn("", HTTPS, &["a=1; Secure", "b=1; Path=/elsewhere", "c=1; Path=/mcp", "d=1"]);
        assert_eq!(sent(&jar, HTTPS, NOW), "c=1; a=1; d=1");
        assert_eq!(sent(&jar, HTTP, NOW), "c=1; d=1");
        assert_eq!(sent(&jar, "https://h.example/mcpx", NOW), "a=1; d=1");
        assert_eq!(sent(&jar, "https://h.example/mcp/", NOW), "c=1; a=1; d=1");
    }

    #[test]
    fn what_is_configured_comes_first_and_is_not_replaced() {
        let jar = learn("", HTTP, &["a=1", "key=theirs"]);
        let configured = HeaderValue::from_static("key=ours; x=y");
        let header = Jar::read(&jar).header(&Uri::from_static(HTTP), Some(&configured), NOW);
        assert_eq!(header.unwrap(), "key=ours; x=y; a=1");
    }

    #[test]
    fn a_jar_is_bounded() {
        let many: Vec<String> = (0..40).map(|n| format!("c{n}={}", "x".repeat(400))).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let jar = learn("", HTTP, &many);
        assert!(jar.len() <= JAR_BYTES_MAX && Jar::read(&jar).kept.len() <= COOKIES_MAX);
        assert!(sent(&jar, HTTP, NOW).contains("c39="), "the latest is there");
        assert_eq!(learn("", HTTP, &[&format!("a={}", "x".repeat(5000))]), "");
    }
}
