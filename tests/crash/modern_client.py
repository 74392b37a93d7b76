"""A modern client: every request describes itself, and the client keeps its cookie or the session's id.

The era has no resumption: what breaks without an answer has none (MCP 2026-07-28, Transports).
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any

from crash.raw import SESSION, RawClient
from crash.sender import BROKEN
from process.wire import ModernClient, encoded, message


@dataclass
class Modern(RawClient):
    """A client of the modern era."""

    wire: ModernClient = field(init=False)
    keeps_cookies: bool = field(init=False)
    cookie: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.wire = ModernClient(self.url, self.name, agent=self.name)
        self.keeps_cookies = self.chance.random() < 0.5

    def try_to_connect(self) -> bool:
        # Listing the tools may be done again and again, so it makes a good first request.
        body, headers = self.request("tools/list", {}, 0)
        try:
            with self.sender.opened("POST", body, headers) as response:
                self.check(response)
                response.read()
        except BROKEN:
            pass  # If the headers came, it has a session nevertheless.
        return bool(self.session)

    def request(
        self, method: str, params: dict[str, Any], id: int
    ) -> tuple[bytes, dict[str, str]]:
        shown = {"cookie": self.cookie} if self.cookie else {SESSION: self.session}
        target = params.get("name") or params.get("uri")
        headers = self.wire.headers(method, target, shown if self.session else {})
        return encoded(message(method, {**params, "_meta": self.wire.meta()}, id)), headers

    def check(self, response: http.client.HTTPResponse) -> bool:
        for name, morsel in SimpleCookie(response.headers.get("set-cookie", "")).items():
            if self.keeps_cookies:
                self.cookie = f"{name}={morsel.value}"
        return super().check(response)

    def is_proven(self) -> bool:
        return bool(self.cookie)
