"""The stream on which a legacy server speaks by itself: opened, kept open, come back to."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

import httpx2

from .answers import LAST_EVENT_ID
from .exchange import Http, Sending
from .retry import DELAY_MAX_S
from .stream import EVENTS, Message, Place, content_type, messages
from .verdict import Lost, NotRun, retry_after

logger = logging.getLogger("archon_sessions")

OPENING_S = 2.0
"""A session begins with its stream, so that nothing is missed that the server says at once. One
that keeps the head of the stream back until then is not waited for longer."""

SILENCE_S = 300.0
"""A stream on which not even a comment came for so long may be dead without our knowing."""

BUSY = (409, 425, 429, 500, 502, 503, 504)
"""Statuses that say "not now"; 409, where the server still holds the stream that broke."""

PAUSE_MIN_S = 0.05
"""Before the stream is opened again, whatever the server asks for."""


class Standing:
    """Keeps one stream open (MCP 2025-11-25, Transports, Listening for Messages from the Server).

    It is tried again as long as the client is open, at most every `DELAY_MAX_S` while it fails; a
    server that has no such stream is asked once for each connection.
    """

    def __init__(
        self,
        http: Http,
        headers: Callable[[], dict[str, str]],
        take: Callable[[Message], Awaitable[None]],
        delay_s: float,
    ) -> None:
        """`headers` are those of a request that begins now; `take` deals with a message."""
        self._http, self._headers, self._take, self._delay_s = http, headers, take, delay_s
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self.is_open = False

    async def begin(self) -> None:
        """Opens the stream of the connection in force, in place of one that was open before."""
        await self.close()
        self._settled = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="archon-sessions standing stream")
        waiting = asyncio.create_task(self._settled.wait())
        await asyncio.wait({self._task, waiting}, timeout=OPENING_S)
        waiting.cancel()

    async def close(self) -> None:
        """Closes it."""
        task, self._task = self._task, None
        self.is_open = False
        # A handler may begin a session anew, inside this very task; that one ends by itself.
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        place = Place()
        failures = 0
        while self._is_current():
            before = place.last_event_id
            try:
                pause_s = await self._listen(place)
                if pause_s is None:
                    return
                failures += 1
            except (Lost, NotRun) as broken:
                logger.debug("the standing stream broke: %s", broken)
                pause_s = place.retry_s or 0.0
                failures += 1
            except Exception:
                # Whatever a message did to its handler, the next ones must be heard.
                logger.exception("the standing stream failed")
                pause_s = 0.0
                failures += 1
            finally:
                if self._is_current():
                    self.is_open = False
                    self._settled.set()
            if place.last_event_id != before:
                failures = 1
            most = min(DELAY_MAX_S, self._delay_s * 2.0 ** min(failures - 1, 16))
            await asyncio.sleep(max(PAUSE_MIN_S, pause_s) + random.uniform(0, most))

    async def _listen(self, place: Place) -> float | None:
        """Hears one stream; returns how long the server asks to wait, or nothing for no other."""
        headers = self._headers()
        if place.last_event_id is not None:
            headers[LAST_EVENT_ID] = place.last_event_id
        sending = Sending()
        async with self._http.exchange("GET", sending, headers, silence_s=SILENCE_S) as response:
            if response.status_code in BUSY:
                return retry_after(response.headers.get("retry-after")) or 0.0
            if not response.is_success or content_type(response) != EVENTS:
                return self._refused(response, place)
            self.is_open = True
            self._settled.set()
            async for message in messages(response, place):
                await self._take(message)
                if not self._is_current():
                    break
        return place.retry_s or 0.0

    def _is_current(self) -> bool:
        return self._task is asyncio.current_task()

    def _refused(self, response: httpx2.Response, place: Place) -> float | None:
        if place.last_event_id is not None:
            # What was missed is gone; what comes from here on is not.
            logger.info("the standing stream is begun anew: HTTP %d", response.status_code)
            place.last_event_id = None
            return 0.0
        # Most say 405, and some 404: that is about the stream, and says nothing of the session.
        logger.info("the server has no standing stream: HTTP %d", response.status_code)
        return None
