//! What becomes of what a child says.

use tokio::io::{AsyncWriteExt, DuplexStream};
use uuid::Uuid;

use super::super::mailbox::{Event, Next};
use super::*;
use crate::gateway::wire::message::Message;

const BYTES_MAX: usize = 100_000;

struct Told {
    child: Arc<Child>,
    link: Uuid,
    said: DuplexStream,
    _reading: tokio::task::JoinHandle<()>,
}

impl Told {
    fn new() -> Self {
        let (child, _queue) = Child::new("a".into(), Arc::default(), Era::Legacy, false);
        let link = Uuid::new_v4();
        child.table().add_link(link, Instant::now());
        let (said, heard) = tokio::io::duplex(1 << 20);
        let reader = child.clone();
        let reading = tokio::spawn(async move {
            let mut layout = Layout::new(BYTES_MAX);
            reader.read(&mut Lines::new(heard, BYTES_MAX), &mut layout).await;
            reader.table().end_all();
        });
        Self { child, link, said, _reading: reading }
    }

    fn call(&self, id: &str) -> Arc<Mailbox> {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call"}}"#);
        let message = Message::read(text.into()).unwrap();
        let mailbox = Arc::<Mailbox>::default();
        let owner = Owner::Link(self.link);
        self.child.table().admit(&message, owner, false, mailbox.clone()).unwrap();
        mailbox
    }

    async fn say(&mut self, said: &[u8]) {
        self.said.write_all(said).await.unwrap();
    }

    fn replies(&self) -> Vec<String> {
        let aside = self.child.aside.lock().unwrap();
        aside.iter().map(|line| String::from_utf8_lossy(line).trim().to_owned()).collect()
    }
}

async fn answer(mailbox: &Mailbox) -> serde_json::Value {
    let answer = tokio::time::timeout(Duration::from_secs(60), mailbox.answer()).await;
    let Event { json, .. } = answer.expect("no answer").expect("the call was lost");
    serde_json::from_slice(&json).unwrap()
}

#[tokio::test(start_paused = true)]
async fn whatever_a_child_answers_its_call_ends() {
    let result = |text: &str| serde_json::json!({ "content": [{ "type": "text", "text": text }] });
    let ok = |said: &str| said.replace("RESULT", r#"{"content":[{"type":"text","text":"x"}]}"#);
    for said in [
        ok("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":RESULT}\n"),
        ok("{\"id\":7,\"result\":RESULT}\n"),
        ok("{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"result\":RESULT}\n"),
        ok("{\"jsonrpc\":\"2.0\",\"id\":7.0,\"result\":RESULT}\r"),
        ok("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":RESULT,}\n"),
        ok("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":RESULT,\"error\":null}\n"),
        ok("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":RESULT}\n"),
        ok("listening\n{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":RESULT}\n"),
        ok("listening {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":RESULT}\n"),
        ok(
            "{\"jsonrpc\":\"2.0\",\"method\":\"x\"}{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":RESULT}\n",
        ),
        ok("{\n  \"jsonrpc\": \"2.0\",\n  \"id\": 7,\n  \"result\": RESULT\n}\n"),
        ok(
            "[{\"jsonrpc\":\"2.0\",\"method\":\"x\"},{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":RESULT}]\n",
        ),
        ok("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":RESULT}"),
        ok(
            "{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}\n{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":RESULT}\n",
        ),
    ] {
        let mut told = Told::new();
        let mailbox = told.call("7");
        told.say(said.as_bytes()).await;
        let answer = answer(&mailbox).await;
        assert_eq!(answer["id"], serde_json::json!(7), "{said}");
        assert_eq!(answer["jsonrpc"], "2.0", "{said}");
        assert_eq!(answer["result"], result("x"), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_clients_could_not_read_is_mended() {
    for (said, meant) in [
        (&br#""result":null"#[..], r#"{"result":{}}"#),
        (br#""result":{"a":NaN,"b":[-Infinity]}"#, r#"{"result":{"a":null,"b":[null]}}"#),
        (b"\"result\":{\"a\":\"\x01\n\xff\"}", "{\"result\":{\"a\":\"\\u0001\\n\u{fffd}\"}}"),
        (br#""error":"no""#, r#"{"error":{"code":-32603,"message":"no"}}"#),
        (br#""error":{"message":"no"}"#, r#"{"error":{"code":-32603,"message":"no"}}"#),
        (
            br#""error":{"code":"E","message":"no"}"#,
            r#"{"error":{"code":-32603,"message":"no","data":{"code":"E"}}}"#,
        ),
    ] {
        let mut told = Told::new();
        let mailbox = told.call("\"q\"");
        let line = [&b"{\"jsonrpc\":\"2.0\",\"id\":\"q\","[..], said, b"}\n"].concat();
        told.say(&line).await;
        let mut answer = answer(&mailbox).await;
        answer.as_object_mut().unwrap().retain(|name, _| name == "result" || name == "error");
        assert_eq!(answer, serde_json::from_str::<serde_json::Value>(meant).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_ends_its_call_and_no_other() {
    let too_long =
        format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"a":"{}"}}}}"#, "x".repeat(BYTES_MAX * 2));
    for (said, ran) in [
        (r#"{"jsonrpc":"2.0","id":7,"result":{'content': []}}"#, "yes"),
        (r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"text":"cut of"#, "yes"),
        (r#"{"jsonrpc":"2.0","id":"7","error":{"code":-1,"mess"#, "unknown"),
        (&too_long, "yes"),
    ] {
        let mut told = Told::new();
        let (other, mailbox) = (told.call("6"), told.call("7"));
        told.say(said.as_bytes()).await;
        told.say(b"\n{\"jsonrpc\":\"2.0\",\"id\":6,\"result\":{}}\n").await;
        let answer_7 = answer(&mailbox).await;
        assert_eq!(answer_7["id"], 7);
        assert_eq!(answer_7["error"]["data"]["ran"], ran, "{answer_7}");
        assert_eq!(answer(&other).await["result"], serde_json::json!({}));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_an_id_is_the_only_calls() {
    for said in [
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}"#,
        r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"no"}}"#,
    ] {
        let mut told = Told::new();
        let mailbox = told.call("7");
        told.say(format!("{said}\n").as_bytes()).await;
        let answer = answer(&mailbox).await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&7.into(), &(-32700).into()));

        let (one, two) = (told.call("8"), told.call("9"));
        told.say(format!("{said}\n{{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{{}}}}\n").as_bytes())
            .await;
        assert!(self::answer(&two).await["result"].is_object());
        assert!(!one.has_ended(), "which of the two was meant is not known");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_waits_a_moment_for_somebody_to_take_it() {
    let mut told = Told::new();
    told.say(b"{\"jsonrpc\":\"2.0\",\"id\":\"p\",\"method\":\"ping\"}\n").await;
    told.say(b"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"roots/list\"}\n").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(told.replies(), [r#"{"jsonrpc":"2.0","id":"p","result":{}}"#]);
    let stream = told.child.table().listen(told.link).unwrap();
    let Next::Event(event) = stream.peek().await else { panic!("not asked") };
    assert!(event.json.ends_with(b"roots/list\"}"));

    told.child.table().unlisten(told.link, &stream);
    told.say(b"{\"jsonrpc\":\"2.0\",\"id\":\"b\",\"method\":\"roots/list\"}\n").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let replies = told.replies();
    assert_eq!(replies.len(), 2);
    assert!(replies[1].contains(r#""id":"b""#) && replies[1].contains("no client can be asked"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_frames_as_language_servers_do_is_given_up() {
    let mut told = Told::new();
    told.say(b"Content-Length: 7\r\n\r\n{}").await;
    told.child.stop.cancelled().await;
    assert!(told.child.obituary().contains("Content-Length"));
    // Of one that has spoken before, it is a line like any other.
    let mut told = Told::new();
    told.say(b"{\"jsonrpc\":\"2.0\",\"method\":\"x\"}\nContent-Length: 7\n").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(told.child.is_open());
}
