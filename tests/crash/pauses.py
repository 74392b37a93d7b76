"""Pauses of clients beyond the idle timeout, and what a server holds for a client on either side of one.

Over HTTP that is the upstream session, which the upstream sees in its headers. On stdio it is the memory of the
client's process: a version that the client raises before it falls silent, and that another process has not.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from crash.books import ClientBook, Pause
from crash.schedule import UPSTREAM
from crash.violations import GATEWAY

IDLE_S = 2
REAP_S = 0.2
# Longer than the idle timeout. Shorter than the time between many kills, so that some pauses meet none.
LASTS_S = (2.5, 4.5)
# Of calls, those after which a client pauses, and of broken streams, those that it lets wait.
SHARE = 0.06
WAITS_SHARE = 0.3

WATCHED = "test://watched-resource"
UNTOUCHED = "Version 0"

Request = tuple[str, dict[str, Any]]


@dataclass
class Pauses:
    """The pauses of one client."""

    client: str
    book: ClientBook
    chance: random.Random
    is_stdio: bool
    is_legacy: bool
    _open: Pause | None = None

    def are_due(self) -> bool:
        """Whether its client should pause now."""
        return self._open is None and self.chance.random() < SHARE

    def lets_stream_wait(self) -> bool:
        """Whether its client should pause before it resumes a stream."""
        return self.chance.random() < WAITS_SHARE

    def length(self) -> float:
        """The seconds of the next pause."""
        return self.chance.uniform(*LASTS_S)

    def questions(self) -> list[Request]:
        """The requests whose last answer shows what is held, on the present side of a pause."""
        if not self.is_stdio:
            return [("tools/call", {"name": "headers", "arguments": {}})]
        read: Request = ("resources/read", {"uri": WATCHED})
        if self._open:
            return [read]
        return [("tools/call", {"name": "update_resource", "arguments": {"uri": WATCHED}}), read]

    def begin(self, asked_at: float, session: str, held: str) -> None:
        """Notes that its client pauses now, having asked what is held."""
        held = "" if held == UNTOUCHED else held
        # A gateway that is killed takes its children along, and forgets the links of its bridge.
        is_stored = self.is_legacy and not self.is_stdio
        holders = (UPSTREAM,) if is_stored else (GATEWAY, UPSTREAM)
        self._open = Pause(self.client, asked_at, asked_at, session, session, held, "", holders)

    def asks_now(self, has_called: bool) -> bool:
        """Whether its client is to ask again: at once after its pause, or after the first call."""
        return self._open is not None and (has_called or self.chance.random() < 0.5)

    def end(self, session: str, held: str) -> None:
        """Notes what is held after it."""
        if self._open:
            pause = replace(
                self._open, ended_at=time.time(), session_after=session, held_after=held
            )
            self.book.pauses.append(pause)
        self._open = None

    def forget(self) -> None:
        """Its client was opened again, and asks nothing of what was before."""
        self._open = None


def held(result: Mapping[str, Any]) -> str:
    """What the answer to the last question shows; "" if nothing."""
    for content in result.get("contents") or ():
        return str(content.get("text", ""))
    links = (result.get("structuredContent") or {}).get("mcp-session-id") or [""]
    return str(links[0])
