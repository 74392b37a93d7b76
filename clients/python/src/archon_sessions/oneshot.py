"""Functions for those who want one thing once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from mcp.types import CallToolResult

from .client import MCPClient
from .errors import MCPClientError

logger = logging.getLogger("archon_sessions")

HEALTHY = "healthy"
ASKED_ONCE: dict[str, Any] = {"max_retries": 0}
"""A look says how things are now."""


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


async def check_mcp_health(base_url: str | None = None, **options: Any) -> bool:
    """Returns whether a server can be reached and says that it is healthy.

    It is asked once; `options` are those of `MCPClient`, so `max_retries` asks again.

    Raises:
        ValueError: an option makes no sense.
    """
    try:
        async with MCPClient(base_url, **{**ASKED_ONCE, **options}) as client:
            health = await client.health_check()
    except MCPClientError as error:
        logger.info("the server is not healthy: %s", error)
        return False
    return health.get("status") == HEALTHY
