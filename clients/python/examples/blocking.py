"""The client without an event loop, and the two functions for those who want one thing once."""

from __future__ import annotations

from archon_sessions.sync import SyncMCPClient, call_mcp_tool, check_mcp_health

print("health:", check_mcp_health())
print("at once:", call_mcp_tool("find_projects", {"query": "portal"}).is_error)

with SyncMCPClient(client_name="blocking") as client:
    for query in ("portal", "no such project"):
        result = client.call_tool("find_projects", {"query": query})
        print(f"{query}:", result.structured_content or result.content)
