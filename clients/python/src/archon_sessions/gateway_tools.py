"""Finds the gateway's own tools among those of a server: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from mcp.types import Tool

HEALTH_CHECK = "health_check"
HEARTBEAT = "heartbeat"
SESSION_INFO = "session_info"
GET_TOKEN = "get_reconnect_token"
RECONNECT = "reconnect_session"

MARK = "dev.archon-sessions/tool"
"""In the `_meta` of each of the gateway's tools, with its plain name: the name that it goes by is
another one where the server has a tool of the same name."""

HARMLESS_TWICE = (HEALTH_CHECK, HEARTBEAT, SESSION_INFO)


def find(tools: Iterable[Tool]) -> dict[str, str]:
    """Returns the names that the gateway's tools go by, under their plain names."""
    marks = ((tool, (tool.meta or {}).get(MARK)) for tool in tools)
    return {mark: tool.name for tool, mark in marks if isinstance(mark, str)}


def idle_timeout_s(heartbeat: Mapping[str, Any]) -> float | None:
    """Returns how long the session may be silent, in seconds, by the answer to a heartbeat."""
    try:
        last = datetime.fromisoformat(str(heartbeat["last_activity"]).replace("Z", "+00:00"))
        expires = datetime.fromisoformat(str(heartbeat["expires_at"]).replace("Z", "+00:00"))
    except (KeyError, ValueError):
        return None
    timeout_s = (expires - last).total_seconds()
    return timeout_s if timeout_s > 0 else None
