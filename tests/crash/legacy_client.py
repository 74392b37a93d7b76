"""A legacy client that follows the specification to the letter.

It keeps the handle of its connection, remembers the last event of each stream, and where a stream
breaks before its answer it resumes with `GET` and `Last-Event-ID` (MCP 2025-11-25, Transports:
Resumability and Redelivery). It sends no call a second time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from crash.books import Fate
from crash.raw import HANDLE, RESUME_S, SESSION, RawClient, Seen
from crash.sender import BROKEN, PAUSE_S
from process.wire import JSON_HEADERS, LEGACY, encoded, initialize, message

# A client that knows that it is done says so half of the time; the others just vanish.
ENDS_SHARE = 0.5


@dataclass
class Legacy(RawClient):
    """A client of the legacy era."""

    was_answered: bool = False  # its handshake

    def try_to_connect(self) -> bool:
        self.was_answered = self.was_answered or self._shake_hands()
        return self.was_answered and self._say_initialized()

    def request(
        self, method: str, params: dict[str, Any], id: int
    ) -> tuple[bytes, dict[str, str]]:
        return encoded(message(method, params, id)), self._headers()

    def resume(self, seen: Seen, id: int) -> None:
        if self.pauses and self.pauses.lets_stream_wait():
            time.sleep(self.pauses.length())
        deadline = time.monotonic() + RESUME_S
        while seen.answer is None and not self.was_lost and time.monotonic() < deadline:
            seen.resumptions += 1
            more = {"accept": "text/event-stream", "last-event-id": seen.last_event_id}
            try:
                with self.sender.opened("GET", b"", self._headers() | more) as response:
                    self.check(response)
                    if 400 <= response.status < 500:
                        seen.detail = f"resuming was answered with {response.status}"
                        return
                    if response.status != 200:
                        raise ConnectionError(f"resuming was answered with {response.status}")
                    seen.read(response, id)
            except BROKEN as error:
                seen.detail = f"{type(error).__name__}: {error}"
                time.sleep(PAUSE_S)

    def leave(self) -> None:
        if self.chance.random() >= ENDS_SHARE:
            return
        fate = Fate.PARTED
        try:
            with self.sender.opened("DELETE", b"", self._headers()) as response:
                response.read()
                if response.status in (200, 204):
                    self.check(response)
                    fate = Fate.ENDED
        except BROKEN:
            pass
        self.note(fate)

    def _shake_hands(self) -> bool:
        """Sends `initialize`; whether it was answered with a session."""
        seen = Seen()
        try:
            body = encoded(initialize(name=self.name))
            with self.sender.opened("POST", body, JSON_HEADERS) as response:
                session, handle = response.headers.get(SESSION), response.headers.get(HANDLE)
                if session and handle:
                    # The headers alone tell it: from here on the session must be there.
                    self.session, self.handle = session, handle
                    self.note(Fate.TOLD)
                seen.read(response, 0)
        except BROKEN:
            return False
        return bool(self.handle and seen.answer and "result" in seen.answer)

    def _say_initialized(self) -> bool:
        """Says that it is ready; whether that was heard. Saying it twice changes nothing."""
        note = encoded(message("notifications/initialized", None, None))
        try:
            with self.sender.opened("POST", note, self._headers()) as response:
                self.check(response)
                response.read()
                return response.status == 202
        except BROKEN:
            return False

    def _headers(self) -> dict[str, str]:
        return {**JSON_HEADERS, HANDLE: self.handle, "mcp-protocol-version": LEGACY}
