"""A small legacy MCP server from the standard library, with the manners that others avoid.

Its tools: `echo`, and `heartbeat`, a name that the gateway uses itself; `hang` never answers, but
keeps its stream alive with comments; `die` ends the process in the middle of a call; `cut` answers,
but closes the connection instead of ending its stream.

Run as a program it serves until it is ended; `--paged` lists one tool a page, and `--cut-lists`
breaks off in `tools/list`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
import time
import uuid
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from harness import ROOT, Process

TOOLS = ["echo", "hang", "die", "cut", "heartbeat"]


class Small(Process):
    """This file as a process."""

    name = "small upstream"

    def __init__(self, directory: Path, *args: str, env: Mapping[str, str] | None = None):
        self.args = args
        super().__init__(directory, {**(env or {}), "PYTHONPATH": str(ROOT / "tests")})

    def command(self) -> list[str]:
        port = self.port if self.url else 0
        return [sys.executable, __file__, "--port", str(port), *self.args]

    def find_url(self, output: str) -> str | None:
        found = re.search(r"^listening on (http://\S+)$", output, re.MULTILINE)
        return found and found[1]


class Server(ThreadingHTTPServer):
    """The server; a session is known by its id and nothing more."""

    daemon_threads = True

    def __init__(self, options: argparse.Namespace):
        super().__init__(("127.0.0.1", options.port), Handler)
        self.options = options
        self.sessions: set[str] = set()


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        method, id = message["method"], message.get("id")
        if method == "initialize":
            session = str(uuid.uuid4())
            self.server.sessions.add(session)
            self.answer(id, _initialized(message["params"]), {"mcp-session-id": session})
        elif method == "server/discover":
            self.answer(id, {"code": -32601, "message": "unknown method"}, kind="error", status=404)
        elif self.headers.get("mcp-session-id") not in self.server.sessions:
            self.answer(id, {"code": -32001, "message": "unknown"}, kind="error", status=404)
        elif id is None:
            self.reply(202, b"")
        elif method == "tools/list":
            self.list_tools(id, message.get("params") or {})
        else:
            self.call_tool(id, message["params"])

    def do_GET(self) -> None:
        self.reply(405, b"")

    def do_DELETE(self) -> None:
        self.server.sessions.discard(self.headers.get("mcp-session-id", ""))
        self.reply(200, b"")

    def list_tools(self, id: Any, params: dict[str, Any]) -> None:
        if self.server.options.cut_lists:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "1000")
            self.end_headers()
            self.wfile.write(b'{"jsonrpc":')
            self.close_connection = True
            return
        at = int(params.get("cursor", 0))
        if not self.server.options.paged:
            return self.answer(id, {"tools": [_tool(name) for name in TOOLS]})
        page: dict[str, Any] = {"tools": [_tool(TOOLS[at])]}
        if at + 1 < len(TOOLS):
            page["nextCursor"] = str(at + 1)
        self.answer(id, page)

    def call_tool(self, id: Any, params: dict[str, Any]) -> None:
        match params["name"]:
            case "echo":
                self.answer(id, _text(params["arguments"]["text"]))
            case "heartbeat":
                self.answer(id, _text("the upstream's own heartbeat"))
            case "hang":
                self.hang()
            case "die":
                os._exit(1)
            case "cut":
                self.cut(id)
            case _:
                self.answer(id, {"code": -32602, "message": "no such tool"}, kind="error")

    def hang(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b": still here\n\n")
                self.wfile.flush()
                time.sleep(0.1)

    def cut(self, id: Any) -> None:
        answer = json.dumps({"jsonrpc": "2.0", "id": id, "result": _text("answered")})
        event = f"data: {answer}\n\n".encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        self.close_connection = True

    def answer(
        self,
        id: Any,
        value: dict[str, Any],
        headers: Mapping[str, str] | None = None,
        kind: str = "result",
        status: int = 200,
    ) -> None:
        body = json.dumps({"jsonrpc": "2.0", "id": id, kind: value}).encode()
        self.reply(status, body, {"content-type": "application/json", **(headers or {})})

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _initialized(params: dict[str, Any]) -> dict[str, Any]:
    return {
        "protocolVersion": params["protocolVersion"],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "small", "version": "1"},
    }


def _tool(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"The upstream's {name}",
        "inputSchema": {"type": "object"},
    }


def _text(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--paged", action="store_true")
    parser.add_argument("--cut-lists", action="store_true")
    server = Server(parser.parse_args())
    print(f"listening on http://127.0.0.1:{server.server_port}/mcp", flush=True)
    server.serve_forever()
