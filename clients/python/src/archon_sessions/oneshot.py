"""Functions for those who want one thing once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.types import CallToolResult

from .client import MCPClient


async def call_mcp_tool(
    name: str,
    arguments: Mapping[str, Any] | None = None,
    base_url: str | None = None,
    **options: Any,
) -> CallToolResult:
    """Connects, calls one tool, and closes. `options` are those of `MCPClient`.

    Raises:
        MCPClientError: as `MCPClient.initialize` and `MCPClient.call_tool` do.
    """
    async with MCPClient(base_url, **options) as client:
        return await client.call_tool(name, arguments)


async def check_mcp_health(base_url: str | None = None, **options: Any) -> dict[str, Any]:
    """Connects, asks how the server is, and closes. `options` are those of `MCPClient`.

    Raises:
        MCPClientError: it cannot be asked; as `MCPClient.initialize` and `health_check` do.
    """
    async with MCPClient(base_url, **options) as client:
        return await client.health_check()
