//! Drives a client by lines of JSON, one request a line, for tests that drive clients in several languages alike.
//!
//! In: `{"id":1,"do":"connect","url":"http://…/mcp",…}`, then `call_tool`, `list_tools`, `health_check`, `heartbeat`,
//! `reconnect`, `session`, `save`, `close`. Out, as they finish: `{"id":1,"ok":{…}}` or
//! `{"id":1,"error":{"type":"…","message":"…"}}`. The end of the input is the end of the process; nobody says goodbye then.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use archon_sessions_client::{
    Client, ConnectionError, Era, EraChoice, Error, Heartbeat, RetryPolicy, SavedState,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

#[derive(Deserialize)]
struct Order {
    id: Value,
    #[serde(flatten)]
    what: What,
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum What {
    Connect(Box<Connect>),
    CallTool {
        name: String,
        #[serde(default)]
        arguments: Value,
    },
    ListTools,
    HealthCheck,
    Heartbeat,
    Reconnect,
    Session,
    Save,
    Close,
}

#[derive(Deserialize)]
struct Connect {
    url: String,
    #[serde(default)]
    era: Option<String>,
    #[serde(default)]
    client_name: Option<String>,
    #[serde(default)]
    client_version: Option<String>,
    #[serde(default)]
    timeout_ms: Option<u64>,
    #[serde(default)]
    max_retries: Option<u32>,
    #[serde(default)]
    retry_delay_ms: Option<u64>,
    #[serde(default)]
    heartbeat_ms: Option<u64>,
    #[serde(default)]
    state: Option<SavedState>,
    #[serde(default)]
    trust_annotations: bool,
    #[serde(default)]
    bearer: Option<String>,
}

type Slot = Arc<Mutex<Option<Client>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let slot = Slot::default();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let order: Order = serde_json::from_str(&line)?;
        // What follows a connect needs the client.
        let is_first = matches!(order.what, What::Connect(_));
        let slot = slot.clone();
        let answering = tokio::spawn(async move {
            let answer = match run(order.what, &slot).await {
                Ok(ok) => json!({ "id": order.id, "ok": ok }),
                Err(error) => {
                    let message = chain(&error);
                    json!({ "id": order.id, "error": { "type": kind(&error), "message": message } })
                }
            };
            println!("{answer}");
        });
        if is_first {
            answering.await?;
        }
    }
    Ok(())
}

async fn run(what: What, slot: &Slot) -> Result<Value, Error> {
    if let What::Connect(connect) = what {
        let client = build(*connect).await?;
        let session = session(&client);
        *slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(client);
        return Ok(session);
    }
    let client = slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
    // Asked for something before it was told where: that is the test's mistake.
    let Some(client) = client else { panic!("not connected") };
    Ok(match what {
        What::Connect(_) => Value::Null,
        What::CallTool { name, arguments } => {
            let result = client.call_tool(&name, arguments).await?;
            let text = result.content.iter().find_map(|block| block.as_text());
            json!({ "text": text.map(|text| &text.text), "structured": result.structured_content })
        }
        What::ListTools => {
            let tools = client.list_tools().await?;
            json!({ "names": tools.iter().map(|tool| &*tool.name).collect::<Vec<_>>() })
        }
        What::HealthCheck => json!(client.health_check().await?),
        What::Heartbeat => {
            let silence = client.heartbeat().await?;
            json!({ "timeout_ms": silence.map(|silence| silence.as_millis()) })
        }
        What::Reconnect => {
            client.reconnect().await?;
            session(&client)
        }
        What::Session => session(&client),
        What::Save => json!(client.save().await?),
        What::Close => {
            client.close().await;
            json!({})
        }
    })
}

async fn build(connect: Connect) -> Result<Client, Error> {
    let era = match connect.era.as_deref() {
        Some("legacy") => EraChoice::Only(Era::Legacy),
        Some("modern") => EraChoice::Only(Era::Modern),
        _ => EraChoice::Auto,
    };
    let mut retry = RetryPolicy::new().trust_annotations(connect.trust_annotations);
    retry.max_retries = connect.max_retries.unwrap_or(retry.max_retries);
    retry.base_delay = connect.retry_delay_ms.map_or(retry.base_delay, Duration::from_millis);
    let heartbeat = connect.heartbeat_ms.map(Duration::from_millis);
    let name = connect.client_name.as_deref().unwrap_or("driver");
    let version = connect.client_version.as_deref().unwrap_or("1");
    let mut builder = Client::builder(&connect.url)
        .client_info(name, version)
        .era(era)
        .retry(retry)
        .heartbeat(heartbeat.map_or(Heartbeat::Auto, Heartbeat::Every));
    if let Some(timeout) = connect.timeout_ms {
        builder = builder.timeout(Duration::from_millis(timeout));
    }
    if let Some(state) = connect.state {
        builder = builder.state(state);
    }
    if let Some(bearer) = connect.bearer {
        builder = builder.bearer(bearer);
    }
    builder.connect().await
}

fn session(client: &Client) -> Value {
    let session = client.session();
    json!({
        "session_id": session.id,
        "mcp_session_id": session.mcp_session_id.as_ref().map(|handle| handle.reveal()),
        "era": session.era,
        "reconnect_count": session.reconnect_count,
    })
}

fn kind(error: &Error) -> &'static str {
    match error {
        Error::Session(_) => "SessionError",
        Error::Connection(ConnectionError { .. }) => "ConnectionError",
        Error::Tool(_) => "ToolError",
        Error::OutcomeUnknown(_) => "OutcomeUnknown",
    }
}

/// Returns an error with its causes.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
