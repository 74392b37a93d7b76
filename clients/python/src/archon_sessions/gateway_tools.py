"""Finds the gateway's own tools among those of a server: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

HEALTH_CHECK = "health_check"
HEARTBEAT = "heartbeat"
SESSION_INFO = "session_info"
GET_TOKEN = "get_reconnect_token"
RECONNECT = "reconnect_session"

ALL = (HEALTH_CHECK, HEARTBEAT, SESSION_INFO, GET_TOKEN, RECONNECT)
HARMLESS_TWICE = (HEALTH_CHECK, HEARTBEAT, SESSION_INFO)


def find(names: Iterable[str]) -> dict[str, str]:
    """Returns the gateway's tools, each with the name it goes by; none, if they are not there.

    Where the server has a tool of the same name, the gateway's has a prefix. All five must be
    there, so that a server's own tool that happens to be called `heartbeat` is not taken for one.
    """
    listed = set(names)
    found: dict[str, str] = {}
    for name in ALL:
        prefixed = f"archon_{name}"
        if prefixed in listed:
            found[name] = prefixed
        elif name in listed:
            found[name] = name
    return found if len(found) == len(ALL) else {}


def idle_timeout_s(heartbeat: Mapping[str, Any]) -> float | None:
    """Returns how long the session may be silent, in seconds, by the answer to a heartbeat."""
    try:
        last = datetime.fromisoformat(str(heartbeat["last_activity"]).replace("Z", "+00:00"))
        expires = datetime.fromisoformat(str(heartbeat["expires_at"]).replace("Z", "+00:00"))
    except (KeyError, ValueError):
        return None
    timeout_s = (expires - last).total_seconds()
    return timeout_s if timeout_s > 0 else None
