"""Clients of the Python `mcp` library, which does its own thing when connections break.

It gives up earlier than the specification asks for, and sometimes as a whole, so what it makes up
itself counts as no answer, and it is opened again. It must not lose its session by that: a client
that was opened again shows the session's id, and what crosses its HTTP client tells the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import mcp
import mcp_types as types
from mcp.client.streamable_http import streamable_http_client

from crash.books import Call, ClientBook, Fate, SessionNote
from crash.pauses import Pauses, held
from crash.raw import (
    CONNECT_S,
    HANDLE,
    RESUME_S,
    SESSION,
    Draft,
    Seen,
    draft,
    ended,
    pause_after,
)
from crash.sender import PAUSE_S

# Its own codes, for a connection that broke and for a call that it stopped waiting for.
GAVE_UP = (types.CONNECTION_CLOSED, types.REQUEST_TIMEOUT)
# Its error for an answer that is not a message: a proxy's, in place of a gateway that is away.
NO_MESSAGE = "Server returned an error response"
DISCOVER = "server/discover"
# It comes back for an answer twice, a second apart, after each sign of life.
PATIENCE_S = 2 * RESUME_S
# In mode `auto` it turns legacy where an upstream is away as it is opened. Its requests are smaller
# then by what a modern one says of itself, and must still be of another size than those before.
LEGACY_PADDING = 1000


@dataclass
class Library:
    """A client of the library, which is opened again as often as it breaks."""

    url: str
    name: str
    mode: str
    book: ClientBook
    chance: random.Random
    session: str = ""
    handle: str = ""
    was_lost: bool = False
    pauses: Pauses | None = None
    _made: int = 0  # calls
    _shook_hands: bool = False  # since it was opened
    _has_cookie: bool = False
    _http: httpx2.AsyncClient = field(init=False)
    _sizes: dict[str, int] = field(default_factory=dict)  # of requests, by key
    _sessions: dict[str, str] = field(default_factory=dict)  # that they were answered in
    _quiet_since: float = field(default_factory=time.time)

    async def use(self, calls: int, is_over: Callable[[], bool]) -> None:
        """Makes this number of calls, or stops at the end of the run."""
        deadline = time.monotonic() + CONNECT_S
        while self._made < calls and not self.was_lost and not is_over():
            made = self._made
            try:
                async with self._opened() as client:
                    # A modern client has its session from its first request.
                    await client.list_tools()
                    while self._made < calls and not self.was_lost and not is_over():
                        most = pause_after(await self._call(client))
                        if not await self._pause(client):
                            await asyncio.sleep(self.chance.uniform(0, most))
                return
            except (mcp.MCPError, httpx2.HTTPError, ExceptionGroup) as error:
                if not _is_broken_connection(error):
                    raise
            if self.pauses:
                self.pauses.forget()
            if self._made > made:
                self.book.note_reopened()
                deadline = time.monotonic() + CONNECT_S
            elif time.monotonic() > deadline:
                raise TimeoutError(f"{self.name}: no session within {CONNECT_S} s")
            # A handshake may have been answered with what never arrived.
            self.book.note_unanswered(self.name)
            await asyncio.sleep(PAUSE_S)

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[mcp.Client]:
        self._shook_hands, self.handle = False, ""
        hooks: dict[str, list[Any]] = {"request": [self._sent], "response": [self._heard]}
        # It keeps no cookies beyond its end, so that its session's name is all that it has of it then.
        shown = {SESSION: self.session} if self.session else {}
        self._has_cookie = not shown
        info = types.Implementation(name=self.name, version="1.0")
        async with (
            httpx2.AsyncClient(
                headers=shown, event_hooks=hooks, timeout=httpx2.Timeout(PATIENCE_S)
            ) as self._http,
            mcp.Client(
                # It must not end its session when it breaks, for it comes back.
                streamable_http_client(self.url, http_client=self._http, terminate_on_close=False),
                mode=self.mode,
                client_info=info,
                read_timeout_seconds=PATIENCE_S,
            ) as client,
        ):
            yield client

    async def _pause(self, client: mcp.Client) -> bool:
        """Pauses after a call, if a pause is due; and asks after a pause what is held."""
        if not self.pauses:
            return False
        if self.pauses.asks_now(has_called=True):
            self.pauses.end(self.session, await self._held(client))
        if not self.pauses.are_due():
            return False
        asked_at = time.time()
        self.pauses.begin(asked_at, self.session, await self._held(client))
        await asyncio.sleep(self.pauses.length())
        if self.pauses.asks_now(has_called=False):
            self.pauses.end(self.session, await self._held(client))
        return True

    async def _held(self, client: mcp.Client) -> str:
        """What its server holds for it now; "" if that cannot be known."""
        assert self.pauses
        shown: dict[str, Any] = {}
        for method, params in self.pauses.questions():
            ask = client.read_resource if method == "resources/read" else client.call_tool
            try:
                result: Any = await ask(*params.values())
                shown = result.model_dump(by_alias=True, mode="json")
            except mcp.MCPError:
                shown = {}
                self.book.note_unanswered(self.name)
        return held(shown) if self.handle or self._has_cookie else ""

    async def _call(self, client: mcp.Client) -> Call:
        self._made += 1
        next_call = draft(self.name, self.session, self._made, self.chance)
        if self._shook_hands:
            next_call.more_padding = LEGACY_PADDING
        seen, sent_at = Seen(detail="the client broke"), time.time()
        try:
            params = next_call.params
            result = await client.call_tool(params["name"], params["arguments"])
            seen.answer = {"result": result.model_dump(by_alias=True, mode="json")}
        except mcp.MCPError as error:
            if error.code in GAVE_UP or error.message == NO_MESSAGE:
                seen.detail = error.message
            else:
                seen.answer = {"error": {"code": error.code, "message": error.message}}
        finally:
            # Also where the library cancels us because it has broken.
            call = self._ended(next_call, sent_at, seen)
            self.book.calls.append(call)
        return call

    def _ended(self, draft: Draft, sent_at: float, seen: Seen) -> Call:
        # It keeps several connections open; the one it uses may have been idle since the last call.
        connected_at, self._quiet_since = self._quiet_since, sent_at
        size = self._sizes.pop(draft.key, 0)
        told = self._sessions.pop(draft.key, "")
        draft.session, draft.is_session_told = told or draft.session, bool(told)
        return ended(draft, size, connected_at, sent_at, seen, is_library=True)

    async def _sent(self, request: httpx2.Request) -> None:
        if key := _key_of(request):
            self._sizes[key] = len(request.content)
        if _message_of(request).get("method") == "initialize":
            if self._shook_hands:
                self._note(Fate.LOST, "it had to shake hands again")
            self._shook_hands = True

    async def _heard(self, response: httpx2.Response) -> None:
        session, handle = response.headers.get(SESSION), response.headers.get(HANDLE, "")
        if response.status_code == 404 and _message_of(response.request).get("method") == DISCOVER:
            return  # A server of the legacy era alone, of which a gateway says no more than it does.
        if response.status_code == 404:
            self._note(Fate.LOST, f"{response.request.method} was answered with 404")
        elif session:
            if key := _key_of(response.request):
                self._sessions[key] = session
            if (session, handle or self.handle) != (self.session, self.handle):
                # The comparison knows whether it continues the one before.
                self.session, self.handle = session, handle or self.handle
                self._note(Fate.TOLD)
                if SESSION in self._http.headers:
                    self._http.headers[SESSION] = session

    def _note(self, fate: Fate, detail: str = "") -> None:
        self.was_lost = self.was_lost or fate is Fate.LOST
        note = SessionNote(self.name, self.session, fate, time.time(), self.handle, detail)
        self.book.sessions.append(note)


def _key_of(request: httpx2.Request) -> str:
    """The key of the call that it makes, if it makes one."""
    message = _message_of(request)
    is_call = message.get("method") == "tools/call"
    return message["params"].get("arguments", {}).get("key", "") if is_call else ""


def _message_of(request: httpx2.Request) -> dict[str, Any]:
    """The message that it brings, if it brings one."""
    return json.loads(request.content) if request.method == "POST" else {}


def _is_broken_connection(error: BaseException) -> bool:
    """Whether nothing else happened to the library than that its connection broke."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_broken_connection(inner) for inner in error.exceptions)
    return isinstance(error, httpx2.HTTPError | mcp.MCPError)
