import{r as e}from"./rolldown-runtime-XKyaHtl9.js";import{t}from"./Select-C7s4Vj0m.js";import{t as n}from"./TextInput-D2Uvj4oB.js";import{S as r}from"./tanstack-BtWB1bzn.js";import{i,r as a}from"./react-CvdC6zOt.js";import{dt as o,i as s,n as c,t as l}from"./panel-BDiJlGIi.js";import{t as u}from"./client-mark-D7XGFzrH.js";import{t as d}from"./copy-text-CaZ84ghk.js";var f=e(i(),1),p=[{agent:`ClaudeCode`,name:`Claude Code`,place:"Run this in your project; with `--scope user` it is for all of them, with `--scope project` for all who share it:",text:(e,t)=>`claude mcp add --transport http ${t} ${b(e)}`},{agent:`ClaudeDesktop`,name:`Claude Desktop`,place:`Put this into claude_desktop_config.json (Settings, Developer, Edit Config) and start Claude Desktop again; it needs Node:`,text:(e,t)=>h(`mcpServers`,t,{args:g(e),command:`npx`})},{agent:`Cursor`,name:`Cursor`,place:`Put this into ~/.cursor/mcp.json, or .cursor/mcp.json in a project:`,text:(e,t)=>h(`mcpServers`,t,{url:e})},{agent:`VsCode`,name:`VS Code`,place:"Put this into .vscode/mcp.json, or where `MCP: Open User Configuration` leads:",text:(e,t)=>h(`servers`,t,{type:`http`,url:e})},{agent:`Windsurf`,name:`Windsurf`,place:`Put this into ~/.codeium/windsurf/mcp_config.json:`,text:(e,t)=>h(`mcpServers`,t,{serverUrl:e})},{agent:`Codex`,name:`Codex`,place:`Put this into ~/.codex/config.toml:`,text:(e,t)=>`[mcp_servers.${t}]\nurl = ${JSON.stringify(e)}`},{agent:`Gemini`,name:`Gemini CLI`,place:`Put this into ~/.gemini/settings.json, or .gemini/settings.json in a project:`,text:(e,t)=>h(`mcpServers`,t,{httpUrl:e})},{agent:`Zed`,name:`Zed`,place:"Put this into Zed's settings.json (`zed: open settings file`):",text:(e,t)=>h(`context_servers`,t,{url:e})},{agent:`Inspector`,name:`Inspector`,place:"Run this (or `archon inspect`); it needs Node:",text:e=>`npx @modelcontextprotocol/inspector --transport http --server-url ${b(e)}`},{agent:`Curl`,name:`curl`,place:`Run this; its answer's Mcp-Session-Id goes into the next request's header:`,text:_},{agent:`Rust`,name:`Rust`,place:"A main.rs, with `cargo add` for what its first lines name:",text:v},{agent:`Python`,name:`Python`,place:"A script, after `pip install archon-sessions`:",text:y}];function m(e,t){return p.map(({text:n,...r})=>({...r,text:n(e,t)}))}function h(e,t,n){return JSON.stringify({[e]:{[t]:n}},null,2)}function g(e){return[`-y`,`mcp-remote`,e,...e.startsWith(`http://`)?[`--allow-http`]:[]]}function _(e){let t=JSON.stringify({id:1,jsonrpc:`2.0`,method:`initialize`,params:{capabilities:{},clientInfo:{name:`curl`,version:`1`},protocolVersion:`2025-11-25`}});return[`curl -i ${b(e)} \\`,`  -H 'Content-Type: application/json' \\`,`  -H 'Accept: application/json, text/event-stream' \\`,`  -d '${t}'`].join(`
`)}function v(e){return`// cargo add anyhow serde_json
// cargo add archon-sessions-client
// cargo add tokio --features full
use archon_sessions_client::Client;
use serde_json::json;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::connect(${JSON.stringify(e)}).await?;
    for tool in client.list_tools().await? {
        println!("{}", tool.name);
    }
    let health = client.call_tool("health_check", json!({})).await?;
    println!("{:?}", health.structured_content);
    client.close().await;
    Ok(())
}`}function y(e){return`import asyncio

from archon_sessions import MCPClient


async def main() -> None:
    async with MCPClient(base_url=${JSON.stringify(e)}) as client:
        for tool in await client.list_tools():
            print(tool.name)
        health = await client.call_tool("health_check")
        print(health.structured_content)


asyncio.run(main())`}function b(e){return/^[\w@%+=:,./-]+$/.test(e)?e:`'${e.replaceAll(`'`,`'\\''`)}'`}var x=a();function S(){let e=r(o);return(0,x.jsxs)(x.Fragment,{children:[(0,x.jsx)(l,{name:`Connect a client`}),(0,x.jsx)(s,{query:e,rows:8,children:e=>(0,x.jsx)(C,{settings:e})})]})}function C({settings:e}){let[r,i]=(0,f.useState)(()=>T(window.location,e.port)),[a,o]=(0,f.useState)(e.path),[s,l]=(0,f.useState)(`ClaudeCode`),p=r.replace(/\/+$/,``),h=a===e.path?`archon`:a.split(`/`).at(-1)??`archon`,g=m(p+a,h),_=g.find(({agent:e})=>e===s)??g[0];return(0,x.jsxs)(x.Fragment,{children:[(0,x.jsx)(c,{title:`Endpoint`,aside:`where clients reach this gateway`,children:(0,x.jsxs)(`div`,{className:`connect-endpoint`,children:[(0,x.jsx)(n,{label:`Address`,description:`As clients see it: behind a proxy it is another one`,value:r,onChange:e=>i(e.currentTarget.value),spellCheck:!1}),(0,x.jsx)(t,{label:`Server`,description:`The first one is also at ${e.path}`,data:[{value:e.path,label:`default (${e.path})`},...e.upstreams.map(e=>({value:e.path,label:`${e.name} (${e.path})`}))],value:a,onChange:t=>o(t??e.path),allowDeselect:!1})]})}),(0,x.jsxs)(`div`,{className:`connect`,children:[(0,x.jsx)(`nav`,{className:`connect-agents`,"aria-label":`Clients`,children:g.map(({agent:e,name:t})=>(0,x.jsxs)(`button`,{type:`button`,className:`connect-agent`,"aria-pressed":e===_?.agent,onClick:()=>l(e),children:[(0,x.jsx)(u,{type:t}),t]},e))}),_&&(0,x.jsxs)(c,{title:_.name,aside:(0,x.jsx)(d,{text:_.text}),children:[(0,x.jsx)(`p`,{className:`connect-place`,children:w(_.place)}),(0,x.jsx)(`section`,{className:`connect-text`,tabIndex:0,"aria-label":`For ${_.name}`,children:(0,x.jsx)(`pre`,{children:_.text})})]})]})]})}function w(e){return e.split("`").map((e,t)=>t%2==1?(0,x.jsx)(`code`,{children:e},e):e)}function T({protocol:e,hostname:t},n){return`${e}//${t}:${n}`}export{S as Connect,T as mcpOrigin};