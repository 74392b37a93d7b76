//! The MCP server that every measured front stands before: rmcp, legacy sessions and modern requests.

use std::io::Read;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, JsonObject,
    ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ServerCapabilities,
    ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::args::UpstreamArgs;

/// The largest answer `big` gives: enough for any scenario, too little to exhaust a small machine.
const BIG_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The most events one call of `events` sends.
const EVENTS_MAX: u64 = 10_000;
/// What `big` repeats; the checker knows it too.
pub const BIG_PATTERN: &[u8; 16] = b"0123456789abcdef";

type Mcp = StreamableHttpService<Echo, LocalSessionManager>;

/// Serves until the process is stopped.
pub fn serve(args: UpstreamArgs) -> Result<()> {
    if args.until_eof {
        std::thread::spawn(|| {
            // Nothing is ever written there; the read returns when the parent has gone.
            let _ = std::io::stdin().read(&mut [0]);
            std::process::exit(0);
        });
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(accept(&args))
}

async fn accept(args: &UpstreamArgs) -> Result<()> {
    let listener =
        TcpListener::bind(("127.0.0.1", args.port)).await.context("could not bind the upstream")?;
    let mut config = StreamableHttpServerConfig::default();
    if args.silent_streams {
        config = config.with_sse_keep_alive(None);
    }
    let mcp: Arc<Mcp> = Arc::new(StreamableHttpService::new(
        || Ok(Echo),
        Arc::new(LocalSessionManager::default()),
        config,
    ));
    println!("listening on http://{}/mcp", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, Arc::clone(&mcp)));
            }
            // Out of descriptors, mostly: wait for some to come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn connection(stream: TcpStream, mcp: Arc<Mcp>) {
    // A socket that refuses the option is only slower.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let mcp = Arc::clone(&mcp);
        async move { Ok::<_, std::convert::Infallible>(mcp.handle(request).await) }
    });
    // A broken connection concerns its client alone.
    let _ = http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// The tools: `echo`, `big` and `events`.
#[derive(Clone)]
struct Echo;

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        TOOLS.iter().find(|tool| tool.name == name).cloned()
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(TOOLS.clone()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let text = match request.name.as_ref() {
            "echo" => echo(arguments)?,
            "big" => big(&arguments)?,
            "events" => events(&arguments, &context).await?,
            other => return Err(ErrorData::invalid_params(format!("no tool {other}"), None)),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}

fn echo(mut arguments: JsonObject) -> Result<String, ErrorData> {
    match arguments.remove("text") {
        Some(Value::String(text)) => Ok(text),
        _ => Err(ErrorData::invalid_params("text must be a string", None)),
    }
}

fn big(arguments: &JsonObject) -> Result<String, ErrorData> {
    let bytes = number(arguments, "bytes", BIG_BYTES_MAX)? as usize;
    let mut text = BIG_PATTERN.repeat(bytes.div_ceil(BIG_PATTERN.len()));
    text.truncate(bytes);
    String::from_utf8(text).map_err(|_| ErrorData::internal_error("the pattern is not text", None))
}

/// Sends events that carry the time they were sent, for the reader to subtract.
async fn events(
    arguments: &JsonObject,
    context: &RequestContext<RoleServer>,
) -> Result<String, ErrorData> {
    let count = number(arguments, "count", EVENTS_MAX)?;
    let gap = Duration::from_millis(number(arguments, "gap_ms", 1_000)?);
    let Some(token) = context.meta.get_progress_token() else {
        return Err(ErrorData::invalid_params("events needs a progress token", None));
    };
    for sent in 1..=count {
        tokio::time::sleep(gap).await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let event = ProgressNotificationParam::new(token.clone(), sent as f64)
            .with_message(format!("sent-{}", now.as_nanos()));
        // A client that has left takes no more events.
        if context.peer.notify_progress(event).await.is_err() {
            break;
        }
    }
    Ok("done".to_owned())
}

fn number(arguments: &JsonObject, name: &str, max: u64) -> Result<u64, ErrorData> {
    arguments.get(name).and_then(|value| value.as_u64()).filter(|value| *value <= max).ok_or_else(
        || ErrorData::invalid_params(format!("{name} must be a number up to {max}"), None),
    )
}

static TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(|| {
    let tool = |name: &'static str, about: &'static str, arguments: &[(&str, &str)]| {
        let properties: JsonObject = arguments
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), json!({ "type": kind })))
            .collect();
        let required: Vec<_> = arguments.iter().map(|(name, _)| *name).collect();
        let mut schema = JsonObject::new();
        schema.insert("type".into(), json!("object"));
        schema.insert("properties".into(), json!(properties));
        schema.insert("required".into(), json!(required));
        Tool::new(name, about, Arc::new(schema))
    };
    vec![
        tool("echo", "Returns its text.", &[("text", "string")]),
        tool("big", "Returns a text of so many bytes.", &[("bytes", "integer")]),
        tool(
            "events",
            "Sends progress events that name the time they were sent.",
            &[("count", "integer"), ("gap_ms", "integer")],
        ),
    ]
});
