"""One HTTP request and its answer, and whether the request was sent when there is none."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from .options import shown
from .verdict import Lost, NotRun

logger = logging.getLogger("archon_sessions")

SESSION_ID = "x-archon-session-id"
MCP_SESSION_ID = "mcp-session-id"
COOKIE = "archon_session"

CONNECT_S = 10.0
"""A server that is there answers a connection at once; a call's own limit may be far longer."""

REDIRECTS_MAX = 3
"""A slash added and a scheme changed; more is a loop."""

METHOD_KEPT = (307, 308)


@dataclass
class Handles:
    """What shows the server which session is ours; the cookie is kept by the HTTP client."""

    session_id: str | None = None
    mcp_session_id: str | None = None

    @property
    def is_gateway(self) -> bool:
        """Whether a gateway has answered, for nobody else gives sessions this way."""
        return self.session_id is not None

    def headers(self) -> dict[str, str]:
        """What to send with each request."""
        shown = {SESSION_ID: self.session_id, MCP_SESSION_ID: self.mcp_session_id}
        return {name: value for name, value in shown.items() if value}


@dataclass
class Sending:
    """How far a request has come."""

    is_sent: bool = False
    """From the moment that its last part may have left."""
    is_handed_over: bool = False
    """Whether somebody else reads the rest of the answer, and closes it."""

    async def trace(self, event: str, _info: Mapping[str, Any]) -> None:
        """Hears from the HTTP client what it does.

        A server that lacks the body cannot have run what is in it, so what fails before is safe to
        send again. From the body's first byte on nobody can tell.
        """
        if event.endswith("send_request_body.started"):
            self.is_sent = True


class Http:
    """The HTTP client of one session."""

    def __init__(
        self,
        url: str,
        handles: Handles,
        headers: Mapping[str, str] | None = None,
        auth: httpx2.Auth | None = None,
        verify: ssl.SSLContext | bool = True,
    ) -> None:
        self.url = httpx2.URL(url)
        self.handles = handles
        # Answers take as long as the call's own limit lets them; for what `auth` asks of others,
        # the library's own limits are right.
        self._client = httpx2.AsyncClient(headers=dict(headers or {}), auth=auth, verify=verify)

    @property
    def cookie(self) -> str | None:
        """The gateway's cookie, if it gave one."""
        values = [cookie.value for cookie in self._client.cookies.jar if cookie.name == COOKIE]
        return values[-1] if values else None

    def restore_cookie(self, value: str) -> None:
        """Shows a cookie from here on, to this server only."""
        self._client.cookies.set(COOKIE, value, domain=_cookie_domain(self.url.host))

    @asynccontextmanager
    async def exchange(
        self,
        method: str,
        sending: Sending,
        headers: Mapping[str, str],
        content: bytes = b"",
        silence_s: float | None = None,
    ) -> AsyncGenerator[httpx2.Response]:
        """Sends a request, and yields its answer with the body still to be read.

        `silence_s` is for how many seconds nothing may come; a call has a limit of its own.

        Raises:
            NotRun: nothing that could run was sent.
            Lost: it was sent, and the answer did not come, or broke off inside the block.
        """
        sending.is_sent = sending.is_handed_over = False
        try:
            response = await self._send(method, sending, headers, content, silence_s)
            try:
                self._learn(response)
                yield response
            finally:
                if not sending.is_handed_over:
                    await response.aclose()
        except httpx2.RequestError as error:
            said = f"{type(error).__name__} at {shown(str(self.url))}: {error}".rstrip(": ")
            if sending.is_sent:
                raise Lost(said) from error
            # These are mistakes in what was to be sent; the next try would make them again.
            never = (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol)
            raise NotRun(said, is_final=isinstance(error, never)) from error

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._client.aclose()

    async def _send(
        self,
        method: str,
        sending: Sending,
        headers: Mapping[str, str],
        content: bytes,
        silence_s: float | None,
    ) -> httpx2.Response:
        for _ in range(REDIRECTS_MAX + 1):
            request = self._client.build_request(
                method,
                self.url,
                headers=dict(headers),
                content=content,
                timeout=httpx2.Timeout(silence_s, connect=CONNECT_S),
                extensions={"trace": sending.trace},
            )
            response = await self._client.send(request, stream=True, follow_redirects=False)
            following = response.next_request
            if response.status_code not in METHOD_KEPT or following is None:
                return response
            # Handles and credentials were meant for one origin and go to no other.
            if not _is_same_origin(self.url, following.url):
                return response
            await response.aclose()
            self.url = following.url
            sending.is_sent = False
        raise NotRun(f"too many redirects at {shown(str(self.url))}", is_final=True)

    def _learn(self, response: httpx2.Response) -> None:
        session_id = response.headers.get(SESSION_ID)
        before = self.handles.session_id
        if not session_id or session_id == before:
            return
        if before is not None:
            # Ours had timed out, for example; what was in it goes on in the other.
            logger.info("the server put us from session %s into %s", before, session_id)
        self.handles.session_id = session_id


def _is_same_origin(one: httpx2.URL, other: httpx2.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def _cookie_domain(host: str) -> str:
    # The standard library's cookie jar, which httpx2 uses, knows hosts without a dot by this name.
    return host if "." in host or ":" in host else f"{host}.local"
