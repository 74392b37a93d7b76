//! A session from its beginning to its end, against `archon serve` and its built-in server:
//! `cargo run -p archon-sessions-client --example quickstart`.
//!
//! `MCP_SERVER_URL` and `ARCHON_API_URL` name other addresses than the usual ones.

use std::env;
use std::error::Error;

use archon_sessions_client::wire_types::frames::FrameData;
use archon_sessions_client::{
    Api, Client, Era, EventsQuery, Notice, PageQuery, SessionFilter, SessionsQuery,
};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("MCP_SERVER_URL").unwrap_or_else(|_| "http://127.0.0.1:8051/mcp".to_owned());
    let api = env::var("ARCHON_API_URL").unwrap_or_else(|_| "http://127.0.0.1:8181".to_owned());

    let client =
        Client::builder(&url).client_info("quickstart", "1.0").era(Era::Legacy).connect().await?;
    let health = client.health_check().await?;
    let tools = client.list_tools().await?;
    println!("{}: {} tools, {:?}", health.status, tools.len(), client.session());

    // Listen to what the gateway says of it while we call.
    let api = Api::new(api)?;
    let session_id = client.session().id.ok_or("there is no gateway of ours at that address")?;
    let mut events =
        api.events(EventsQuery { session_id: Some(session_id), ..EventsQuery::default() }).await?;
    let found = client.call_tool("find_projects", json!({})).await?;
    println!("found: {}", found.structured_content.unwrap_or_default());
    loop {
        match events.next().await {
            Notice::Frame { frame, .. } => match frame.what {
                FrameData::Request(request)
                    if request.tool_name.as_deref() == Some("find_projects") =>
                {
                    println!("heard of: {} took {} ms", request.method, request.duration_ms);
                    break;
                }
                _ => {}
            },
            Notice::Lost(error) => println!("lost: {error}; trying again"),
            other => println!("{other:?}"),
        }
    }

    // Another process could go on from here: its handle, its id and a token are all that it needs.
    let saved = serde_json::to_string(&client.save().await?)?;
    drop(client);
    let state = serde_json::from_str(&saved)?;
    let client =
        Client::builder(&url).client_info("quickstart", "1.0").state(state).connect().await?;
    assert_eq!(client.session().id, Some(session_id));
    let session = client.reconnect().await?;
    println!("reconnected {} times", session.reconnect_count);

    let active = SessionsQuery { status: Some(SessionFilter::Active), ..SessionsQuery::default() };
    println!("{} sessions are active", api.sessions(&active).await?.total);
    let page = api.session(session_id, &PageQuery::default()).await?;
    println!("this one made {} requests", page.summary.total_requests);

    client.close().await;
    let ended = api.session(session_id, &PageQuery::default()).await?.session;
    println!("it ended: {}", ended.disconnect_reason.unwrap_or_default());
    Ok(())
}
