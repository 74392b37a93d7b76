"""Connects to a gateway, calls a tool, and says what went wrong if something did.

Start `archon serve` first; MCP_SERVER_URL names another server.
"""

from __future__ import annotations

import asyncio
import sys

from archon_sessions import (
    MCPClient,
    MCPConnectionError,
    MCPOutcomeUnknown,
    MCPSessionError,
    MCPToolError,
)


async def main() -> None:
    """Lists the tools of the server, and the projects of the built-in demo server."""
    async with MCPClient(client_name="quickstart", client_version="1.0") as client:
        tools = await client.list_tools()
        print("tools:", ", ".join(tool.name for tool in tools))
        result = await client.call_tool("find_projects", {"query": "portal"})
        print("projects:", result.structured_content or result.content)
        print("session:", client.info)


try:
    asyncio.run(main())
except MCPToolError as error:
    sys.exit(f"the tool said no: {error}")
except MCPOutcomeUnknown as error:
    sys.exit(f"look before you call again: {error}")
except (MCPConnectionError, MCPSessionError) as error:
    sys.exit(f"nothing has run, try again later: {error}")
