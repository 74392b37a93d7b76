"""What the gateway's own tools do for a client: tokens, signs of life, repeats."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mcp.types import CallToolResult, Tool

from . import gateway_tools
from .calls import structured
from .errors import MCPClientError, MCPSessionError, MCPToolError
from .state import SavedState

logger = logging.getLogger("archon_sessions")

TOKEN_STAYS_GOOD = frozenset({"rate_limited", "session_store_unavailable"})
"""Refusals of a reconnect token after which it may be shown again."""

CallTool = Callable[[str, Mapping[str, Any]], Awaitable[CallToolResult]]


class Tracked:
    """A session as the gateway tracks it, through the tools that it adds to a server's."""

    def __init__(
        self,
        call_tool: CallTool,
        list_tools: Callable[[], Awaitable[list[Tool]]],
        state: SavedState | None,
        trust_annotations: bool,
    ) -> None:
        """`call_tool` and `list_tools` are the client's."""
        self._call_tool, self._list_tools = call_tool, list_tools
        self._trust_annotations = trust_annotations
        self._tools: dict[str, Tool] | None = None
        self.token = state.reconnect_token if state else None
        self.reconnect_count = state.reconnect_count if state else 0

    def knows(self, tools: list[Tool]) -> None:
        """Hears which tools there are."""
        self._tools = {tool.name: tool for tool in tools}

    def forgets_tools(self) -> None:
        """Hears that they have changed."""
        self._tools = None

    async def ask(self, name: str) -> dict[str, Any] | None:
        """Calls one of the gateway's tools; returns what it says, or nothing without a gateway."""
        tool = await self._tool(name)
        return structured(await self._call_tool(tool, {})) if tool else None

    async def new_token(self) -> str | None:
        """Asks for a reconnect token, and keeps it."""
        try:
            said = await self.ask(gateway_tools.GET_TOKEN)
        except MCPToolError as error:
            logger.warning("no reconnect token: %s", error)
            said = {}
        if said is not None:
            self.token = said.get("reconnect_token")
        return self.token

    async def show_token(self, session_id: str | None) -> None:
        """Takes a session back with the token that is kept, if there is one and a gateway.

        Raises:
            MCPSessionError: the gateway refused it.
        """
        tool = await self._tool(gateway_tools.RECONNECT)
        if tool is None or session_id is None or self.token is None:
            return
        arguments = {"session_id": session_id, "reconnect_token": self.token}
        try:
            said = structured(await self._call_tool(tool, arguments))
        except MCPToolError as error:
            reason = structured(error.result).get("reason") if error.result else None
            if reason not in TOKEN_STAYS_GOOD:
                self.token = None
            message = f"the session was not taken back: {reason or error}"
            raise MCPSessionError(message, reason=reason) from None
        self.token = said.get("reconnect_token")
        self.reconnect_count = int(said.get("reconnect_count", self.reconnect_count))

    async def may_repeat(self, params: Mapping[str, Any]) -> bool:
        """Whether a tool call that may have run may run again."""
        name = params.get("name")
        tools = self._tools
        own = gateway_tools.find((tools or {}).values())
        if name in {own.get(harmless) for harmless in gateway_tools.HARMLESS_TWICE}:
            return True
        if not self._trust_annotations:
            return False
        if tools is None:
            try:
                tools = {tool.name: tool for tool in await self._list_tools()}
            except MCPClientError:
                return False
        tool = tools.get(str(name))
        marks = tool.annotations if tool else None
        return bool(marks and (marks.read_only_hint or marks.idempotent_hint))

    async def has_tool(self, name: str) -> bool:
        """Whether one of the gateway's tools is there."""
        return await self._tool(name) is not None

    async def _tool(self, name: str) -> str | None:
        """Returns the name under which one of the gateway's tools goes here, if there is one."""
        tools = self._tools
        if tools is None:
            tools = {tool.name: tool for tool in await self._list_tools()}
        return gateway_tools.find(tools.values()).get(name)
