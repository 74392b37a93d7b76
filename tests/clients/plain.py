"""A server on the Python SDK, without a gateway in front of it.

Run as a program it serves until it is ended.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from mcp.server.mcpserver import MCPServer

from harness import ROOT, Process, free_port


class Plain(Process):
    """This file as a process."""

    name = "plain server"

    def __init__(self, directory: Path, env: Mapping[str, str] | None = None):
        self._port = free_port()
        super().__init__(directory, {**(env or {}), "PYTHONPATH": str(ROOT / "tests")})

    def command(self) -> list[str]:
        return [sys.executable, __file__, str(self._port)]

    def find_url(self, output: str) -> str | None:
        return f"http://127.0.0.1:{self._port}/mcp" if "Uvicorn running" in output else None


def server() -> MCPServer:
    """Says back what it is told, and has a tool of its own by a name of the gateway's."""
    server = MCPServer("plain")

    @server.tool()
    def echo(message: str) -> str:
        return message

    @server.tool()
    def health_check() -> dict[str, str]:
        return {"status": "not the gateway's"}

    return server


if __name__ == "__main__":
    server().run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
