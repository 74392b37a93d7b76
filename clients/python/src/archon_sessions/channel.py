"""Carries the requests of an `mcp` client session over HTTP, past restarts and lost sessions.

`mcp` gives the types, the eras and the negotiation; this is the layer below, because its own ends
with the first refused connection or unknown session, and does not say whether a request was sent.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import anyio.abc
import httpx2
from mcp.shared.dispatcher import CallOptions, OnNotify, OnNotifyIntercept, OnRequest
from mcp.shared.exceptions import MCPError
from mcp.types import METHOD_NOT_FOUND

from .answers import Answers, refusal, shows_handle
from .aside import Aside
from .errors import MCPSessionError
from .exchange import MCP_SESSION_ID, Http
from .inbound import Inbound
from .options import Options
from .outgoing import CALL_TOOL, DISCOVER, INITIALIZE, Outgoing, headers_aside
from .retry import Budget, Tries
from .standing import Standing
from .stream import Message, Place
from .tolerance import tidied
from .verdict import (
    Lost,
    NotRun,
    ProtocolError,
    UnknownSession,
    Unreadable,
    error_of,
    of_error,
    of_refusal,
)

logger = logging.getLogger("archon_sessions")

NO_WORD_ON_ERAS = (401, 403, 429, 503)
"""Statuses that refuse whatever is asked, and so say nothing about the method."""

FIRST_ID_MAX = 2**31
"""Request ids begin at random below this: another process that goes on in the same session must
not repeat them, for a gateway knows interrupted calls by their ids."""


class Channel:
    """A dispatcher for `mcp.ClientSession`: each request travels in its caller's own task."""

    def __init__(
        self,
        http: Http,
        options: Options,
        may_repeat: Callable[[Mapping[str, Any]], Awaitable[bool]],
        handshake: Callable[[], Awaitable[None]],
    ) -> None:
        """Makes a channel.

        `may_repeat` says of a tool call's params whether running it twice does no harm;
        `handshake` does a legacy handshake anew, on this channel.
        """
        self.http = http
        self.era_is_modern = False
        self.protocol_version: str | None = None
        self.closed = asyncio.Event()
        self.aside = Aside(http, self._headers_aside, self._tries)
        self._options = options
        self._may_repeat = may_repeat
        self._handshake = handshake
        self._budget = Budget()
        self._next_id = random.randrange(FIRST_ID_MAX)
        self._inbound = Inbound(self.aside.send)
        self._answers = Answers(http, self._inbound, options)
        self.standing = Standing(
            http, self._headers_aside, self._answers.take, options.retry_delay_s
        )
        self._in_flight: set[anyio.CancelScope] = set()
        self._last_used = anyio.current_time()
        self._renewing = asyncio.Lock()
        # How many handshakes were done: of several calls that find their session unknown, one
        # renews it.
        self._connections = 0

    @property
    def idle_s(self) -> float:
        """For how many seconds nothing was sent or waited for."""
        return 0.0 if self._in_flight else anyio.current_time() - self._last_used

    async def run(
        self,
        on_request: OnRequest,
        on_notify: OnNotify,
        on_notify_intercept: OnNotifyIntercept | None = None,
        *,
        task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serves what the server says by itself, until `close`."""
        self._inbound.serve(on_request, on_notify, on_notify_intercept)
        task_status.started()
        await self.closed.wait()

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        """Sends a request and returns its result, trying again where that is safe.

        Raises:
            MCPError: the server answered with an error.
            MCPConnectionError: it did not run, or only reads and was not answered.
            MCPSessionError: no session could be begun.
            MCPOutcomeUnknown: it may have run.
        """
        options: CallOptions = opts or {}
        request = Outgoing(
            method,
            params,
            more_headers=options.get("headers", {}),
            on_progress=options.get("on_progress"),
            is_cancellable=options.get("cancel_on_abandon", True),
        )
        timeout_s = options.get("timeout", self._options.timeout_s)
        if self.closed.is_set():
            raise request.closed()
        scope: anyio.CancelScope | None = None
        try:
            with anyio.fail_after(timeout_s) as scope:
                self._in_flight.add(scope)
                result = await self._deliver(request)
                self._budget.answered()
                return result
        except TimeoutError:
            self._abandon(request)
            raise request.timed_out(timeout_s) from None
        except asyncio.CancelledError:
            self._abandon(request)
            raise
        finally:
            if scope is not None:
                self._in_flight.discard(scope)
            self._last_used = anyio.current_time()
        # Only a close cancels the scope before its time.
        raise request.closed()

    async def restore(self, method: str, params: Mapping[str, Any]) -> None:
        """Sends a request that belongs to a handshake; without it the session goes on as well."""
        request = Outgoing(method, params)
        try:
            with anyio.fail_after(self._options.timeout_s):
                await self._attempt(request)
        except (TimeoutError, NotRun, Lost, UnknownSession, ProtocolError) as error:
            logger.warning("%s could not be restored: %s", method, error)

    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        """Sends a notification. The modern era has none from clients; there it does nothing."""
        if self.era_is_modern:
            return
        message: Message = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = dict(params)
        await self.aside.send(message)

    async def close(self, *, end_session: bool) -> None:
        """Ends what is under way, says goodbye if it is to, and closes all connections."""
        self.closed.set()
        for scope in list(self._in_flight):
            scope.cancel()
        await self.standing.close()
        await self._inbound.close()
        if end_session:
            await self.aside.say_goodbye()
        await self.aside.close()
        await self._answers.close()
        await self.http.aclose()

    async def _deliver(self, request: Outgoing) -> dict[str, Any]:
        tries = self._tries()
        has_renewed = False
        while True:
            connection = self._connections
            try:
                return await self._attempt(request)
            except UnknownSession as unknown:
                if has_renewed and unknown.error is not None:
                    # It was the request's own error after all.
                    error = unknown.error
                    raise MCPError(error.code, error.message, error.data) from None
                if has_renewed:
                    message = f"the server does not know the session that it just began: {unknown}"
                    raise MCPSessionError(message) from None
                has_renewed = True
                request.sending.is_sent = False
                await self._renew(connection, unknown)
                continue
            except ProtocolError as error:
                raise MCPError(error.code, error.message, error.data) from None
            except NotRun as refused:
                told = request.not_run(refused)
                request.last = str(refused)
                request.sending.is_sent = False
                delay_s = None if refused.is_final else tries.next_delay(refused.retry_after_s)
                if delay_s is None or _is_too_late(delay_s):
                    raise told from refused
            except Lost as lost:
                told = request.unanswered(lost)
                request.last = str(lost)
                request.may_have_run = True
                may_repeat = request.is_read or await self._is_repeatable(request, lost)
                delay_s = tries.next_delay() if may_repeat else None
                if delay_s is None or _is_too_late(delay_s):
                    raise told from lost
            logger.info("%s: %s; again in %.1f s", request.method, request.last, delay_s)
            await asyncio.sleep(delay_s)

    async def _attempt(self, request: Outgoing) -> dict[str, Any]:
        self._next_id += 1
        request.id = self._next_id
        try:
            with self._answers.expecting(request) as elsewhere:
                answer = await self._answer(request, elsewhere)
        except Unreadable as odd:
            if request.method != DISCOVER:
                raise
            raise ProtocolError(METHOD_NOT_FOUND, str(odd)) from odd
        if (error := error_of(answer)) is not None:
            raise of_error(error, is_bound=self._is_bound(request))
        if "result" not in answer:
            raise Lost(f"the answer to {request.method} is neither a result nor an error")
        return tidied(request.method, answer["result"])

    async def _answer(self, request: Outgoing, elsewhere: asyncio.Future[Message]) -> Message:
        """Sends a request, and returns its answer, wherever that comes."""
        place = Place()
        answer: Message | None = None
        lost = Lost(f"the stream of {request.method} ended before its answer")
        headers = request.headers(self.http.handles, self.protocol_version)
        try:
            sending, content = request.sending, request.body()
            async with self.http.exchange("POST", sending, headers, content) as response:
                await self._check(request, response, headers)
                answer = await self._answers.read(request, response, place, sending)
                is_accepted = answer is None and response.status_code == 202
        except Lost as broken:
            lost, is_accepted = broken, False
        if answer is None and is_accepted:
            if not self.standing.is_open:
                message = f"the server took {request.method} for a message without an answer"
                raise Unreadable(message)
            # As in the transport of 2024-11-05: it comes on the stream of the server's own.
            return await elsewhere
        if answer is None:
            if elsewhere.done():
                return elsewhere.result()
            # A legacy server may keep the answer for who comes back for it.
            if self.era_is_modern or place.last_event_id is None:
                raise lost
            answer = await self._answers.resume(request, place, lost, self.protocol_version)
        return answer

    async def _check(
        self, request: Outgoing, response: httpx2.Response, shown: dict[str, str]
    ) -> None:
        """Raises what an HTTP status means, unless an answer to the request follows."""
        if response.is_success:
            if request.method == INITIALIZE:
                self.http.handles.mcp_session_id = response.headers.get(MCP_SESSION_ID)
                self._connections += 1
            return
        refused = await refusal(response, request.id)
        if (
            request.method == DISCOVER
            and refused.error is None
            and refused.status not in NO_WORD_ON_ERAS
        ):
            # Servers of the legacy era refuse a method that they do not know in many ways.
            raise ProtocolError(METHOD_NOT_FOUND, refused.said)
        raise of_refusal(refused, has_handle=shows_handle(shown), is_bound=self._is_bound(request))

    def _is_bound(self, request: Outgoing) -> bool:
        """Whether a request was sent in a legacy connection, which the server can forget."""
        return not self.era_is_modern and request.method not in (INITIALIZE, DISCOVER)

    async def _is_repeatable(self, request: Outgoing, lost: Lost) -> bool:
        if lost.has_run or request.method != CALL_TOOL:
            return False
        return await self._may_repeat(request.params or {})

    async def _renew(self, connection: int, unknown: UnknownSession) -> None:
        """Begins another connection, once for all calls that found theirs gone."""
        async with self._renewing:
            if self._connections != connection:
                return
            before = self.http.handles.session_id
            try:
                # The handle stays until another takes its place: a call that is cancelled in here
                # leaves the others with one that the server refuses, and not with none.
                await self._handshake()
            except MCPError as error:
                message = f"the session is gone ({unknown}), and no other could be begun: {error}"
                raise MCPSessionError(message) from error
            after = self.http.handles.session_id
            logger.warning(
                "our connection was gone (%s); session %s, now %s", unknown, before, after
            )

    def _abandon(self, request: Outgoing) -> None:
        """Tells a legacy server that nobody waits any more; a modern one sees the stream close."""
        if self.era_is_modern or not (request.is_cancellable and request.sending.is_sent):
            return
        params = {"requestId": request.id, "reason": "the client gave up waiting"}
        self.aside.begin({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})

    def _tries(self) -> Tries:
        return Tries(self._options.max_retries, self._options.retry_delay_s, self._budget)

    def _headers_aside(self) -> dict[str, str]:
        return headers_aside(self.http.handles, self.protocol_version)


def _is_too_late(delay_s: float) -> bool:
    """Whether the call's time is up before the next try; then its caller need not wait for that."""
    return anyio.current_time() + delay_s >= anyio.current_effective_deadline()
