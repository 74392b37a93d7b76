"""The two Python client libraries, behind one face: tests say what a client does and not how.

async with connect("fastmcp", url, "legacy") as client:
    assert "echo" in await client.tools()
    assert await client.text("echo", text="hello") == "hello"
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import fastmcp
import fastmcp.client.elicitation
import mcp
import mcp_types as types

LIBRARIES = ["mcp", "fastmcp"]
MODES = ["legacy", "auto", "2026-07-28"]

# What a client says when the server asks it something.
SAMPLED = "as the model said"
ELICITED = {"username": "ada", "email": "ada@example.com"}

# A working client takes seconds.
CLIENT_S = 60

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs what a client does, within a wide limit."""

    async def within() -> T:
        return await asyncio.wait_for(work, CLIENT_S)

    return asyncio.run(within())


@dataclass
class Connected:
    """A client with its connection open, and what it was sent besides answers."""

    library: str
    client: Any
    logged: asyncio.Queue[Any]
    progress: list[tuple[float, float | None]] = field(default_factory=list)

    async def version(self) -> str:
        """The protocol version that was agreed on."""
        return self.client.protocol_version

    async def tools(self) -> set[str]:
        """The names of the tools."""
        listed = await self.client.list_tools()
        return {tool.name for tool in (listed if self.library == "fastmcp" else listed.tools)}

    async def call(self, tool: str, **arguments: Any) -> Any:
        """Calls a tool, and returns its result even if that is an error."""
        if self.library == "fastmcp":
            return await self.client.call_tool(
                tool, arguments, raise_on_error=False, progress_handler=self._saw_progress
            )
        return await self.client.call_tool(tool, arguments, progress_callback=self._saw_progress)

    async def text(self, tool: str, **arguments: Any) -> str:
        """Calls a tool, and returns the first text of its result."""
        return (await self.call(tool, **arguments)).content[0].text

    async def _saw_progress(self, done: float, total: float | None, _: str | None) -> None:
        self.progress.append((done, total))


@contextlib.asynccontextmanager
async def connect(
    library: str, url: str, mode: str, name: str = "", **options: Any
) -> AsyncIterator[Connected]:
    """Opens a connection with a library, for as long as the block runs."""
    logged: asyncio.Queue[Any] = asyncio.Queue()
    if name:
        options["client_info"] = types.Implementation(name=name, version="1.0")
    make = _mcp if library == "mcp" else _fastmcp
    async with make(url, mode, logged, options) as client:
        yield Connected(library, client, logged)


def _mcp(url: str, mode: str, logged: asyncio.Queue[Any], options: dict[str, Any]) -> mcp.Client:
    async def sample(
        context: Any, params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult:
        content = types.TextContent(type="text", text=SAMPLED)
        return types.CreateMessageResult(role="assistant", content=content, model="test")

    async def elicit(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content=dict(ELICITED))

    async def log(params: types.LoggingMessageNotificationParams) -> None:
        await logged.put(params.data)

    return mcp.Client(
        url,
        mode=mode,
        sampling_callback=sample,
        elicitation_callback=elicit,
        logging_callback=log,
        **options,
    )


def _fastmcp(
    url: str, mode: str, logged: asyncio.Queue[Any], options: dict[str, Any]
) -> fastmcp.Client[Any]:
    async def sample(*_: Any) -> str:
        return SAMPLED

    async def elicit(*_: Any) -> fastmcp.client.elicitation.ElicitResult[Any]:
        return fastmcp.client.elicitation.ElicitResult(action="accept", content=dict(ELICITED))

    async def log(message: Any) -> None:
        await logged.put(message.data)

    return fastmcp.Client(
        url,
        mode=mode,
        sampling_handler=sample,
        elicitation_handler=elicit,
        log_handler=log,
        **options,
    )
