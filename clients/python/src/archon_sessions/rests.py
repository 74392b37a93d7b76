"""Reads what follows answers, so that their connections can be used for the next requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import anyio
import httpx2

from .stream import Message
from .verdict import Lost

REST_S = 0.2
"""A stream ends with its answer, but its last packet may be on its way. A server that keeps it open
for longer costs us a new connection, and no more."""

RESTS_MAX = 64
"""At the same time; the answers beyond cost a connection each."""


class Rests:
    """Streams whose answers were read, for a moment longer."""

    def __init__(self) -> None:
        self._reading: set[asyncio.Task[None]] = set()

    def take(self, stream: AsyncIterator[Message], response: httpx2.Response) -> bool:
        """Takes over a stream, and closes it in the end; says whether it did."""
        if len(self._reading) >= RESTS_MAX:
            return False
        task = asyncio.create_task(_read(stream, response))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)
        return True

    async def close(self) -> None:
        """Closes them all."""
        reading = list(self._reading)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


async def _read(stream: AsyncIterator[Message], response: httpx2.Response) -> None:
    try:
        with anyio.move_on_after(REST_S), contextlib.suppress(httpx2.RequestError, Lost):
            async for _ in stream:
                pass
    finally:
        await response.aclose()
