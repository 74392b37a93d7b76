"""Finds out which era a server speaks, or goes on as a saved state says."""

from __future__ import annotations

import logging

from mcp import ClientSession
from mcp.shared.exceptions import MCPError
from mcp.types import InitializeResult
from pydantic import ValidationError

from .channel import Channel
from .errors import MCPSessionError
from .options import EraMode
from .state import SavedState

logger = logging.getLogger("archon_sessions")


async def negotiate(channel: Channel, session: ClientSession, era: EraMode) -> None:
    """Begins: asks the server for its versions, and shakes hands if it knows no better.

    Raises:
        MCPConnectionError: the server cannot be reached, or turns us away.
        MCPSessionError: it speaks no version that we do.
    """
    if era != "legacy":
        try:
            await session.discover()
        except (MCPError, RuntimeError, ValidationError) as error:
            # Only an answer that names a modern version is evidence for that era (MCP 2026-07-28,
            # Versioning); anything else is what an older server says to a method it never heard of.
            if era == "modern":
                message = f"the server does not speak the modern era: {error}"
                raise MCPSessionError(message) from error
            logger.debug("the server is one of the legacy era: %s", error)
        else:
            channel.era_is_modern = True
            channel.http.handles.mcp_session_id = None
            channel.protocol_version = session.protocol_version
            return
    try:
        result = await session.initialize()
    except (MCPError, RuntimeError, ValidationError) as error:
        raise MCPSessionError(f"the server began no session: {error}") from error
    channel.protocol_version = result.protocol_version


async def resume(channel: Channel, session: ClientSession, state: SavedState) -> bool:
    """Goes on in a legacy connection that another client had; says whether it could.

    What the connection holds at the server behind a gateway (subscriptions, a process of its own)
    is kept by that. A handle that is gone is replaced on the way, as in any request.

    Raises:
        MCPConnectionError: the server cannot be reached, or turns us away.
        MCPSessionError: the state is damaged.
    """
    if state.era != "legacy" or state.mcp_session_id is None or state.handshake is None:
        return False
    try:
        result = InitializeResult.model_validate(state.handshake)
    except ValidationError as error:
        raise MCPSessionError("the saved state is damaged") from error
    session.adopt(result)
    channel.protocol_version = result.protocol_version
    await session.send_ping()
    return True
