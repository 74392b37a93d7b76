"""An OpenTelemetry collector for tests: takes spans over OTLP/HTTP with protobuf, and keeps them.

with Collector() as collector:
    ... env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url} ...
    span = collector.span("tools/call echo")
    assert span.attributes["mcp.method.name"] == "tools/call"

Protobuf is decoded by hand: the few fields that are looked at do not need a library.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from harness import wait_for

SERVER = 2  # the kind of a span
ERROR = 2  # the status of a span


@dataclass(frozen=True)
class Span:
    """A span, as far as tests look at it."""

    trace_id: str
    span_id: str
    parent_span_id: str
    trace_state: str
    name: str
    kind: int
    started_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    status: int
    status_message: str
    resource: dict[str, Any]


class Collector:
    """The collector; what is sent to it arrives in `spans`, while `is_away` it refuses connections' requests."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.headers: list[dict[str, str]] = []
        self.refusals = 0
        self.is_away = False
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = collector.take(self.path, dict(self.headers), body)
                self.send_response(status)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        """Where it listens, without the path for traces."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Takes a request, and returns the status of its answer."""
        if self.is_away:
            self.refusals += 1
            return 400
        assert path == "/v1/traces", path
        self.headers.append({name.lower(): value for name, value in headers.items()})
        self.spans += _spans(body)
        return 200

    def span(self, name: str) -> Span:
        """Waits for a span of this name, and returns it."""
        return self.wait(name, 1)[0]

    def wait(self, name: str, count: int) -> list[Span]:
        """Waits for so many spans of this name."""

        def look() -> list[Span] | None:
            found = [span for span in self.spans if span.name == name]
            return found if len(found) >= count else None

        return wait_for(f"{count} spans {name!r}", look, 30)


# Fields by their numbers, as opentelemetry/proto/trace/v1/trace.proto has them.
def _spans(body: bytes) -> Iterator[Span]:
    for resource_spans in _messages(body, 1):
        resource = next(iter(_messages(resource_spans, 1)), b"")
        attributes = _attributes(resource, 1)
        for scope_spans in _messages(resource_spans, 2):
            for span in _messages(scope_spans, 2):
                yield _span(span, attributes)


def _span(message: bytes, resource: dict[str, Any]) -> Span:
    fields = dict(_fields(message))
    status = dict(_fields(fields.get(15, b"")))
    links = [dict(_fields(link)) for link in _messages(message, 13)]
    return Span(
        trace_id=fields[1].hex(),
        span_id=fields[2].hex(),
        trace_state=fields.get(3, b"").decode(),
        parent_span_id=fields.get(4, b"").hex(),
        name=fields[5].decode(),
        kind=fields[6],
        started_ns=fields[7],
        ended_ns=fields[8],
        attributes=_attributes(message, 9),
        links=[(link[1].hex(), link[2].hex()) for link in links],
        status=status.get(3, 0),
        status_message=status.get(2, b"").decode(),
        resource=resource,
    )


def _attributes(message: bytes, number: int) -> dict[str, Any]:
    found = {}
    for pair in _messages(message, number):
        fields = dict(_fields(pair))
        [(kind, value)] = _fields(fields[2])
        found[fields[1].decode()] = value.decode() if kind == 1 else value
    return found


def _messages(message: bytes, number: int) -> list[bytes]:
    return [value for of, value in _fields(message) if of == number]


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        match tag & 7:
            case 0:
                value, at = _varint(message, at)
            case 1:
                value, at = struct.unpack_from("<Q", message, at)[0], at + 8
            case 2:
                size, at = _varint(message, at)
                value, at = message[at : at + size], at + size
            case 5:
                value, at = struct.unpack_from("<I", message, at)[0], at + 4
            case kind:
                raise ValueError(f"wire type {kind}")
        yield tag >> 3, value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
