"""The Python client as a process: it reads one request a line, and answers each as it finishes.

`crates/archon-sessions-client/examples/driver.rs` does the same for the Rust client; drivers.py says
what the lines are.

With `--nursery FD` it makes clients on request instead: it gets standard input, output and error over
that socket, and answers with the process id of a client that uses them. Importing `mcp` takes a
second of a core, and forking a process that has done so takes none.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from typing import Any

from archon_sessions import (
    MCPClient,
    MCPClientError,
    MCPConnectionError,
    MCPOutcomeUnknown,
    MCPSessionError,
    MCPToolError,
    SavedState,
)

NAMES: list[tuple[type[MCPClientError], str]] = [
    (MCPSessionError, "SessionError"),
    (MCPConnectionError, "ConnectionError"),
    (MCPToolError, "ToolError"),
    (MCPOutcomeUnknown, "OutcomeUnknown"),
]


class Driver:
    """One client, or none yet."""

    def __init__(self) -> None:
        self.client: MCPClient | None = None

    async def answer(self, line: str) -> None:
        """Does what a line asks for, and says what came of it."""
        request = json.loads(line)
        answer: dict[str, Any] = {"id": request["id"]}
        try:
            answer["ok"] = await getattr(self, f"do_{request['do']}")(request)
        except MCPClientError as error:
            answer["error"] = {"type": name_of(error), "message": str(error)}
        print(json.dumps(answer), flush=True)

    async def do_connect(self, request: dict[str, Any]) -> dict[str, Any]:
        state = request.get("state")
        heartbeat_ms = request.get("heartbeat_ms")
        self.client = MCPClient(
            request["url"],
            era=request["era"],
            client_name=request["client_name"],
            client_version=request["client_version"],
            timeout=request["timeout_ms"] / 1000,
            max_retries=request["max_retries"],
            retry_delay=request["retry_delay_ms"] / 1000,
            heartbeat_interval=None if heartbeat_ms is None else heartbeat_ms / 1000,
            state=None if state is None else SavedState.from_dict(state),
            trust_annotations=request.get("trust_annotations", False),
        )
        await self.client.initialize()
        return {}

    async def do_call_tool(self, request: dict[str, Any]) -> dict[str, Any]:
        result = await self.open.call_tool(request["name"], request.get("arguments"))
        texts = [block.text for block in result.content if block.type == "text"]
        return {
            "text": texts[0] if texts else None,
            "structured": result.structured_content,
        }

    async def do_list_tools(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"names": [tool.name for tool in await self.open.list_tools()]}

    async def do_health_check(self, _: dict[str, Any]) -> dict[str, Any]:
        return await self.open.health_check()

    async def do_heartbeat(self, _: dict[str, Any]) -> dict[str, Any]:
        return await self.open.heartbeat()

    async def do_reconnect(self, _: dict[str, Any]) -> dict[str, Any]:
        await self.open.reconnect()
        return {}

    async def do_session(self, _: dict[str, Any]) -> dict[str, Any]:
        info = self.open.info
        return {
            "session_id": info.session_id,
            "mcp_session_id": info.mcp_session_id,
            "era": info.era,
            "reconnect_count": info.reconnect_count,
        }

    async def do_save(self, _: dict[str, Any]) -> dict[str, Any]:
        return (await self.open.save_state()).to_dict()

    async def do_close(self, _: dict[str, Any]) -> dict[str, Any]:
        await self.open.close()
        return {}

    @property
    def open(self) -> MCPClient:
        if self.client is None:
            raise MCPSessionError("not connected")
        return self.client


def name_of(error: MCPClientError) -> str:
    """The name of an error that both clients share."""
    return next(name for kind, name in NAMES if isinstance(error, kind))


async def main() -> None:
    """Serves until standard input ends."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    lines = asyncio.StreamReader(limit=2**24)
    protocol = asyncio.StreamReaderProtocol(lines)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    driver = Driver()
    # `connect` is answered before what follows it is begun: the rest needs the client.
    async with asyncio.TaskGroup() as tasks:
        while line := await lines.readline():
            work = driver.answer(line.decode())
            if json.loads(line)["do"] == "connect":
                await work
            else:
                tasks.create_task(work)


def nurse(requests: socket.socket) -> None:
    """Makes a client for each three descriptors that come, until the other end is closed."""
    # Nobody asks how a client ended, so the kernel is to forget it.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        asked, descriptors, _, _ = socket.recv_fds(requests, 1, 3)
        if not asked:
            return
        child = os.fork()
        if child == 0:
            requests.close()
            for target, descriptor in enumerate(descriptors):
                os.dup2(descriptor, target)
                os.close(descriptor)
            asyncio.run(main())
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)
        requests.sendall(child.to_bytes(4, "big"))


if sys.argv[1:2] == ["--nursery"]:
    nurse(socket.socket(fileno=int(sys.argv[2])))
else:
    asyncio.run(main())
