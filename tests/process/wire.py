"""Speaks MCP over plain HTTP, header by header: what a client library would do by itself.

client = LegacyClient.connect(gateway.url)
assert client.text("echo", text="hello") == "hello"
answer = ModernClient(gateway.url).call("echo", {"text": "hello"}, {"cookie": "…"})
assert answer.status == 200 and answer.session
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

LEGACY = "2025-11-25"
MODERN = "2026-07-28"

# Wide, because a loaded machine is slow; a working gateway answers in milliseconds.
ANSWER_S = 30

Headers = Mapping[str, str]

JSON_HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The JSON-RPC messages in it, whether they came as JSON or as events."""
        if "text/event-stream" not in self.headers.get("content-type", ""):
            return [json.loads(self.body)]
        lines = (line for line in self.body.splitlines() if line.startswith(b"data:"))
        data = (line.removeprefix(b"data:").strip() for line in lines)
        return [json.loads(text) for text in data if text]

    @property
    def message(self) -> dict[str, Any]:
        """The message that answers the request."""
        answers = [m for m in self.messages if "result" in m or "error" in m]
        assert len(answers) == 1, f"{self.status}: {self.body[:2000]!r}"
        return answers[0]

    @property
    def result(self) -> dict[str, Any]:
        """The result, where nothing went wrong."""
        assert self.status == 200 and "result" in self.message, f"{self.status}: {self.message}"
        return self.message["result"]

    @property
    def error(self) -> dict[str, Any]:
        """The JSON-RPC error."""
        assert "error" in self.message, f"no error: {self.message}"
        return self.message["error"]

    @property
    def text(self) -> str:
        """The first text of a tool's result."""
        return self.result["content"][0]["text"]

    @property
    def session(self) -> str | None:
        """The session in force."""
        return self.headers.get("x-archon-session-id")

    @property
    def handle(self) -> str | None:
        """The handle of the legacy connection."""
        return self.headers.get("mcp-session-id")

    @property
    def cookie(self) -> str | None:
        """The cookie that was set, as a client returns it."""
        value = self.headers.get("set-cookie")
        return value and value.split(";")[0]


def send(
    url: str, method: str = "POST", body: bytes = b"", headers: Headers | None = None
) -> Answer:
    """Sends a request on a connection of its own, and reads the answer to its end."""
    with opened(url, method, body, headers) as response:
        return Answer(response.status, response.headers, response.read())


def post_by_hand(url: str, headers: Headers, body: bytes, length: str | None = None) -> Answer:
    """Posts a body whole before it reads anything, as many clients do."""
    parts = urlsplit(url)
    lines = [f"POST {parts.path} HTTP/1.1", f"host: {parts.netloc}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [length or f"content-length: {len(body)}"]
    with socket.create_connection((parts.hostname, parts.port), ANSWER_S) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        connection.sendall(body)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return Answer(response.status, response.headers, response.read())


@contextlib.contextmanager
def opened(
    url: str,
    method: str = "POST",
    body: bytes = b"",
    headers: Headers | None = None,
    timeout_s: float = ANSWER_S,
) -> Iterator[http.client.HTTPResponse]:
    """Sends a request, and closes its connection at the end of the block, answered or not."""
    parts = urlsplit(url)
    assert parts.hostname
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
    try:
        connection.request(method, parts.path, body or None, dict(headers or {}))
        yield connection.getresponse()
    finally:
        connection.close()


def events(stream: http.client.HTTPResponse) -> Iterator[tuple[str, str]]:
    """The events that come on a stream, as (id, data), until it ends or falls silent."""
    id, data = "", ""
    with contextlib.suppress(TimeoutError):
        while line := stream.readline().decode():
            name, _, value = line.rstrip("\r\n").partition(":")
            if name == "id":
                id = value.strip()
            elif name == "data":
                data = value.strip()
            elif not line.strip() and (id or data):
                yield id, data
                id, data = "", ""


def next_message(stream: http.client.HTTPResponse) -> tuple[str, str]:
    """The next event that holds a message, as (id, data); ("", "") if none comes."""
    return next(((id, data) for id, data in events(stream) if data), ("", ""))


def get_json(url: str) -> tuple[int, dict[str, Any]]:
    """Gets a JSON document, and returns the status with it."""
    answer = send(url, "GET")
    return answer.status, json.loads(answer.body)


def initialize(version: str = LEGACY, name: str = "raw client", **params: Any) -> dict[str, Any]:
    """A legacy `initialize`."""
    client = {"name": name, "version": "1.0"}
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": client, **params}
    return message("initialize", params, 0)


def message(method: str, params: Mapping[str, Any] | None, id: int | str | None) -> dict[str, Any]:
    """A JSON-RPC request, or a notification if it has no id."""
    whole: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if id is not None:
        whole["id"] = id
    if params is not None:
        whole["params"] = params
    return whole


def encoded(message: Any) -> bytes:
    """The body of a message."""
    return json.dumps(message).encode()


@dataclass
class LegacyClient:
    """A client of the legacy era, after its handshake."""

    url: str
    handle: str
    session: str
    version: str = LEGACY
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    credentials: Headers = field(default_factory=dict)

    @classmethod
    def connect(
        cls,
        url: str,
        version: str = LEGACY,
        name: str = "raw client",
        headers: Headers | None = None,
        credentials: Headers | None = None,
    ) -> LegacyClient:
        """Does the handshake; credentials go with every later request as well."""
        body = encoded(initialize(version, name))
        shown = {**(credentials or {}), **(headers or {})}
        answer = send(url, "POST", body, {**JSON_HEADERS, **shown})
        negotiated = answer.result["protocolVersion"]
        assert answer.handle and answer.session
        client = cls(url, answer.handle, answer.session, negotiated)
        client.credentials = credentials or {}
        note = encoded(message("notifications/initialized", None, None))
        assert send(url, "POST", note, client.headers()).status == 202
        return client

    def headers(self, more: Headers | None = None) -> dict[str, str]:
        """What each of its requests carries."""
        own = {"mcp-session-id": self.handle, "mcp-protocol-version": self.version}
        return {**JSON_HEADERS, **own, **self.credentials, **(more or {})}

    def body(self, method: str, params: Mapping[str, Any] | None = None) -> bytes:
        """The body of its next request."""
        return encoded(message(method, params, next(self.ids)))

    def request(
        self, method: str, params: Mapping[str, Any] | None = None, headers: Headers | None = None
    ) -> Answer:
        """Sends a request."""
        return send(self.url, "POST", self.body(method, params), self.headers(headers))

    def call(
        self, tool: str, arguments: Mapping[str, Any] | None = None, headers: Headers | None = None
    ) -> Answer:
        """Calls a tool."""
        params = {"name": tool, "arguments": dict(arguments or {})}
        return self.request("tools/call", params, headers)

    def text(self, tool: str, **arguments: Any) -> str:
        """Calls a tool, and returns the first text of its result."""
        return self.call(tool, arguments).text

    def end(self) -> Answer:
        """Says goodbye."""
        return send(self.url, "DELETE", b"", self.headers())


@dataclass
class ModernClient:
    """A client of the modern era, which keeps nothing between its requests."""

    url: str
    name: str = "raw client"
    agent: str = "raw/1.0"
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def meta(self, **more: Any) -> dict[str, Any]:
        """What each of its requests says of itself."""
        prefix = "io.modelcontextprotocol/"
        return {
            f"{prefix}protocolVersion": MODERN,
            f"{prefix}clientCapabilities": dict(self.capabilities),
            f"{prefix}clientInfo": {"name": self.name, "version": "1.0"},
            **more,
        }

    def headers(
        self, method: str, target: str | None = None, more: Headers | None = None
    ) -> dict[str, str]:
        """What each of its requests carries."""
        own = {"mcp-protocol-version": MODERN, "mcp-method": method, "user-agent": self.agent}
        if target is not None:
            own["mcp-name"] = target
        return {**JSON_HEADERS, **own, **(more or {})}

    def body(self, method: str, params: Mapping[str, Any] | None = None) -> bytes:
        """The body of its next request."""
        whole = {**(params or {}), "_meta": self.meta(**(params or {}).get("_meta", {}))}
        return encoded(message(method, whole, next(self.ids)))

    def request(
        self, method: str, params: Mapping[str, Any] | None = None, headers: Headers | None = None
    ) -> Answer:
        """Sends a request."""
        target = (params or {}).get("name") or (params or {}).get("uri")
        return send(
            self.url, "POST", self.body(method, params), self.headers(method, target, headers)
        )

    def call(
        self, tool: str, arguments: Mapping[str, Any] | None = None, headers: Headers | None = None
    ) -> Answer:
        """Calls a tool."""
        params = {"name": tool, "arguments": dict(arguments or {})}
        return self.request("tools/call", params, headers)

    def text(self, tool: str, **arguments: Any) -> str:
        """Calls a tool, and returns the first text of its result."""
        return self.call(tool, arguments).text


class KeepingClient(ModernClient):
    """A modern client that returns its cookie, as the Python libraries do."""

    cookie: str | None = None

    def call(
        self, tool: str, arguments: Mapping[str, Any] | None = None, headers: Headers | None = None
    ) -> Answer:
        """Calls a tool."""
        kept = {"cookie": self.cookie} if self.cookie else {}
        answer = super().call(tool, arguments, {**kept, **(headers or {})})
        self.cookie = answer.cookie or self.cookie
        return answer
