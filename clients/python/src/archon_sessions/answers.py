"""What comes back for requests: on their own streams, resumed ones, and the standing one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import httpx2

from .exchange import MCP_SESSION_ID, Http, Sending
from .ids import is_answer_to, names
from .inbound import Inbound
from .options import Options
from .outgoing import Outgoing
from .rests import Rests
from .retry import Budget, Tries
from .stream import Message, Place, messages, parsed, refusal_body
from .values import json_object
from .verdict import (
    Lost,
    NotRun,
    ProtocolError,
    Refusal,
    UnknownSession,
    error_of,
    of_refusal,
)

logger = logging.getLogger("archon_sessions")

LAST_EVENT_ID = "last-event-id"

RESUMES_MAX = 8
"""So often a broken stream is come back to without hearing anything new. With the usual pauses that
is longer than a gateway's restart takes; nothing is run by it, so it costs no budget."""

PROGRESS = "notifications/progress"


class Answers:
    """Reads answers, and deals with whatever else comes with them."""

    def __init__(self, http: Http, inbound: Inbound, options: Options) -> None:
        self._http, self._inbound, self._options = http, inbound, options
        self._rests = Rests()
        # By the id of each request in flight: as many as the caller has calls.
        self._expected: dict[int, tuple[Outgoing, asyncio.Future[Message]]] = {}

    @contextmanager
    def expecting(self, request: Outgoing) -> Generator[asyncio.Future[Message]]:
        """Gives what the standing stream brings for a request, while the block lasts."""
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        id = request.id
        self._expected[id] = (request, future)
        try:
            yield future
        finally:
            del self._expected[id]
            future.cancel()

    async def read(
        self, request: Outgoing, response: httpx2.Response, place: Place, sending: Sending
    ) -> Message | None:
        """Returns the message that answers the request, if it comes; deals with all before it.

        Raises:
            Lost, httpx2.RequestError: as `messages` does.
        """
        stream = messages(response, place)
        async for message in stream:
            if "method" in message:
                await self._inbound.take(message, request.on_progress)
            elif not message.keys() & {"result", "error"}:
                logger.warning("the server sent something that is neither call nor answer")
            elif is_answer_to(message.get("id"), request.id):
                sending.is_handed_over = self._rests.take(stream, response)
                return message
            else:
                logger.warning("an answer to another request came to %s", request.method)
        return None

    async def take(self, message: Message) -> None:
        """Deals with a message of the standing stream, where answers may come as well."""
        if "method" not in message:
            for id, (_, future) in self._expected.items():
                if names(message.get("id"), id) and not future.done():
                    future.set_result(message)
                    return
            logger.debug("an answer came that nobody waits for")
            return
        on_progress = None
        if message["method"] == PROGRESS:
            token = (json_object(message.get("params")) or {}).get("progressToken")
            requests = (request for id, (request, _) in self._expected.items() if names(token, id))
            on_progress = next((request.on_progress for request in requests), None)
        await self._inbound.take(message, on_progress)

    async def resume(
        self, request: Outgoing, place: Place, lost: Lost, version: str | None
    ) -> Message:
        """Comes back to a broken stream (MCP 2025-11-25, Transports, Resumability).

        Raises:
            Lost: the answer cannot be had any more.
        """
        tries = Tries(RESUMES_MAX, self._options.retry_delay_s, Budget())
        request.may_have_run = True
        request.last = str(lost)
        while (delay_s := tries.next_delay(place.retry_s)) is not None:
            logger.info("%s: %s; back for its answer in %.1f s", request.method, lost, delay_s)
            await asyncio.sleep(delay_s)
            before = place.last_event_id
            headers = request.headers(self._http.handles, version)
            headers[LAST_EVENT_ID] = before or ""
            coming = Sending()
            try:
                async with self._http.exchange("GET", coming, headers) as response:
                    if not response.is_success:
                        raise of_refusal(await refusal(response, request.id), has_handle=True)
                    answer = await self.read(request, response, place, coming)
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

    async def close(self) -> None:
        """Closes the streams that are still read on."""
        await self._rests.close()


async def refusal(response: httpx2.Response, id: int | None = None) -> Refusal:
    """Reads a refusal, of the request with this id."""
    text = await refusal_body(response)
    found = next(iter(parsed(text) if text.lstrip()[:1] in (b"{", b"[") else []), None)
    error = error_of(found)
    answered = (found or {}).get("id")
    return Refusal(
        response.status_code,
        response.headers,
        error,
        names_request=id is not None and names(answered, id),
        text=text.decode("utf-8", "replace"),
    )


def shows_handle(headers: Mapping[str, str]) -> bool:
    """Whether a request shows a legacy connection's handle."""
    return MCP_SESSION_ID in headers
