"""A legacy server on a socket that answers as a test wants, however odd that is, and keeps what it got."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from loopback import LoopbackServer

JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream"}
WAIT_S = 30


@dataclass
class Seen:
    """A request as it came."""

    verb: str
    path: str
    headers: dict[str, str]
    message: dict[str, Any]

    @property
    def kind(self) -> str:
        """The method of the message; the verb of what has none."""
        return self.message.get("method") or self.verb

    def answer(self, result: Any, id: Any = ...) -> dict[str, Any]:
        """An answer to this request, perhaps under another id."""
        return {"jsonrpc": "2.0", "id": self.message["id"] if id is ... else id, "result": result}

    def error(self, code: Any, message: str, id: Any = ...) -> dict[str, Any]:
        """An error in answer to it."""
        id = self.message["id"] if id is ... else id
        return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}


@dataclass
class Reply:
    """What a server says: a body at once, or pieces of a stream as they come."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""


Script = Callable[[Seen, int], Reply | None]


def text(said: str) -> dict[str, Any]:
    """The result of a tool."""
    return {"content": [{"type": "text", "text": said}]}


def as_json(message: Any, status: int = 200, **headers: str) -> Reply:
    """A JSON document."""
    return Reply(status, {**JSON, **headers}, json.dumps(message).encode())


def event(message: Any, id: str | None = None) -> bytes:
    """An event as most servers write it."""
    data = "" if message is None else json.dumps(message)
    return f"{'' if id is None else f'id: {id}' + chr(10)}data: {data}\n\n".encode()


def as_events(*events: bytes) -> Reply:
    """A stream that ends after these."""
    return Reply(200, EVENTS, list(events))


class Peer(LoopbackServer):
    """The server. `script` answers a request, given how many of its kind came before, or leaves it to `usual`."""

    def __init__(self, script: Script):
        super().__init__(Handler, "/mcp")
        self.script = script
        self.seen: list[Seen] = []
        # Set when the server ends, for streams that would stay open.
        self.ending = threading.Event()
        self._changed = threading.Condition()

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        super().__exit__()

    def count(self, kind: str) -> int:
        """How many requests of a kind came."""
        return len(self.of(kind))

    def of(self, kind: str) -> list[Seen]:
        """The requests of a kind."""
        return [seen for seen in list(self.seen) if seen.kind == kind]

    def note(self, seen: Seen) -> int:
        """Keeps a request, and returns how many of its kind came before."""
        with self._changed:
            before = self.count(seen.kind)
            self.seen.append(seen)
            self._changed.notify_all()
        return before

    def until(self, is_so: Callable[[Peer], bool]) -> None:
        """Waits for requests."""
        with self._changed:
            assert self._changed.wait_for(lambda: is_so(self), WAIT_S), [s.kind for s in self.seen]

    def answer_to(self, id: Any) -> dict[str, Any]:
        """Waits for the client's answer to a question."""

        def found() -> list[dict[str, Any]]:
            return [s.message for s in self.seen if s.message.get("id") == id and s.kind == "POST"]

        self.until(lambda _: bool(found()))
        return found()[0]


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    server: Peer

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        message = json.loads(self.rfile.read(length) or b"{}")
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, headers, message)
        before = self.server.note(seen)
        self.reply(self.server.script(seen, before) or usual(seen, before))

    do_GET = do_DELETE = do_POST

    def reply(self, reply: Reply) -> None:
        headers = dict(reply.headers)
        is_stream = not isinstance(reply.body, bytes)
        if is_stream:
            headers["transfer-encoding"] = "chunked"
        else:
            headers["content-length"] = str(len(reply.body))
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            if isinstance(reply.body, bytes):
                self.wfile.write(reply.body)
                return
            for piece in reply.body:
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the test does."""


def usual(seen: Seen, before: int) -> Reply:
    """What a legacy server answers; the handles that it gives are `h1`, `h2`, …"""
    match seen.kind:
        case "initialize":
            result = {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "peer", "version": "1"},
            }
            return as_json(seen.answer(result), **{"mcp-session-id": f"h{before + 1}"})
        case "tools/list":
            return as_json(seen.answer({"tools": [{"name": "any", "inputSchema": {"type": "object"}}]}))
        case "tools/call":
            return as_json(seen.answer(text("done")))
        case "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe":
            return as_json(seen.answer({}))
        case "GET" | "DELETE":
            return Reply(405)
        case _ if "method" in seen.message and "id" in seen.message:
            return as_json(seen.error(-32601, "Method not found"), 400)
        case _:
            return Reply(202)
