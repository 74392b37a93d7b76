"""Keeps a session alive while its client has nothing to say."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from .errors import MCPClientError

logger = logging.getLogger("archon_sessions")

FIRST_INTERVAL_S = 60.0
"""Until the server has said how long a session may be silent: a fifth of the gateway's default."""

BEATS_PER_TIMEOUT = 3
"""Two may be lost before the session ends."""

INTERVAL_MIN_S = 1.0
"""However short a session's timeout is, we are not a load test."""


class Heartbeats:
    """One task that calls `beat` whenever the client was idle for long enough."""

    def __init__(
        self,
        beat: Callable[[], Awaitable[float | None]],
        idle_s: Callable[[], float],
        interval_s: float | None,
    ) -> None:
        """Begins.

        `beat` returns the session's idle timeout in seconds, where it learned it; `idle_s` says for
        how many seconds nothing was sent. Without `interval_s` a third of the timeout is taken.
        """
        self._beat = beat
        self._idle_s = idle_s
        self._is_fixed = interval_s is not None
        self._interval_s = FIRST_INTERVAL_S if interval_s is None else interval_s
        self._task = asyncio.create_task(self._run(), name="archon-sessions heartbeats")

    async def stop(self) -> None:
        """Ends the task."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            # Clients that were started together do not stay together.
            due_s = self._interval_s * random.uniform(0.8, 1.0) - self._idle_s()
            if due_s > 0:
                await asyncio.sleep(due_s)
                continue
            await self._once()
            # The request counts as activity; this is for a beat that found nothing to send.
            await asyncio.sleep(min(self._interval_s, INTERVAL_MIN_S))

    async def _once(self) -> None:
        try:
            timeout_s = await self._beat()
        except MCPClientError as error:
            # The next call will meet the same trouble, and tell its caller.
            logger.info("a heartbeat failed: %s", error)
            return
        except Exception:
            # Whatever it was, the next one is due nevertheless.
            logger.exception("a heartbeat failed")
            return
        if timeout_s is not None and not self._is_fixed:
            self._interval_s = max(INTERVAL_MIN_S, timeout_s / BEATS_PER_TIMEOUT)
