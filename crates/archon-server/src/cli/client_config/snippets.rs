//! What each agent wants to be told, in the form of November 2026.

use std::fmt::Write as _;

use archon_sessions::session::ClientKey;
use serde_json::{Value, json};

use super::Agent;

/// Something to paste, or to run.
pub struct Snippet {
    /// Where it goes.
    pub place: &'static str,
    /// Itself.
    pub text: String,
}

/// The header that keeps an agent's session where it keeps no cookies, as most do not.
const KEY_HEADER: &str = "X-Archon-Client-Key";

/// Returns what an agent needs to know of an endpoint. Its key is new each time: one that two agents share makes them
/// one client.
pub fn of(agent: Agent, url: &str, name: &str, key: &ClientKey) -> Snippet {
    let headers = json!({ KEY_HEADER: key.reveal() });
    let (place, text) = match agent {
        Agent::ClaudeCode => (
            "Run this in your project; with `--scope user` it is for all of them, with `--scope project` for all \
             who share it:",
            format!(
                "claude mcp add --transport http {name} {} --header '{KEY_HEADER}: {}'",
                word(url),
                key.reveal()
            ),
        ),
        // It takes remote servers only from its own settings, and reaches those from Anthropic's network;
        // what is on this machine or in yours needs a bridge.
        Agent::ClaudeDesktop => (
            "Put this into claude_desktop_config.json (Settings, Developer, Edit Config) and start Claude Desktop \
             again; it needs Node:",
            servers("mcpServers", name, bridge(url, key)),
        ),
        Agent::Cursor => (
            "Put this into ~/.cursor/mcp.json, or .cursor/mcp.json in a project:",
            servers("mcpServers", name, json!({ "url": url, "headers": headers })),
        ),
        Agent::VsCode => (
            "Put this into .vscode/mcp.json, or where `MCP: Open User Configuration` leads:",
            servers("servers", name, json!({ "type": "http", "url": url, "headers": headers })),
        ),
        Agent::Windsurf => (
            "Put this into ~/.codeium/windsurf/mcp_config.json:",
            servers("mcpServers", name, json!({ "serverUrl": url, "headers": headers })),
        ),
        Agent::Codex => (
            "Put this into ~/.codex/config.toml:",
            format!(
                "[mcp_servers.{name}]\nurl = {}\nhttp_headers = {{ {KEY_HEADER:?} = {:?} }}",
                json!(url),
                key.reveal()
            ),
        ),
        Agent::Gemini => (
            "Put this into ~/.gemini/settings.json, or .gemini/settings.json in a project:",
            servers("mcpServers", name, json!({ "httpUrl": url, "headers": headers })),
        ),
        Agent::Zed => (
            "Put this into Zed's settings.json (`zed: open settings file`):",
            servers("context_servers", name, json!({ "url": url, "headers": headers })),
        ),
        Agent::Inspector => (
            "Run this (or `archon inspect`); it needs Node:",
            format!(
                "npx @modelcontextprotocol/inspector --transport http --server-url {}",
                word(url)
            ),
        ),
        Agent::Curl => (
            "Run this; its answer's Mcp-Session-Id goes into the next request's header:",
            curl(url),
        ),
        Agent::Rust => ("A main.rs, with `cargo add` for what its first lines name:", rust(url)),
        Agent::Python => ("A script, after `pip install archon-sessions`:", python(url)),
    };
    Snippet { place, text }
}

fn servers(key: &str, name: &str, server: Value) -> String {
    format!("{:#}", json!({ key: { name: server } }))
}

/// Returns how `mcp-remote` is started. It refuses HTTP to other machines unless it is told.
fn bridge(url: &str, key: &ClientKey) -> Value {
    let mut args = vec!["-y".to_owned(), "mcp-remote".to_owned(), url.to_owned()];
    if url.starts_with("http://") {
        args.push("--allow-http".to_owned());
    }
    // Without a space: on Windows an argument with one is cut in two.
    args.extend(["--header".to_owned(), format!("{KEY_HEADER}:{}", key.reveal())]);
    json!({ "command": "npx", "args": args })
}

fn curl(url: &str) -> String {
    let initialize = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "curl", "version": "1" },
        },
    });
    let mut text = format!("curl -i {} \\\n", word(url));
    for header in ["Content-Type: application/json", "Accept: application/json, text/event-stream"]
    {
        let _ = writeln!(text, "  -H '{header}' \\");
    }
    let _ = write!(text, "  -d '{initialize}'");
    text
}

fn rust(url: &str) -> String {
    format!(
        r#"// cargo add anyhow serde_json
// cargo add archon-sessions-client
// cargo add tokio --features full
use archon_sessions_client::Client;
use serde_json::json;

#[tokio::main]
async fn main() -> anyhow::Result<()> {{
    let client = Client::connect({url:?}).await?;
    for tool in client.list_tools().await? {{
        println!("{{}}", tool.name);
    }}
    let health = client.call_tool("health_check", json!({{}})).await?;
    println!("{{:?}}", health.structured_content);
    client.close().await;
    Ok(())
}}"#
    )
}

fn python(url: &str) -> String {
    format!(
        r#"import asyncio

from archon_sessions import MCPClient


async def main() -> None:
    async with MCPClient(base_url={}) as client:
        for tool in await client.list_tools():
            print(tool.name)
        health = await client.call_tool("health_check")
        print(health.structured_content)


asyncio.run(main())"#,
        json!(url)
    )
}

/// Returns the text as one word of a shell's command. A URL has no NUL, the one thing that cannot be one.
fn word(text: &str) -> String {
    shlex::try_quote(text).map_or_else(|_| String::new(), Into::into)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    /// All of it, as a reader would see it; what changes here changes for everybody who pastes it.
    const SNAPSHOT: &str = include_str!("snippets.snapshot");

    fn key() -> ClientKey {
        "0123456789abcdef0123456789abcdef".parse().unwrap()
    }

    #[test]
    fn each_agents_snippet_is_the_one_that_we_looked_up() {
        let mut all = String::new();
        for agent in Agent::value_variants() {
            let snippet = of(*agent, "http://127.0.0.1:8051/mcp", "archon", &key());
            let _ = writeln!(all, "== {agent:?}: {}\n{}\n", snippet.place, snippet.text);
        }
        assert!(all == SNAPSHOT, "snippets.snapshot should be:\n{all}");
    }

    #[test]
    fn names_and_urls_stand_where_they_belong_whatever_is_in_them() {
        let url = "https://mcp.example/mcp/a'b?x=\"1\"&y=$z";
        let json: Value =
            serde_json::from_str(&of(Agent::Cursor, url, "x-1", &key()).text).unwrap();
        assert_eq!(json["mcpServers"]["x-1"]["url"], url);
        let toml: toml::Table = of(Agent::Codex, url, "x-1", &key()).text.parse().unwrap();
        assert_eq!(toml["mcp_servers"]["x-1"]["url"].as_str(), Some(url));
        for agent in [Agent::ClaudeCode, Agent::Inspector, Agent::Curl] {
            let words = shlex::split(&of(agent, url, "x-1", &key()).text).unwrap();
            assert!(words.iter().any(|word| word == url), "{agent:?}: {words:?}");
        }
        let bridged = of(Agent::ClaudeDesktop, url, "x", &key()).text;
        assert!(!bridged.contains("--allow-http"), "only where it is needed: {bridged}");
    }
}
