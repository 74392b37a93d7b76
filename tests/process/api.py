"""Asks a gateway's API as a script would: status, headers and JSON.

api = Api(gateway.api_url)
assert api.get("/sessions?limit=1")["total"] == 1
assert api.ask("DELETE", f"/sessions/{id}").status == 200
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

PREFIX = "/api/mcp"
# Wide, because a loaded machine is slow.
ANSWER_S = 30


@dataclass(frozen=True)
class Said:
    """An answer of the API."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """What it says."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error, which has the API's form."""
        error = self.json
        assert set(error) == {"detail", "code", "hint"}, error
        assert all(isinstance(part, str) and part for part in error.values()), error
        return error["code"]


@dataclass(frozen=True)
class Api:
    """The API of one gateway, asked by somebody."""

    url: str
    headers: Mapping[str, str] | None = None

    def by(self, token: str) -> Api:
        """The same API, asked with a token."""
        return Api(self.url, {"authorization": f"Bearer {token}"})

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Said:
        """Sends a request; what is no text or bytes goes as JSON."""
        parts = urlsplit(self.url)
        assert parts.hostname
        sent = {**(self.headers or {}), **(headers or {})}
        if body is not None and not isinstance(body, str | bytes):
            body = json.dumps(body)
            sent = {"content-type": "application/json", **sent}
        path = path if path.startswith("//") else PREFIX + path
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=ANSWER_S)
        try:
            connection.request(method, path.removeprefix("/") if path.startswith("//") else path, body, sent)
            response = connection.getresponse()
            return Said(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """What a resource says, where nothing went wrong."""
        said = self.ask("GET", path)
        assert said.status == 200, f"{path}: {said.status} {said.body[:500]!r}"
        return said.json
