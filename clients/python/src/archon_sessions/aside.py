"""Sends what has no answer: notifications, answers to the server's questions, goodbyes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable

import anyio

from .exchange import Http, Sending
from .retry import Tries
from .stream import Message
from .verdict import Lost, NotRun

logger = logging.getLogger("archon_sessions")

ASIDE_S = 5.0
"""Nobody waits for these, so they must not go on for long."""

ERRANDS_MAX = 64
"""At the same time. What comes beyond is dropped: each is a courtesy to a server that does not keep
up as it is."""


class Aside:
    """Sends messages beside the requests of a client."""

    def __init__(
        self, http: Http, headers: Callable[[], dict[str, str]], tries: Callable[[], Tries]
    ) -> None:
        """`headers` and `tries` are those for a message that begins now."""
        self._http, self._headers, self._tries = http, headers, tries
        self._errands: set[asyncio.Task[None]] = set()

    async def send(self, message: Message) -> None:
        """Sends a message, within some seconds. If it does not arrive, the log says so."""
        try:
            with anyio.fail_after(ASIDE_S):
                await self._post(json.dumps(message).encode())
        except TimeoutError:
            logger.warning("the server did not take a message within %g s", ASIDE_S)

    def begin(self, message: Message) -> None:
        """Sends a message without waiting for it."""
        if len(self._errands) >= ERRANDS_MAX:
            return
        errand = asyncio.create_task(self.send(message))
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    async def say_goodbye(self) -> None:
        """Ends the legacy connection at the server, and its session, if it has one."""
        if self._http.handles.mcp_session_id is None:
            return
        try:
            with anyio.fail_after(ASIDE_S):
                async with self._http.exchange("DELETE", Sending(), self._headers()) as response:
                    logger.debug("said goodbye: HTTP %d", response.status_code)
        except (NotRun, Lost, TimeoutError) as error:
            logger.info("could not say goodbye: %s", error)
        self._http.handles.mcp_session_id = None

    async def close(self) -> None:
        """Gives up on what is still under way."""
        errands = list(self._errands)
        for errand in errands:
            errand.cancel()
        await asyncio.gather(*errands, return_exceptions=True)

    async def _post(self, content: bytes) -> None:
        tries = self._tries()
        delay_s: float | None = 0.0
        while delay_s is not None:
            await asyncio.sleep(delay_s)
            try:
                headers = self._headers()
                async with self._http.exchange("POST", Sending(), headers, content) as response:
                    if not response.is_success:
                        # Whatever it is, the next request meets it as well, and tells its caller.
                        logger.info("a message was refused: HTTP %d", response.status_code)
                return
            except NotRun as refused:
                delay_s = None if refused.is_final else tries.next_delay(refused.retry_after_s)
                logger.info("a message could not be sent: %s", refused)
            except Lost as lost:
                logger.info("a message may not have arrived: %s", lost)
                return
