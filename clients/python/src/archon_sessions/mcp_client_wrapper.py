"""The client under the names of Archon's guide, whose results can be read like dictionaries.

    from archon_sessions.mcp_client_wrapper import MCPClient, call_mcp_tool, check_mcp_health

    async with MCPClient() as client:
        tools = await client.list_tools()
        tasks = await client.call_tool("find_tasks", {"filter_by": "status"})
        print(len(tools["tools"]), tasks.get("tasks", []))

Programs that were written for `src.mcp_server.utils.mcp_client_wrapper` change that import and
nothing else. Beneath is `archon_sessions.MCPClient`, with its sessions, retries and errors; new
programs are better off with that one, whose results have types.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from mcp.types import CallToolResult, TextContent

from . import client as typed
from .errors import (
    MCPClientError,
    MCPConnectionError,
    MCPOutcomeUnknown,
    MCPSessionError,
    MCPToolError,
)
from .oneshot import ASKED_ONCE, HEALTHY
from .state import SessionInfo
from .values import json_object

__all__ = [
    "MCPClient",
    "MCPClientError",
    "MCPConnectionError",
    "MCPOutcomeUnknown",
    "MCPSessionError",
    "MCPToolError",
    "ToolResult",
    "call_mcp_tool",
    "check_mcp_health",
]

logger = logging.getLogger("archon_sessions")

CLIENT_NAME = "ArchonMCPClient"
CLIENT_VERSION = "1.0.0"


class ToolResult(dict[str, Any]):
    """What a tool returned: the members of its result, and those of the value that it returned.

    `content`, `isError` and `structuredContent` are as the protocol names them. The value is the
    structured content, or the JSON in the first text; if it is an object its members can be read
    here as well, where the protocol has none of that name.
    """

    def __init__(self, result: CallToolResult) -> None:
        """Reads a result."""
        members = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        members.setdefault("content", [])
        members.setdefault("isError", False)
        self.value = _value(result)
        """The structured content, or the JSON in the first text, or that text, or nothing."""
        super().__init__({**(json_object(self.value) or {}), **members})


class MCPClient:
    """A client of one MCP server, connected by its first call if nobody did it before."""

    # As many by position as the guide's client takes.
    def __init__(  # noqa: PLR0917
        self,
        base_url: str | None = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        retry_delay: float = 1.0,
        client_name: str = CLIENT_NAME,
        client_version: str = CLIENT_VERSION,
        **options: Any,
    ) -> None:
        """Makes a client; `options` are the others of `archon_sessions.MCPClient`."""
        self._client = typed.MCPClient(
            base_url,
            timeout=timeout,
            max_retries=max_retries,
            retry_delay=retry_delay,
            client_name=client_name,
            client_version=client_version,
            **options,
        )
        self._info: SessionInfo | None = None

    async def __aenter__(self) -> MCPClient:
        await self.initialize()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def initialized(self) -> bool:
        """Whether it is connected."""
        return self._info is not None

    @property
    def session_id(self) -> str | None:
        """The protocol's session, which is a secret; nothing in the modern era, which has none."""
        return self._client.info.mcp_session_id if self._info else None

    @property
    def archon_session_id(self) -> str | None:
        """The gateway's session."""
        return self._client.session_id

    async def initialize(self) -> dict[str, Any]:
        """Connects; returns `status`, `session_id`, `archon_session_id` and `capabilities`.

        Raises:
            MCPConnectionError, MCPSessionError: as `archon_sessions.MCPClient.initialize`.
        """
        status = "already_initialized" if self.initialized else "initialized"
        self._info = await self._client.initialize()
        return {
            "status": status,
            "session_id": self.session_id,
            "archon_session_id": self.archon_session_id,
            "capabilities": self._client.server_capabilities,
        }

    async def call_tool(
        self,
        tool_name: str,
        arguments: Mapping[str, Any] | None = None,
        retry_on_session_error: bool = True,
        **more_arguments: Any,
    ) -> ToolResult:
        """Calls a tool. One that says that it failed is a result with `isError`, too.

        `retry_on_session_error` is taken and has no effect: a call that a server refused because it
        forgot the session did not run, and is always sent again.

        Raises:
            MCPClientError: as `archon_sessions.MCPClient.call_tool`.
        """
        del retry_on_session_error
        await self._connect()
        try:
            result = await self._client.call_tool(
                tool_name, {**(arguments or {}), **more_arguments}
            )
        except MCPToolError as error:
            if error.result is None:
                raise
            result = error.result
        return ToolResult(result)

    async def list_tools(self) -> dict[str, Any]:
        """Returns the server's tools, under `tools`.

        Raises:
            MCPClientError: as `archon_sessions.MCPClient.list_tools`.
        """
        await self._connect()
        tools = await self._client.list_tools()
        listed = [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in tools]
        return {"tools": listed}

    async def health_check(self) -> dict[str, Any]:
        """Returns how the server is: `status` is `healthy`, or something else.

        Raises:
            MCPClientError: as `archon_sessions.MCPClient.health_check`.
        """
        await self._connect()
        return await self._client.health_check()

    async def close(self) -> None:
        """Closes the connection, and ends the session."""
        self._info = None
        await self._client.close()

    async def _connect(self) -> None:
        if self._info is None:
            self._info = await self._client.initialize()


async def call_mcp_tool(
    tool_name: str,
    arguments: Mapping[str, Any] | None = None,
    base_url: str | None = None,
    **options: Any,
) -> ToolResult:
    """Connects, calls one tool, and closes.

    Raises:
        MCPClientError: as `MCPClient.call_tool`.
    """
    async with MCPClient(base_url, **options) as client:
        return await client.call_tool(tool_name, arguments)


async def check_mcp_health(base_url: str | None = None, **options: Any) -> bool:
    """Returns whether a server can be reached and says that it is healthy; it is asked once."""
    try:
        async with MCPClient(base_url, **{**ASKED_ONCE, **options}) as client:
            return (await client.health_check()).get("status") == HEALTHY
    except (MCPClientError, ValueError) as error:
        logger.info("the server is not healthy: %s", error)
        return False


def _value(result: CallToolResult) -> object:
    if result.structured_content is not None:
        return result.structured_content
    texts = (block.text for block in result.content if isinstance(block, TextContent))
    text = next(texts, None)
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text
