"""A legacy server that turns tool calls away as it is told, and counts them."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

from loopback import LoopbackServer

Refusal = tuple[int, dict[str, str]]


class Stub(LoopbackServer):
    """`refusals` are the status and headers for the next calls; when there are none left, calls work."""

    def __init__(self) -> None:
        super().__init__(Handler, "/mcp")
        self.refusals: list[Refusal] = []
        self.calls = 0


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    server: Stub

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        match message["method"]:
            case "initialize":
                self.result(message["id"], initialized(message["params"]))
            case "tools/call":
                self.server.calls += 1
                if self.server.refusals:
                    self.reply(*self.server.refusals.pop(0))
                else:
                    self.result(message["id"], {"content": [{"type": "text", "text": "done"}]})
            case _ if "id" not in message:
                self.reply(202, {})
            case _:
                self.reply(404, {})

    def do_GET(self) -> None:
        self.reply(405, {})

    do_DELETE = do_GET

    def result(self, id: Any, result: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": id, "result": result}).encode()
        self.reply(200, {"content-type": "application/json"}, body)

    def reply(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the test does."""


def initialized(params: dict[str, Any]) -> dict[str, Any]:
    """The answer to a handshake."""
    return {
        "protocolVersion": params["protocolVersion"],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "stub", "version": "1"},
    }
