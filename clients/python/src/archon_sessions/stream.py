"""Reads the messages of an HTTP answer, one JSON document or a stream of events."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2

from .values import json_object
from .verdict import Lost

logger = logging.getLogger("archon_sessions")

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""Of one message. Larger than any answer that a model could read; it keeps a broken server from
filling the memory."""

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
        Lost: the answer is neither JSON nor a stream of events, or too large.
        httpx2.RequestError: it broke off.
    """
    kind = content_type(response)
    if kind == "application/json":
        if (message := parsed(await body(response))) is not None:
            yield message
        return
    if kind != "text/event-stream":
        raise Lost(f"the answer is {kind or 'of no type'}, and neither JSON nor a stream of events")
    async for event in httpx2.EventSource(response, max_event_size=ANSWER_BYTES_MAX):
        # The id counts once its event is dealt with; what follows the `yield` runs after that.
        if event.retry is not None:
            place.retry_s = event.retry / 1000
        message = parsed(event.data.encode()) if event.event == "message" and event.data else None
        if message is not None:
            yield message
        if event.id:
            place.last_event_id = event.id


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


def parsed(text: bytes) -> Message | None:
    """Returns a message, or nothing for what is none."""
    try:
        return json_object(json.loads(text))
    except ValueError:
        logger.warning("the server sent %d bytes that are no JSON", len(text))
        return None
