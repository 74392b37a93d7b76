//! What an HTTP upstream does with servers and proxies that have manners of their own.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archon_sessions::layer::{BoxError, Exchange, InnerRequest};
use archon_sessions::session::{Era, Principal};
use archon_sessions::tracker::Affinity;
use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::proxy::matcher::Matcher;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{HttpUpstream, Shared};
use crate::config::{Reached, UpstreamConfig};
use crate::gateway::eras::Speaks;
use crate::gateway::pool::{Pool, Way};
use crate::gateway::wire::Answer;

/// A request as a server saw it.
#[derive(Clone, Debug)]
struct Saw {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Value,
}

impl Saw {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A server on loopback that answers as it is told.
struct Server {
    origin: String,
    saw: Arc<Mutex<Vec<Saw>>>,
}

impl Server {
    async fn start<F>(answer: impl Fn(Saw) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let saw = Arc::<Mutex<Vec<Saw>>>::default();
        let seen = saw.clone();
        let service = axum::Router::new().fallback(move |request: Request| {
            let (seen, answer) = (seen.clone(), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let target = parts.uri.to_string();
                let one = Saw { method: parts.method, target, headers: parts.headers, body };
                seen.lock().unwrap().push(one.clone());
                answer(one).await
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { origin, saw }
    }

    fn saw(&self) -> Vec<Saw> {
        self.saw.lock().unwrap().clone()
    }
}

fn upstream(url: &str) -> HttpUpstream {
    upstream_via(url, &Matcher::builder().build())
}

fn upstream_via(url: &str, rules: &Matcher) -> HttpUpstream {
    let config: UpstreamConfig = format!("up={url}").parse().unwrap();
    let Reached::Http(config) = config.reached else { panic!("{url}") };
    let limit = Duration::from_secs(5);
    let way = Way::of(&config.url.0, rules, limit).unwrap();
    let tls = crate::tls::client(None).unwrap();
    let HttpUpstream { shared } = HttpUpstream::new("up", &config, Arc::default()).unwrap();
    let mut shared = Arc::into_inner(shared).unwrap();
    shared.pool = Pool::new(way, tls, config.url.0, limit, Duration::ZERO);
    shared.probe_limit = Duration::from_millis(300);
    HttpUpstream { shared: Arc::<Shared>::new(shared) }
}

fn request(method: Method, uri: &str, body: &Value, affinity: &Affinity) -> InnerRequest {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut request = InnerRequest::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    *request.uri_mut() = uri.parse().unwrap();
    request.headers_mut().insert("cookie", "archon_session=secret".parse().unwrap());
    request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    request.extensions_mut().insert(affinity.clone());
    let exchange = Exchange {
        era: Era::Legacy,
        message: None,
        presence: None,
        proof: None,
        connection: None,
        principal: Principal::Anonymous,
    };
    request.extensions_mut().insert(exchange);
    request
}

fn call(id: i64) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "x" } })
}

async fn post(upstream: &HttpUpstream, message: &Value) -> Result<Answer, String> {
    let request = request(Method::POST, "/mcp", message, &Affinity::default());
    upstream.clone().call(request).await.map_err(|failed| failed.message)
}

async fn text(answer: Answer) -> String {
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

fn answered(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}

#[tokio::test]
async fn a_redirection_within_the_origin_is_followed() {
    let server = Server::start(async |saw: Saw| match saw.target.as_str() {
        "/mcp?k=v" => {
            answered(307, &[("location", "/mcp/?k=v"), ("set-cookie", "a=1; Path=/")], "")
        }
        _ => answered(200, &[("content-type", "application/json")], saw.body.to_string()),
    })
    .await;
    let upstream = upstream(&format!("{}/mcp?k=v", server.origin));
    let affinity = Affinity::default();
    let sent = request(Method::POST, "/mcp", &call(1), &affinity);
    let answer = upstream.clone().call(sent).await.unwrap();
    assert_eq!(text(answer).await, call(1).to_string());
    for method in [Method::GET, Method::DELETE] {
        let sent = request(method, "/mcp", &Value::Null, &affinity);
        assert_eq!(upstream.clone().call(sent).await.unwrap().status(), 200);
    }
    let saw: Vec<_> = server.saw().into_iter().map(|saw| (saw.method, saw.target)).collect();
    let each = |method: Method| [(method.clone(), "/mcp?k=v".into()), (method, "/mcp/?k=v".into())];
    assert_eq!(saw, [each(Method::POST), each(Method::GET), each(Method::DELETE)].concat());
    assert_eq!(server.saw()[1].header("cookie"), Some("a=1"));
}

#[tokio::test]
async fn a_redirection_elsewhere_is_an_error_without_the_address() {
    let elsewhere = Server::start(async |_| answered(200, &[], "{}")).await;
    let there = format!("{}/secret", elsewhere.origin);
    for (status, location) in [(307, there.as_str()), (302, "/login"), (307, "/mcp")] {
        let location = location.to_owned();
        let server = Server::start(move |_| {
            let location = location.clone();
            async move { answered(status, &[("location", &location)], "") }
        })
        .await;
        let message = post(&upstream(&format!("{}/mcp", server.origin)), &call(1)).await.err();
        let message = message.unwrap();
        assert!(message.contains("redirects") && message.contains("did not run"), "{message}");
        assert!(!message.contains("secret") && !message.contains("127.0.0.1"), "{message}");
    }
    assert!(elsewhere.saw().is_empty());
}

#[tokio::test]
async fn what_comes_coded_is_decoded() {
    let server = Server::start(async |saw: Saw| {
        if saw.body["id"] == 2 {
            return answered(200, &[("content-encoding", "br")], "x");
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(saw.body.to_string().as_bytes()).unwrap();
        let coding = [("content-encoding", "gzip"), ("content-type", "application/json")];
        answered(200, &coding, encoder.finish().unwrap())
    })
    .await;
    let upstream = upstream(&server.origin);
    let answer = post(&upstream, &call(1)).await.unwrap();
    assert!(!answer.headers().contains_key("content-encoding"));
    assert!(!answer.headers().contains_key("content-length"));
    assert_eq!(text(answer).await, call(1).to_string());
    let refused = post(&upstream, &call(2)).await.err().unwrap();
    assert!(refused.contains("\"br\"") && refused.contains("may have run"), "{refused}");
    assert_eq!(server.saw()[0].header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn cookies_stay_between_the_upstream_and_one_link() {
    let server = Server::start(async |saw: Saw| {
        let cookies: &[_] = if saw.body["method"] == "initialize" {
            &[("set-cookie", "lb=1; Path=/"), ("set-cookie", "archon_session=evil; Path=/")]
        } else if saw.body["id"] == 9 {
            &[("set-cookie", "lb=2; Path=/")]
        } else {
            &[]
        };
        answered(200, cookies, "{}")
    })
    .await;
    let upstream = upstream(&server.origin);
    let (one, other) = (Affinity::default(), Affinity::default());
    let initialize = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {} });
    for (affinity, message) in [
        (&one, &initialize),
        (&one, &call(1)),
        (&other, &call(2)),
        (&one, &call(9)),
        (&one, &call(3)),
    ] {
        let sent = request(Method::POST, "/", message, affinity);
        let answer = upstream.clone().call(sent).await.unwrap();
        assert!(!answer.headers().contains_key("set-cookie"));
    }
    let sent = request(Method::DELETE, "/", &Value::Null, &one);
    upstream.clone().call(sent).await.unwrap();
    let cookies: Vec<_> =
        server.saw().iter().map(|saw| saw.header("cookie").map(str::to_owned)).collect();
    let of = |lb: &str| Some(format!("lb={lb}; archon_session=evil"));
    assert_eq!(cookies, [None, of("1"), None, of("1"), of("2"), of("2")]);
}

#[tokio::test]
async fn a_clients_query_comes_after_the_configured_one() {
    let server = Server::start(async |_| answered(200, &[], "{}")).await;
    let upstream = upstream(&format!("{}/mcp?k=v", server.origin));
    let sent = request(Method::POST, "/mcp/x?toolsets=a&k=evil", &call(1), &Affinity::default());
    upstream.clone().speaks(&sent).await.unwrap();
    upstream.clone().call(sent).await.unwrap();
    let targets: Vec<_> = server.saw().into_iter().map(|saw| saw.target).collect();
    assert_eq!(targets, ["/mcp?k=v&toolsets=a"; 2]);
}

#[tokio::test]
async fn an_upstream_that_does_not_say_what_it_speaks_is_legacy_and_not_asked_again() {
    let silent = || Server::start(async |_| std::future::pending().await);
    let garbage = || Server::start(async |_| answered(200, &[], "<html>"));
    let broken = || Server::start(async |_| answered(500, &[], "oops"));
    // It sends a stream that says nothing and does not end.
    let open = || {
        Server::start(async |_| {
            let events =
                Body::from_stream(futures_util::stream::pending::<Result<Bytes, BoxError>>());
            answered(200, &[("content-type", "text/event-stream")], events)
        })
    };
    for server in [silent().await, garbage().await, broken().await, open().await] {
        let upstream = upstream(&server.origin);
        let like = request(Method::POST, "/", &call(1), &Affinity::default());
        for _ in 0..2 {
            let speaks = upstream.speaks(&like).await.unwrap();
            assert!(matches!(speaks, Some(Speaks::LegacyOnly(_))), "{speaks:?}");
        }
        assert_eq!(server.saw().len(), 1);
        assert_eq!(server.saw()[0].body["method"], "server/discover");
    }
    // A proxy that does not reach the server says nothing of it.
    let proxy = Server::start(async |_| answered(502, &[], "<html>Bad Gateway")).await;
    let like = request(Method::POST, "/", &call(1), &Affinity::default());
    assert_eq!(upstream(&proxy.origin).speaks(&like).await.unwrap(), None);
}

#[tokio::test]
async fn an_upstream_that_closes_the_connection_on_the_question_is_legacy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let closing = tokio::spawn(async move {
        let mut closed = 0;
        while closed < 2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 64 * 1024]).await;
            closed += 1;
        }
        closed
    });
    let like = request(Method::POST, "/", &call(1), &Affinity::default());
    let speaks = upstream(&url).speaks(&like).await.unwrap();
    assert!(matches!(speaks, Some(Speaks::LegacyOnly(_))), "{speaks:?}");
    assert_eq!(closing.await.unwrap(), 2);
}

#[tokio::test]
async fn a_proxy_is_sent_the_whole_url_and_its_own_credentials() {
    let proxy = Server::start(async |saw: Saw| match saw.header("proxy-authorization") {
        Some("Basic dTpw") => answered(200, &[], "{}"),
        _ => answered(407, &[("proxy-authenticate", "Basic")], "who?"),
    })
    .await;
    let address = proxy.origin.trim_start_matches("http://");
    let with = Matcher::builder().http(format!("http://u:p@{address}")).build();
    let through = upstream_via("http://h.example/mcp?k=v", &with);
    assert_eq!(text(post(&through, &call(1)).await.unwrap()).await, "{}");
    let saw = &proxy.saw()[0];
    assert_eq!(saw.target, "http://h.example/mcp?k=v");
    assert_eq!(saw.header("host"), Some("h.example"));
    // Without its credentials the call did not run, and the client is not asked for any.
    let without = Matcher::builder().http(proxy.origin.clone()).build();
    let refused = post(&upstream_via("http://h.example/", &without), &call(1)).await.err().unwrap();
    assert!(refused.contains("could not be reached"), "{refused}");
}

#[tokio::test]
async fn https_goes_through_a_tunnel() {
    let proxy = Server::start(async |_| answered(407, &[], "")).await;
    let address = proxy.origin.trim_start_matches("http://");
    let rules = Matcher::builder().https(format!("http://u:p@{address}")).build();
    let refused = post(&upstream_via("https://h.example/mcp", &rules), &call(1)).await.err();
    assert!(refused.unwrap().contains("could not be reached"));
    let saw = &proxy.saw()[0];
    assert_eq!((saw.method.as_str(), saw.target.as_str()), ("CONNECT", "h.example:443"));
    assert_eq!(saw.header("proxy-authorization"), Some("Basic dTpw"));
    assert_eq!(saw.headers.len(), 2, "nothing of the call: {:?}", saw.headers);
}

#[tokio::test]
async fn its_state_is_what_its_answers_say() {
    let server = Server::start(async |_| answered(200, &[], "{}")).await;
    let up = upstream(&server.origin);
    assert_eq!(up.state(), "unknown");
    post(&up, &call(1)).await.unwrap();
    assert_eq!(up.state(), "up");
    let looked_at = upstream(&server.origin);
    looked_at.look(Duration::ZERO).await;
    looked_at.look(Duration::from_secs(60)).await;
    assert_eq!(looked_at.state(), "up");
    let looks = server.saw().iter().filter(|saw| saw.method == Method::OPTIONS).count();
    assert_eq!(looks, 1, "an answer is good for a while");
    let down = upstream("http://127.0.0.1:9/");
    down.look(Duration::ZERO).await;
    assert_eq!(down.state(), "down");
    assert!(post(&down, &call(1)).await.is_err());
    assert_eq!(down.state(), "down");
    let refusing = Server::start(async |_| answered(403, &[], "go away")).await;
    let answer = post(&upstream(&refusing.origin), &call(1)).await.unwrap();
    assert_eq!((answer.status(), text(answer).await.as_str()), (StatusCode::FORBIDDEN, "go away"));
}
