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

from .aside import Aside
from .errors import MCPSessionError
from .exchange import MCP_SESSION_ID, Http, Sending
from .inbound import Inbound
from .options import Options
from .outgoing import CALL_TOOL, DISCOVER, INITIALIZE, Outgoing, headers_aside
from .rests import Rests
from .retry import Budget, Tries
from .stream import Message, Place, body, content_type, messages, parsed
from .values import json_object
from .verdict import Lost, NotRun, ProtocolError, UnknownSession, error_of, of_error, of_status

logger = logging.getLogger("archon_sessions")

LAST_EVENT_ID = "last-event-id"

RESUMES_MAX = 8
"""So often a broken stream is come back to without hearing anything new. With the usual pauses that
is longer than a gateway's restart takes; nothing is run by it, so it costs no budget."""

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
        handshake: Callable[[], Awaitable[str]],
    ) -> None:
        """Makes a channel.

        `may_repeat` says of a tool call's params whether running it twice does no harm;
        `handshake` does a legacy handshake anew, on this channel, and returns its version.
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
        self._rests = Rests()
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
        await self._inbound.close()
        if end_session:
            await self.aside.say_goodbye()
        await self.aside.close()
        await self._rests.close()
        await self.http.aclose()

    async def _deliver(self, request: Outgoing) -> dict[str, Any]:
        tries = self._tries()
        has_renewed = False
        while True:
            connection = self._connections
            try:
                return await self._attempt(request)
            except UnknownSession as unknown:
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
        place = Place()
        answer: Message | None = None
        lost = Lost(f"the stream of {request.method} ended before its answer")
        headers = request.headers(self.http.handles, self.protocol_version)
        try:
            sending, content = request.sending, request.body()
            async with self.http.exchange("POST", sending, headers, content) as response:
                await self._check(request, response, headers)
                answer = await self._read(request, response, place, sending)
        except Lost as broken:
            lost = broken
        if answer is None:
            # A legacy server may keep the answer for who comes back for it.
            if self.era_is_modern or place.last_event_id is None:
                raise lost
            answer = await self._resume(request, place, lost)
        if (error := error_of(answer)) is not None:
            raise of_error(error)
        result = json_object(answer.get("result"))
        if result is None:
            raise Lost(f"the answer to {request.method} is neither a result nor an error")
        return result

    async def _check(
        self, request: Outgoing, response: httpx2.Response, shown: Mapping[str, str]
    ) -> None:
        """Raises what an HTTP status means, unless an answer to the request follows."""
        status = response.status_code
        if status == 202:
            raise NotRun("the server took a request for a notification", is_final=True)
        if response.is_success:
            if request.method == INITIALIZE:
                self.http.handles.mcp_session_id = response.headers.get(MCP_SESSION_ID)
                self._connections += 1
            return
        error = await _error_in(response)
        if request.method == DISCOVER and error is None and status not in NO_WORD_ON_ERAS:
            # Servers of the legacy era refuse a method that they do not know in many ways.
            raise ProtocolError(METHOD_NOT_FOUND, f"HTTP {status}")
        raise of_status(status, response.headers, error, MCP_SESSION_ID in shown)

    async def _read(
        self, request: Outgoing, response: httpx2.Response, place: Place, sending: Sending
    ) -> Message | None:
        """Returns the message that answers the request, if it comes; deals with all before it."""
        stream = messages(response, place)
        async for message in stream:
            if "method" in message:
                await self._inbound.take(message, request.on_progress)
            elif message.get("id") in (request.id, None):
                sending.is_handed_over = self._rests.take(stream, response)
                return message
            else:
                logger.warning("an answer to another request came to %s", request.method)
        return None

    async def _resume(self, request: Outgoing, place: Place, lost: Lost) -> Message:
        """Comes back to a broken stream (MCP 2025-11-25, Transports, Resumability)."""
        tries = Tries(RESUMES_MAX, self._options.retry_delay_s, Budget())
        request.may_have_run = True
        request.last = str(lost)
        while (delay_s := tries.next_delay(place.retry_s)) is not None:
            logger.info("%s: %s; back for its answer in %.1f s", request.method, lost, delay_s)
            await asyncio.sleep(delay_s)
            before = place.last_event_id
            headers = request.headers(self.http.handles, self.protocol_version)
            headers[LAST_EVENT_ID] = before or ""
            coming = Sending()
            try:
                async with self.http.exchange("GET", coming, headers) as response:
                    if not response.is_success:
                        error = await _error_in(response)
                        raise of_status(response.status_code, response.headers, error, True)
                    answer = await self._read(request, response, place, coming)
                    if answer is not None:
                        return answer
            except (UnknownSession, ProtocolError) as gone:
                raise Lost(f"{lost}; the answer is not kept: {gone}") from gone
            except NotRun as refused:
                if refused.is_final:
                    raise Lost(f"{lost}; the answer is not kept: {refused}") from refused
            except Lost as again:
                logger.debug("%s: %s", request.method, again)
            if place.last_event_id != before:
                tries.progressed()
        raise lost

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
                self.protocol_version = await self._handshake()
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


async def _error_in(response: httpx2.Response) -> ProtocolError | None:
    """Returns the JSON-RPC error that a refusal carries, if it does."""
    if content_type(response) != "application/json":
        return None
    return error_of(parsed(await body(response)))
