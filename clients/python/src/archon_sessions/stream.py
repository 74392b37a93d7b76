"""Reads the messages of an HTTP answer, one JSON document or a stream of events."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import httpx2

from .values import json_object
from .verdict import Lost, Unreadable

logger = logging.getLogger("archon_sessions")

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""Of one message. Larger than any answer that a model could read; it keeps a broken server from
filling the memory."""

REFUSAL_BYTES_MAX = 64 * 1024
"""Of the body of a refusal; more would not be shown."""

JSON = "application/json"
EVENTS = "text/event-stream"
BOM = "\ufeff"

Message = dict[str, Any]


@dataclass
class Place:
    """Where we are in a stream that can be resumed."""

    last_event_id: str | None = None
    retry_s: float | None = None
    """How long the server asks to wait before coming back."""


def content_type(response: httpx2.Response) -> str:
    """Returns the media type of an answer, without its parameters."""
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


async def messages(response: httpx2.Response, place: Place) -> AsyncIterator[Message]:
    """Yields the messages of an answer, and keeps `place` up to date.

    Raises:
        Unreadable: the answer is neither JSON nor a stream of events.
        Lost: it is too large.
        httpx2.RequestError: it broke off.
    """
    kind = content_type(response)
    if kind == EVENTS:
        async for message in _of_events(response, place):
            yield message
        return
    # Some servers leave the type out, or give another one.
    text = await body(response)
    found = parsed(text)
    if not text and response.status_code == 202:
        return
    if not found and kind != JSON:
        raise Unreadable(
            f"the answer is {kind or 'of no type'}, and neither JSON nor a stream of events"
        )
    for message in found:
        yield message


async def body(response: httpx2.Response) -> bytes:
    """Reads a whole body.

    Raises:
        Lost: it is too large.
    """
    read = bytearray()
    async for chunk in response.aiter_bytes():
        read += chunk
        if len(read) > ANSWER_BYTES_MAX:
            raise Lost(f"the answer is larger than {ANSWER_BYTES_MAX} bytes")
    return bytes(read)


async def refusal_body(response: httpx2.Response) -> bytes:
    """Reads the beginning of a refusal's body; what breaks off ends it."""
    read = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            read += chunk
            if len(read) >= REFUSAL_BYTES_MAX:
                break
    except httpx2.RequestError as error:
        logger.debug("a refusal broke off: %s", error)
    return bytes(read[:REFUSAL_BYTES_MAX])


def parsed(text: bytes) -> list[Message]:
    """Returns the messages in a text: one, several of a batch, or none.

    A byte order mark, bytes that are not UTF-8 and raw control characters do not hide what is
    around them.
    """
    try:
        found: object = json.loads(text.decode("utf-8-sig", "replace"), strict=False)
    except (ValueError, RecursionError):
        if text.strip():
            logger.warning("the server sent %d bytes that are not JSON", len(text))
        return []
    members = cast("list[object]", found) if isinstance(found, list) else [found]
    return [message for member in members if (message := json_object(member)) is not None]


async def _of_events(response: httpx2.Response, place: Place) -> AsyncIterator[Message]:
    text = _Text(response)
    # It reads these two properties and this one method of a response.
    source = httpx2.EventSource(cast("httpx2.Response", text), max_event_size=ANSWER_BYTES_MAX)
    async for event in source:
        # The id counts once its event is dealt with; what follows the `yield` runs after that.
        if event.retry is not None:
            place.retry_s = event.retry / 1000
        found = parsed(event.data.encode()) if event.event == "message" and event.data else []
        if text.has_ended and not found:
            # A part of an event: its id must not be taken for that of the whole.
            return
        for message in found:
            yield message
        if event.id:
            place.last_event_id = event.id


class _Text:
    """The text of a stream, without a byte order mark and with an end to its last event.

    Servers end a stream with their answer, and some leave out the empty line after it. An event
    that was cut off is told from a whole one by its data.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self.headers = response.headers
        self.request = response.request
        self.has_ended = False
        self._response = response

    async def aiter_text(self) -> AsyncIterator[str]:
        """Yields it in pieces."""
        is_first = True
        async for piece in self._response.aiter_text():
            yield piece.removeprefix(BOM) if is_first else piece
            is_first = is_first and not piece
        self.has_ended = True
        yield "\n\n"
