"""The same client for programs without an event loop."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp.shared.dispatcher import ProgressFnT
from mcp.types import (
    CallToolResult,
    CompleteResult,
    GetPromptResult,
    LoggingLevel,
    Prompt,
    PromptReference,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    ResourceTemplateReference,
    Tool,
)

from . import oneshot
from .client import MCPClient
from .errors import MCPSessionError
from .state import SavedState, SessionInfo


class SyncMCPClient:
    """An `MCPClient` whose methods block; it takes the same arguments.

        with SyncMCPClient("http://localhost:8051") as client:
            print(client.call_tool("find_projects").content)

    A thread of its own runs the event loop, from `initialize` to `close`, and heartbeats go on in
    it. May be used by several threads at once. Callbacks are coroutine functions, called there.
    """

    def __init__(self, base_url: str | None = None, **options: Any) -> None:
        """Makes a client; `options` are those of `MCPClient`."""
        self._client = MCPClient(base_url, **options)
        self._running: AbstractContextManager[BlockingPortal] | None = None
        self._portal: BlockingPortal | None = None

    def __repr__(self) -> str:
        return f"<Sync{repr(self._client)[1:]}"

    def __enter__(self) -> SyncMCPClient:
        self.initialize()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def session_id(self) -> str | None:
        """As `MCPClient.session_id`."""
        return self._client.session_id

    @property
    def info(self) -> SessionInfo:
        """As `MCPClient.info`."""
        return self._client.info

    def initialize(self) -> SessionInfo:
        """As `MCPClient.initialize`."""
        if self._portal is None:
            self._running = start_blocking_portal("asyncio", name="archon-sessions")
            self._portal = self._running.__enter__()
        try:
            return self._portal.call(self._client.initialize)
        except BaseException:
            self._stop()
            raise

    def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: ProgressFnT | None = None,
    ) -> CallToolResult:
        """As `MCPClient.call_tool`."""

        async def call() -> CallToolResult:
            return await self._client.call_tool(
                name, arguments, timeout=timeout, on_progress=on_progress
            )

        return self._started().call(call)

    def list_tools(self) -> list[Tool]:
        """As `MCPClient.list_tools`."""
        return self._started().call(self._client.list_tools)

    def list_resources(self) -> list[Resource]:
        """As `MCPClient.list_resources`."""
        return self._started().call(self._client.list_resources)

    def list_resource_templates(self) -> list[ResourceTemplate]:
        """As `MCPClient.list_resource_templates`."""
        return self._started().call(self._client.list_resource_templates)

    def read_resource(
        self,
        uri: str,
        *,
        timeout: float | None = None,
        on_progress: ProgressFnT | None = None,
    ) -> ReadResourceResult:
        """As `MCPClient.read_resource`."""

        async def read() -> ReadResourceResult:
            return await self._client.read_resource(uri, timeout=timeout, on_progress=on_progress)

        return self._started().call(read)

    def subscribe_resource(self, uri: str) -> None:
        """As `MCPClient.subscribe_resource`."""
        self._started().call(self._client.subscribe_resource, uri)

    def unsubscribe_resource(self, uri: str) -> None:
        """As `MCPClient.unsubscribe_resource`."""
        self._started().call(self._client.unsubscribe_resource, uri)

    def list_prompts(self) -> list[Prompt]:
        """As `MCPClient.list_prompts`."""
        return self._started().call(self._client.list_prompts)

    def get_prompt(
        self,
        name: str,
        arguments: Mapping[str, str] | None = None,
        *,
        timeout: float | None = None,
        on_progress: ProgressFnT | None = None,
    ) -> GetPromptResult:
        """As `MCPClient.get_prompt`."""

        async def get() -> GetPromptResult:
            return await self._client.get_prompt(
                name, arguments, timeout=timeout, on_progress=on_progress
            )

        return self._started().call(get)

    def complete(
        self,
        ref: PromptReference | ResourceTemplateReference,
        argument: Mapping[str, str],
        context: Mapping[str, str] | None = None,
    ) -> CompleteResult:
        """As `MCPClient.complete`."""
        return self._started().call(self._client.complete, ref, argument, context)

    def set_logging_level(self, level: LoggingLevel) -> None:
        """As `MCPClient.set_logging_level`."""
        self._started().call(self._client.set_logging_level, level)

    def health_check(self) -> dict[str, Any]:
        """As `MCPClient.health_check`."""
        return self._started().call(self._client.health_check)

    def heartbeat(self) -> dict[str, Any]:
        """As `MCPClient.heartbeat`."""
        return self._started().call(self._client.heartbeat)

    def reconnect(self) -> SessionInfo:
        """As `MCPClient.reconnect`."""
        return self._started().call(self._client.reconnect)

    def save_state(self) -> SavedState:
        """As `MCPClient.save_state`."""
        return self._started().call(self._client.save_state)

    def close(self, *, end_session: bool = True) -> None:
        """As `MCPClient.close`; ends the thread as well."""

        async def close() -> None:
            await self._client.close(end_session=end_session)

        if self._portal is not None:
            try:
                self._portal.call(close)
            finally:
                self._stop()

    def _started(self) -> BlockingPortal:
        if self._portal is None:
            raise MCPSessionError("not connected; call initialize(), or use `with`")
        return self._portal

    def _stop(self) -> None:
        running, self._running, self._portal = self._running, None, None
        if running is not None:
            running.__exit__(None, None, None)


def call_mcp_tool(
    name: str,
    arguments: Mapping[str, Any] | None = None,
    base_url: str | None = None,
    **options: Any,
) -> CallToolResult:
    """As the coroutine of this name, but it blocks."""
    with SyncMCPClient(base_url, **options) as client:
        return client.call_tool(name, arguments)


def check_mcp_health(base_url: str | None = None, **options: Any) -> bool:
    """As the coroutine of this name, but it blocks."""

    async def look() -> bool:
        return await oneshot.check_mcp_health(base_url, **options)

    with start_blocking_portal("asyncio", name="archon-sessions") as portal:
        return portal.call(look)
