//! Streams that clients come back to, and those that are not there for it.

use std::sync::Mutex;
use std::time::Duration;

use archon_sessions::layer::SessionBody;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::server::{Asked, Body, Client, Setup, call, sse, stream, text};

/// The ids of the events in a body, in order.
fn ids(body: &str) -> Vec<String> {
    body.lines().filter_map(|line| line.strip_prefix("id: ")).map(str::to_owned).collect()
}

fn back(client: &Client, last: &str) -> Request<Full<Bytes>> {
    let mut request = client.request(Method::GET, "");
    request.headers_mut().insert("last-event-id", last.parse().unwrap());
    request
}

async fn next(stream: &mut Response<SessionBody<Body>>) -> Option<String> {
    let frame = tokio::time::timeout(Duration::from_secs(20), stream.frame()).await.unwrap()?;
    Some(String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn an_answer_that_comes_first_gives_its_client_nothing_to_come_back_with() {
    let setup = Setup::new().await;
    for (version, before, expected) in [
        ("2025-11-25", "", 0),
        ("2025-11-25", ": hello\n\n", 0),
        ("2025-06-18", "id: 0\nretry: 3000\ndata: \n\n", 0),
        // Its server has it come back, and it knows that from servers.
        ("2025-11-25", "id: 0\nretry: 3000\ndata: \n\n", 2),
    ] {
        let client = Client::connect(&setup, version, &[]).await;
        for answer in [r#""result":{}"#, r#""error":{"code":1,"message":"no"}"#] {
            let events = setup.store.events().len();
            let body =
                format!("{before}id: 1\ndata: {{\"jsonrpc\":\"2.0\",\"id\":7,{answer}}}\n\n");
            setup.server.script(move |asked| asked.is("tools/call").then(|| sse(body.clone())));
            let answer = setup.send(client.post(&call(7, "x"))).await;
            assert!(answer.body.contains("\"id\":7"));
            assert_eq!(ids(&answer.body).len(), expected, "{version} {before:?}");
            setup.until("they are kept", |s| s.store.events().len() == events + expected).await;
        }
    }
}

#[tokio::test]
async fn who_comes_back_for_what_it_has_read_is_told_that_there_is_no_stream() {
    let mut setup = Setup::new().await;
    let client = setup.connect().await;
    let answer = setup.send(client.post(&call(7, "sse"))).await;
    let [before, last] = &ids(&answer.body)[..] else { panic!("{}", answer.body) };
    for is_restarted in [false, true] {
        // What was missed is there, for as long as its client has not said that it has it.
        let missed = setup.send(back(&client, before)).await;
        assert_eq!(missed.status, StatusCode::OK);
        assert!(missed.body.contains("result") && ids(&missed.body) == [last.as_str()]);
        if !is_restarted {
            setup.until("the events are stored", |s| s.store.events().len() == 2).await;
            setup.restart(|_| {}).await;
        }
    }
    for _ in 0..3 {
        let answer = setup.send(back(&client, last)).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.header("allow"), Some("POST, DELETE"));
    }
    // Nor does an id that nobody can know go round.
    let stranger = format!("7fffffffffffffff-9-{}", last.rsplit('-').next().unwrap());
    let answer = setup.send(back(&client, &stranger)).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn who_waits_on_a_stream_that_is_not_known_is_told_so_once() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    for (stream, words) in [("1", "gateway was restarted"), ("7fffffffffffffff", "nothing is kept")]
    {
        let answer = setup.send(back(&client, &format!("{stream}-3-rNzc"))).await;
        assert!(
            answer.body.contains(words) && answer.body.contains("\"id\":77"),
            "{}",
            answer.body
        );
        assert!(answer.body.contains("-31002"));
        let [last] = &ids(&answer.body)[..] else { panic!("{}", answer.body) };
        let again = setup.send(back(&client, last)).await;
        assert_eq!(again.status, StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn a_call_that_takes_a_while_gives_its_client_an_id_whatever_the_server_does() {
    let setup = Setup::new().await;
    for before in ["", "id: e\nretry: 100\ndata: \n\n"] {
        let client = setup.connect().await;
        let (events, receiver) = mpsc::unbounded_channel();
        let answer = std::sync::Mutex::new(Some(stream(receiver)));
        setup.server.script(move |asked| {
            asked.is("tools/call").then(|| answer.lock().unwrap().take().unwrap())
        });
        if !before.is_empty() {
            events.send(before.to_owned()).unwrap();
        }
        let mut open = setup.open(client.post(&call(7, "x"))).await;
        let first = next(&mut open).await.unwrap();
        let [id] = &ids(&first)[..] else { panic!("{first}") };
        drop(open);
        let result = json!({ "jsonrpc": "2.0", "id": 7, "result": {} });
        events.send(format!("data: {result}\n\n")).unwrap();
        let missed = setup.send(back(&client, id)).await;
        assert!(missed.body.contains("result"), "{}", missed.body);
    }
}

#[tokio::test]
async fn a_server_that_closes_its_stream_is_asked_again_when_it_said() {
    const RETRY: Duration = Duration::from_millis(700);
    let setup = Setup::new().await;
    let client = setup.connect().await;
    setup.server.script(|asked| {
        let result = json!({ "jsonrpc": "2.0", "id": 7, "result": {} });
        if asked.is("tools/call") {
            return Some(sse("id: e1\nretry: 700\ndata: \n\n".to_owned()));
        }
        let is_back = asked.method == Method::GET && asked.last.as_deref() == Some("e1");
        is_back.then(|| sse(format!("id: e2\ndata: {result}\n\n")))
    });
    let began = std::time::Instant::now();
    // So is the client, which gets what it needs for that.
    let answer = setup.send(client.post(&call(7, "x"))).await;
    let [id] = &ids(&answer.body)[..] else { panic!("{}", answer.body) };
    assert!(answer.body.contains("retry: 700") && !answer.body.contains("result"));
    let answer = setup.send(back(&client, id)).await;
    assert!(answer.body.contains("result"), "{}", answer.body);
    assert!(began.elapsed() >= RETRY);
    assert_eq!(setup.server.count(|asked| asked.method == Method::GET), 1);
}

/// A server whose stream says what is sent here, and that has one at a time.
fn speaking(setup: &Setup) -> mpsc::UnboundedSender<String> {
    let (events, receiver) = mpsc::unbounded_channel();
    let streams = std::sync::Mutex::new(Some(stream(receiver)));
    setup.server.script(move |asked| {
        let conflict = || text(409, "Conflict: Only one SSE stream is allowed per session");
        let is_get = asked.method == Method::GET;
        is_get.then(|| streams.lock().unwrap().take().unwrap_or_else(conflict))
    });
    events
}

#[tokio::test]
async fn a_second_stream_takes_over_from_the_older_one() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    let events = speaking(&setup);
    let say = |n: u32| events.send(format!("data: {{\"n\":{n}}}\n\n")).unwrap();
    let mut streams = Vec::new();
    for n in 0..4 {
        let mut newer = setup.open(client.request(Method::GET, "")).await;
        assert_eq!(newer.status(), StatusCode::OK);
        say(n);
        loop {
            let event = next(&mut newer).await.unwrap();
            if event.contains(&format!("{{\"n\":{n}}}")) {
                break;
            }
            assert!(!event.contains("\"n\""), "nothing comes twice: {event}");
        }
        streams.push(newer);
    }
    let mut newest = streams.pop().unwrap();
    for mut older in streams {
        assert_eq!(next(&mut older).await, None, "it has ended");
    }
    say(9);
    assert!(next(&mut newest).await.unwrap().contains("{\"n\":9}"));
    assert_eq!(setup.server.count(|asked| asked.method == Method::GET), 1);
}

#[tokio::test]
async fn a_stream_that_nobody_reads_any_more_does_not_hold_up_the_one_that_takes_over() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    let events = speaking(&setup);
    // Never polled, as is a body whose client is gone without a sign.
    let dead = setup.open(client.request(Method::GET, "")).await;
    events.send("data: {\"n\":1}\n\n".to_owned()).unwrap();
    let mut newer = setup.open(client.request(Method::GET, "")).await;
    while !next(&mut newer).await.unwrap().contains("{\"n\":1}") {}
    drop(dead);
    events.send("data: {\"n\":2}\n\n".to_owned()).unwrap();
    assert!(next(&mut newer).await.unwrap().contains("{\"n\":2}"));
}

#[tokio::test]
async fn a_stream_that_the_server_takes_for_open_is_waited_for() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    let refusals = std::sync::atomic::AtomicUsize::new(0);
    setup.server.script(move |asked| {
        let is_get = asked.method == Method::GET;
        let count = is_get.then(|| refusals.fetch_add(1, std::sync::atomic::Ordering::SeqCst))?;
        Some(if count < 2 {
            text(409, "Conflict: Only one SSE stream is allowed per session")
        } else {
            sse("data: {\"n\":1}\n\n".to_owned())
        })
    });
    let mut open = setup.open(client.request(Method::GET, "")).await;
    assert_eq!(open.status(), StatusCode::OK);
    while !next(&mut open).await.unwrap().contains("{\"n\":1}") {}
    assert_eq!(setup.server.initialized(), 1);
}

#[tokio::test]
async fn two_calls_at_once_with_one_id_are_both_answered() {
    let setup = Setup::new().await;
    let client = setup.connect().await;
    let mut answers = Vec::new();
    for tool in ["slow_body", "slow_head", "slow_body"] {
        let request = client.post(&call(7, tool));
        let layer = setup.open(request);
        answers.push(Box::pin(async move { layer.await.into_body().collect().await.unwrap() }));
    }
    let answers = futures_util::future::join_all(answers);
    let released = async {
        setup
            .until("all run", |s| s.server.ran("slow_body") + s.server.ran("slow_head") == 3)
            .await;
        let sent = |tool: &str| setup.server.count(|asked| asked.message["params"]["name"] == tool);
        assert_eq!(sent("slow_body") + sent("slow_head"), 3);
        let own = setup.server.count(|asked| asked.is("tools/call") && asked.message["id"] == 7);
        assert_eq!(own, 1, "to the server they are three");
        setup.server.release();
    };
    let (answers, ()) = tokio::join!(answers, released);
    for answer in answers {
        let answer = String::from_utf8(answer.to_bytes().to_vec()).unwrap();
        assert!(answer.contains("\"id\":7") && answer.contains("result"), "{answer}");
        assert!(!answer.contains("archon-"), "{answer}");
    }
    let rows = setup.rows(4).await;
    assert!(rows[1..].iter().all(|row| row.error.is_none()));
}

#[tokio::test]
async fn a_server_that_asks_before_it_answers_a_handshake_is_answered() {
    for is_restored in [false, true] {
        let setup = Setup::new().await;
        let known = if is_restored { Some(setup.connect().await) } else { None };
        let (events, receiver) = mpsc::unbounded_channel();
        let (events, receiver) = (Mutex::new(Some(events)), Mutex::new(Some(receiver)));
        setup.server.script(move |asked| {
            if asked.link.as_deref() == Some("inner-1") {
                return Some(text(404, "Not Found"));
            }
            let events = &mut *events.lock().unwrap();
            let say = |message: Value| {
                events.as_ref().map(|events| events.send(format!("data: {message}\n\n")))
            };
            if asked.is("initialize") {
                say(json!({ "jsonrpc": "2.0", "id": "p", "method": "ping" }));
                say(json!({ "jsonrpc": "2.0", "id": 5, "method": "roots/list" }));
                let mut opened = stream(receiver.lock().unwrap().take()?);
                opened.headers_mut().insert("mcp-session-id", "inner-9".parse().unwrap());
                return Some(opened);
            }
            if asked.says().is_empty() && asked.message["id"] == 5 {
                assert_eq!(asked.link.as_deref(), Some("inner-9"));
                assert_eq!(asked.message["error"]["code"], -32601);
                let result = json!({ "protocolVersion": "2025-11-25", "capabilities": {} });
                let id = if is_restored { json!("archon-restore") } else { json!(0) };
                say(json!({ "jsonrpc": "2.0", "id": id, "result": result }));
                // Its stream ends.
                *events = None;
            }
            None
        });
        let client = match known {
            Some(client) => client,
            None => setup.connect().await,
        };
        assert_eq!(setup.send(client.post(&call(7, "x"))).await.status, StatusCode::OK);
        let is_pong = |a: &Asked| a.message["id"] == "p" && a.message["result"] == json!({});
        assert_eq!(setup.server.count(is_pong), 1);
    }
}
