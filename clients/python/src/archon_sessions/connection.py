"""A channel with `mcp`'s session on it: opened, resumed, shaken hands on anew, and closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mcp import ClientSession
from mcp.types import LoggingLevel
from mcp.types.version import LATEST_MODERN_VERSION

from .channel import Channel
from .exchange import Handles, Http
from .negotiate import negotiate, resume
from .options import EraMode, Options
from .state import Era, SavedState


class Connection:
    """What a client has from `initialize` to `close`."""

    def __init__(
        self,
        http: Http,
        options: Options,
        callbacks: Mapping[str, Any],
        may_repeat: Callable[[Mapping[str, Any]], Awaitable[bool]],
        renewed: Callable[[], None],
        *,
        wants_standing: bool,
    ) -> None:
        """`callbacks` are arguments of `ClientSession`; `renewed` hears of each later handshake.

        `wants_standing` says whether anybody hears what a legacy server says by itself.
        """
        self.channel = Channel(http, options, may_repeat, self.shake_hands)
        self.session = ClientSession(dispatcher=self.channel, **callbacks)
        self.log_level: LoggingLevel | None = None
        self.subscribed: dict[str, None] = {}
        """URIs of resources, in the order of their subscription."""
        self._callbacks = callbacks
        self._renewed = renewed
        self._wants_standing = wants_standing
        self._owner: asyncio.Task[None] | None = None

    @property
    def handles(self) -> Handles:
        """What shows the server which session is ours."""
        return self.channel.http.handles

    @property
    def era(self) -> Era:
        """The era that was agreed on."""
        return "modern" if self.channel.era_is_modern else "legacy"

    async def open(self, era: EraMode, state: SavedState | None) -> None:
        """Connects, and goes on where a state says, if it does.

        Raises:
            MCPError, MCPClientError: as `negotiate` and `resume` do.
        """
        await self._start()
        is_resumed = False
        if state is not None:
            self.handles.session_id = state.session_id
            self.handles.mcp_session_id = state.mcp_session_id
            if state.cookie:
                self.channel.http.restore_cookie(state.cookie)
            is_resumed = await resume(self.channel, self.session, state)
        if not is_resumed:
            await negotiate(self.channel, self.session, era)
        await self._listen()

    async def shake_hands(self) -> None:
        """Does a legacy handshake anew, and restores what the server knew of this client."""
        # A session of `mcp` does one handshake in its life; this one sends through our channel.
        again = ClientSession(dispatcher=self.channel, **self._callbacks)
        result = await again.initialize()
        self.session.adopt(result)
        self.channel.protocol_version = result.protocol_version
        self._renewed()
        await self._listen()
        if self.log_level is not None:
            await self.channel.restore("logging/setLevel", {"level": self.log_level})
        for uri in list(self.subscribed):
            await self.channel.restore("resources/subscribe", {"uri": uri})

    async def set_log_level(self, level: LoggingLevel) -> None:
        """Asks for log messages from a level on; a server without any goes on as well."""
        self.log_level = level
        await self.channel.restore("logging/setLevel", {"level": level})

    async def ping(self) -> None:
        """Asks the server whether it is there.

        Raises:
            MCPError, MCPClientError: as any request does.
        """
        if self.channel.era_is_modern:
            version = self.channel.protocol_version or LATEST_MODERN_VERSION
            await self.session.send_discover(version)
        else:
            await self.session.send_ping()

    async def close(self, *, end_session: bool) -> None:
        """Ends what is under way, says goodbye if it is to, and closes everything."""
        await self.channel.close(end_session=end_session)
        if self._owner is not None:
            await asyncio.gather(self._owner, return_exceptions=True)

    async def _listen(self) -> None:
        if self._wants_standing and not self.channel.era_is_modern:
            await self.channel.standing.begin()

    async def _start(self) -> None:
        """Starts the task in which `mcp`'s session lives, for who enters it must leave it."""
        ready = asyncio.Event()

        async def live() -> None:
            async with self.session:
                ready.set()
                await self.channel.closed.wait()

        self._owner = asyncio.create_task(live(), name="archon-sessions session")
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({self._owner, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._owner.done():
            await self._owner
