"""What shows a server which session is ours, in memory and saved for another process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from .errors import MCPSessionError
from .values import json_object

Era = Literal["legacy", "modern"]
FORMAT = 1
"""Of the saved form. What a later version writes is refused, not guessed at."""


@dataclass(frozen=True)
class SessionInfo:
    """Which session a client is in."""

    session_id: str | None
    """The gateway's session, a UUID; `None` without a gateway, or before its first answer."""
    mcp_session_id: str | None = field(repr=False)
    """The connection's handle in the legacy era; `None` in the modern one. Not shown by `repr`."""
    era: Era
    protocol_version: str
    reconnect_count: int
    """How often the session was taken back with a token."""


@dataclass(frozen=True)
class SavedState:
    """What another process needs to go on in a session: `MCPClient(state=…)`.

    All of it opens the session to whoever has it, so its `repr` shows only which session it is.
    Keep it as you keep a password. The reconnect token is good for minutes and once; the handles
    for as long as the gateway resumes (a day, if not configured).
    """

    url: str = field(repr=False)
    era: Era
    session_id: str | None
    mcp_session_id: str | None = field(default=None, repr=False)
    cookie: str | None = field(default=None, repr=False)
    reconnect_token: str | None = field(default=None, repr=False)
    reconnect_count: int = 0
    handshake: Mapping[str, Any] | None = field(default=None, repr=False)
    """The server's answer to `initialize`, so that the connection can go on without another."""

    def to_dict(self) -> dict[str, Any]:
        """Returns it as JSON values; secrets are in it."""
        return {"format": FORMAT, **asdict(self)}

    def to_json(self) -> str:
        """Returns it as a text for `from_json`; secrets are in it."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> SavedState:
        """Reads what `to_dict` gave.

        Raises:
            MCPSessionError: it is something else, or of a later version.
        """
        if saved.get("format") != FORMAT or saved.get("era") not in ("legacy", "modern"):
            raise MCPSessionError("the saved state is not one that this version can read")
        known = {name: saved[name] for name in cls.__dataclass_fields__ if name in saved}
        texts = ("url", "session_id", "mcp_session_id", "cookie", "reconnect_token")
        is_sound = (
            isinstance(known.get("url"), str)
            and "session_id" in known
            and all(isinstance(known.get(name), str | None) for name in texts)
            and isinstance(known.get("handshake"), Mapping | None)
            and isinstance(known.get("reconnect_count", 0), int)
        )
        if not is_sound:
            raise MCPSessionError("the saved state is damaged")
        return cls(**known)

    @classmethod
    def from_json(cls, text: str) -> SavedState:
        """Reads what `to_json` gave.

        Raises:
            MCPSessionError: it is something else, or of a later version.
        """
        try:
            saved = json_object(json.loads(text))
        except ValueError:
            raise MCPSessionError("the saved state is no JSON") from None
        if saved is None:
            raise MCPSessionError("the saved state is no JSON object")
        return cls.from_dict(saved)
