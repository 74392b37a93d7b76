"""A modern client: every request describes itself, and the session's id is kept by the client.

The era has no resumption: what breaks without an answer has none (MCP 2026-07-28, Transports).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from crash.books import Fate
from crash.raw import SESSION, Draft, RawClient
from crash.sender import BROKEN
from process.wire import ModernClient, encoded, message


@dataclass
class Modern(RawClient):
    """A client of the modern era."""

    wire: ModernClient = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.wire = ModernClient(self.url, self.name, agent=self.name)

    def try_to_connect(self) -> bool:
        # Listing the tools may be done again and again, so it makes a good first request.
        body = encoded(message("tools/list", {"_meta": self.wire.meta()}, 0))
        try:
            with self.sender.opened("POST", body, self.wire.headers("tools/list")) as response:
                if session := response.headers.get(SESSION):
                    self.session = session
                    self.note(Fate.TOLD)
                response.read()
        except BROKEN:
            pass  # If the headers came, it has a session nevertheless.
        return bool(self.session)

    def request(self, draft: Draft) -> tuple[bytes, dict[str, str]]:
        params = {**draft.params, "_meta": self.wire.meta()}
        headers = self.wire.headers("tools/call", draft.tool, {SESSION: self.session})
        return encoded(message("tools/call", params, draft.number)), headers
