"""The client: a session with an MCP server that outlives failures."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx2
from mcp.client.session import (
    ElicitationFnT,
    IncomingMessage,
    ListRootsFnT,
    LoggingFnT,
    MessageHandlerFnT,
    SamplingFnT,
)
from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError
from mcp.types import (
    HEADER_MISMATCH,
    CallToolResult,
    Implementation,
    LoggingLevel,
    Tool,
    ToolListChangedNotification,
)

from . import gateway_tools, options
from .calls import call, first_text, told
from .connection import Connection
from .errors import MCPClientError, MCPSessionError, MCPToolError
from .exchange import Handles, Http
from .features import Features
from .heartbeats import Heartbeats
from .listing import listed
from .options import DEFAULT_RETRY_DELAY_S, EraMode
from .state import SavedState, SessionInfo
from .tracked import Tracked
from .version import VERSION

logger = logging.getLogger("archon_sessions")


class MCPClient(Features):
    """A client of one MCP server.

        async with MCPClient(base_url="http://localhost:8051") as client:
            result = await client.call_tool("find_projects", {"query": "portal"})

    Behind an Archon gateway its session is durable: it goes on over restarts of server and gateway,
    is kept alive while idle, and can be resumed by another process. Any other server works as well,
    without that. One client may be used by many tasks of one event loop at once.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        timeout: float | None = None,
        max_retries: int | None = None,
        retry_delay: float = DEFAULT_RETRY_DELAY_S,
        client_name: str = "archon-sessions-python",
        client_version: str = VERSION,
        era: EraMode = "auto",
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        auth: httpx2.Auth | None = None,
        verify: ssl.SSLContext | bool = True,
        state: SavedState | None = None,
        heartbeat_interval: float | None = None,
        trust_annotations: bool = False,
        sampling_callback: SamplingFnT | None = None,
        elicitation_callback: ElicitationFnT | None = None,
        list_roots_callback: ListRootsFnT | None = None,
        logging_callback: LoggingFnT | None = None,
        log_level: LoggingLevel | None = None,
        message_handler: MessageHandlerFnT | None = None,
    ) -> None:
        """Makes a client; nothing is sent before `initialize`, which `async with` calls.

        Args:
            base_url: The server, with or without the path of its endpoint; `MCP_SERVER_URL`, or
                `http://localhost:8051`.
            timeout: Seconds for one call with all its tries; `MCP_TIMEOUT`, or 30.
            max_retries: How often what is safe to repeat is tried again; `MCP_MAX_RETRIES`, or 3.
            retry_delay: Seconds; before the n-th try again at most 2ⁿ⁻¹ times as many are waited.
            client_name: What the server, and the gateway's dashboard, call this client.
            client_version: Its version.
            era: `auto` asks the server; `legacy` and `modern` insist.
            api_key: Sent as `Authorization: Bearer …`; `ARCHON_MCP_TOKEN`, unless `headers` or
                `auth` say who this client is. Never logged.
            headers: Sent with every request, such as `Authorization`. Never logged.
            auth: Signs every request, such as an OAuth provider of `mcp`'s.
            verify: How to check the server's certificate.
            state: What `save_state` gave another client, to go on in its session.
            heartbeat_interval: Seconds of silence after which a sign of life is sent; 0 for none;
                by default a third of the session's timeout. Only a gateway gets any.
            trust_annotations: Whether tools that the server marks read-only or idempotent may be
                called again when an answer was lost.
            sampling_callback: Answers the server's questions to the model.
            elicitation_callback: Answers its questions to the user.
            list_roots_callback: Says which folders it may use.
            logging_callback: Hears its log messages.
            log_level: From which level on the server is to send them.
            message_handler: Hears all of its notifications.

        With any of these callbacks a legacy server's own stream is held open as well, so that it is
        heard while no call is under way.

        Raises:
            ValueError: a value makes no sense.
        """
        self._options = options.resolve(
            base_url, timeout, max_retries, retry_delay, trust_annotations
        )
        if state is not None and state.url != self._options.url:
            url = options.shown(self._options.url)
            message = f"the saved state belongs to {options.shown(state.url)}, not to {url}"
            raise MCPSessionError(message)
        self._era: EraMode = era if state is None or era != "auto" else state.era
        self._headers = options.credentials(api_key, headers or {}, has_auth=auth is not None)
        self._auth, self._verify = auth, verify
        self._state = state
        self._heartbeat_interval = heartbeat_interval
        self._message_handler = message_handler
        heard = {
            "sampling_callback": sampling_callback,
            "elicitation_callback": elicitation_callback,
            "list_roots_callback": list_roots_callback,
            "logging_callback": logging_callback,
        }
        self._has_callbacks = any([*heard.values(), message_handler])
        self._callbacks: dict[str, Any] = {
            "client_info": Implementation(name=client_name, version=client_version),
            "message_handler": self._hear,
            "log_level": log_level,
            **heard,
        }
        self._log_level: LoggingLevel | None = log_level
        self._tracked = Tracked(self.call_tool, self.list_tools, state, trust_annotations)
        self._connection: Connection | None = None
        self._heartbeats: Heartbeats | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<MCPClient {options.shown(self._options.url)}, session {self.session_id}>"

    async def __aenter__(self) -> MCPClient:
        await self.initialize()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def session_id(self) -> str | None:
        """The gateway's session; `None` without a gateway, or before its first answer."""
        return self._connection.handles.session_id if self._connection else None

    @property
    def info(self) -> SessionInfo:
        """Which session this client is in, as of the latest answer."""
        connection = self._connected()
        return SessionInfo(
            session_id=connection.handles.session_id,
            mcp_session_id=connection.handles.mcp_session_id,
            era=connection.era,
            protocol_version=connection.session.protocol_version or "",
            reconnect_count=self._tracked.reconnect_count,
        )

    @property
    def server_info(self) -> Implementation | None:
        """What the server calls itself, if it does."""
        return self._connected().session.server_info

    @property
    def server_capabilities(self) -> dict[str, Any]:
        """What the server says that it can do, as the protocol names it."""
        said = self._connected().session.server_capabilities
        return (
            {} if said is None else said.model_dump(by_alias=True, mode="json", exclude_none=True)
        )

    async def initialize(self) -> SessionInfo:
        """Connects: finds out which era the server speaks, and begins or resumes a session.

        Does nothing on a client that is connected.

        Raises:
            MCPConnectionError: the server cannot be reached, or turns us away.
            MCPSessionError: it lets us begin no session; or this client was closed.
        """
        if self._is_closed:
            raise MCPSessionError("the client is closed; make another")
        if self._connection is not None:
            return self.info
        http = Http(self._options.url, Handles(), self._headers, self._auth, self._verify)
        connection = Connection(
            http,
            self._options,
            self._callbacks,
            self._tracked.may_repeat,
            self._tracked.forgets_tools,
            wants_standing=self._has_callbacks,
        )
        self._connection = connection
        try:
            with told():
                await connection.open(self._era, self._state)
            if self._log_level is not None and connection.era == "legacy":
                await connection.set_log_level(self._log_level)
            await self._take_back()
        except BaseException:
            await self._shut_down(end_session=False)
            raise
        if self._heartbeat_interval != 0:
            self._heartbeats = Heartbeats(self._beat, self._idle_s, self._heartbeat_interval)
        return self.info

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: ProgressFnT | None = None,
    ) -> CallToolResult:
        """Calls a tool and returns its result.

        `timeout` is in seconds and replaces the client's; it counts for each round of questions
        that the server asks back.

        Raises:
            MCPToolError: the tool failed, or there is no such tool.
            MCPOutcomeUnknown: it was sent and its answer is lost; it may have run.
            MCPConnectionError: it did not run.
            MCPSessionError: it did not run, for want of a session.
        """
        session = self._connected().session
        with told():
            try:
                result = await call(session, name, arguments, timeout, on_progress)
            except MCPError as error:
                if error.code != HEADER_MISMATCH:
                    raise
                # The tool's schema wants arguments mirrored into headers, and is not known, or has
                # changed; the call was refused before it ran.
                await self.list_tools()
                result = await call(session, name, arguments, timeout, on_progress)
        if result.is_error:
            raise MCPToolError(first_text(result) or f"{name} failed", result=result)
        return result

    async def list_tools(self) -> list[Tool]:
        """Returns the server's tools, all pages of them.

        Raises:
            MCPConnectionError, MCPSessionError, MCPToolError: as `call_tool` does.
        """
        ask = self._connected().session.list_tools
        with told():
            tools = await listed(
                "tools",
                lambda params: ask(params=params),
                lambda page: page.tools,
                lambda tool: tool.name,
            )
        self._tracked.knows(tools)
        return tools

    async def health_check(self) -> dict[str, Any]:
        """Returns how the server is: `status` is `healthy`, or `degraded` with a gateway's reason.

        Without a gateway a server that answers is healthy.

        Raises:
            MCPConnectionError, MCPSessionError: it cannot be asked.
        """
        if (said := await self._tracked.ask(gateway_tools.HEALTH_CHECK)) is not None:
            return said
        await self._ping()
        name = self.server_info.name if self.server_info else None
        return {"status": "healthy", "service": name, "session_id": self.session_id}

    async def heartbeat(self) -> dict[str, Any]:
        """Sends a sign of life; returns `success`, `session_id`, `last_activity` and `expires_at`.

        An idle client sends these by itself. Without a gateway the server is only asked whether it
        is there, and the times are left out.

        Raises:
            MCPConnectionError, MCPSessionError: it cannot be told.
        """
        if (said := await self._tracked.ask(gateway_tools.HEARTBEAT)) is not None:
            return said
        await self._ping()
        return {"success": True, "session_id": self.session_id}

    async def reconnect(self) -> SessionInfo:
        """Leaves the connection for a new one, and takes the session back with a reconnect token.

        Raises:
            MCPSessionError: the gateway refused the token; `reason` says why, and the client has
                another session then.
            MCPConnectionError: the server cannot be reached.
        """
        connection = self._connected()
        session_id = self.session_id
        if self._tracked.token is None and await self._tracked.has_tool(gateway_tools.RECONNECT):
            await self._tracked.new_token()
        if connection.era == "legacy":
            with told():
                await connection.shake_hands()
        await self._tracked.show_token(session_id)
        return self.info

    async def save_state(self) -> SavedState:
        """Returns what another process needs to go on in this session, secrets among it.

        Asks the gateway for a reconnect token; the one that was given out before is void then.

        Raises:
            MCPConnectionError, MCPSessionError: the gateway cannot be asked.
        """
        connection = self._connected()
        await self._tracked.new_token()
        handles, answered = connection.handles, connection.session.initialize_result
        if answered is None:
            handshake = None
        else:
            handshake = answered.model_dump(by_alias=True, mode="json", exclude_none=True)
        return SavedState(
            url=self._options.url,
            era=connection.era,
            session_id=handles.session_id,
            mcp_session_id=handles.mcp_session_id,
            cookie=connection.channel.http.cookie,
            reconnect_token=self._tracked.token,
            reconnect_count=self._tracked.reconnect_count,
            handshake=handshake,
        )

    async def close(self, *, end_session: bool = True) -> None:
        """Closes the connection.

        A legacy session ends with it, unless another process is to go on in it: then
        `end_session` is false. The modern era knows no goodbye; there it ends by its silence. Does
        nothing on a client that is closed, and never raises for the server's sake.
        """
        self._is_closed = True
        await self._shut_down(end_session)

    def _connected(self) -> Connection:
        if self._is_closed:
            raise MCPSessionError("the client is closed; make another")
        if self._connection is None:
            raise MCPSessionError("not connected; call initialize(), or use `async with`")
        return self._connection

    async def _take_back(self) -> None:
        """Shows the saved token where the saved handles did not lead to the saved session."""
        saved = self._state
        if saved is None or self.session_id == saved.session_id:
            return
        try:
            await self._tracked.show_token(saved.session_id)
        except MCPClientError as error:
            logger.warning("session %s could not be taken back: %s", saved.session_id, error)

    async def _ping(self) -> None:
        with told():
            await self._connected().ping()

    async def _beat(self) -> float | None:
        if not self._connected().handles.is_gateway:
            return None
        return gateway_tools.idle_timeout_s(await self.heartbeat())

    def _idle_s(self) -> float:
        return self._connection.channel.idle_s if self._connection else 0.0

    async def _hear(self, message: IncomingMessage) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._tracked.forgets_tools()
        if self._message_handler is not None:
            await self._message_handler(message)

    async def _shut_down(self, end_session: bool) -> None:
        if self._heartbeats is not None:
            await self._heartbeats.stop()
            self._heartbeats = None
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close(end_session=end_session)
