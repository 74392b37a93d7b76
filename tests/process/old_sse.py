"""Real servers of the HTTP+SSE transport of 2024-11-05: on the Python SDK, and on the TypeScript SDK.

Run as a program this file is the first: a counter that counts for one session, and says so on the way.
"""

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from mcp.server.mcpserver import Context, MCPServer

from harness import ROOT, Process, free_port, tool


class PythonSse(Process):
    """This file as a process."""

    name = "HTTP+SSE server"

    def __init__(self, directory: Path, env: Mapping[str, str] | None = None):
        super().__init__(directory, {**(env or {}), "PYTHONPATH": str(ROOT / "tests")})

    def command(self) -> list[str]:
        port = self.port if self.url else free_port()
        return [sys.executable, __file__, "--port", str(port)]

    def find_url(self, output: str) -> str | None:
        found = re.search(r"Uvicorn running on (http://\S+)", output)
        return found and f"{found[1]}/sse"


class TypeScriptSse(Process):
    """`@modelcontextprotocol/server-everything` on its oldest transport."""

    name = "server-everything on HTTP+SSE"

    def __init__(self, directory: Path, env: Mapping[str, str] | None = None):
        self._port = free_port()
        super().__init__(directory, {**(env or {}), "PORT": str(self._port)})

    def command(self) -> list[str]:
        return [str(tool("mcp-server-everything")), "sse"]

    def find_url(self, output: str) -> str | None:
        if f"running on port {self._port}" not in output:
            return None
        return f"http://127.0.0.1:{self._port}/sse"


def serve(port: int) -> None:
    """Serves until the process is ended."""
    server = MCPServer("counter")
    counts: dict[str, int] = {}

    @server.tool()
    async def count(ctx: Context) -> str:
        """Counts the calls of a session."""
        session = ctx.request_context.request.query_params["session_id"]
        counts[session] = counts.get(session, 0) + 1
        await ctx.report_progress(1, 1)
        return str(counts[session])

    server.run("sse", host="127.0.0.1", port=port)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    serve(parser.parse_args().port)
