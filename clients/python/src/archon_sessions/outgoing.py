"""A request on its way: what is sent of it, and what its caller is told when there is no answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp.shared.dispatcher import ProgressFnT
from mcp.shared.exceptions import MCPError
from mcp.types import REQUEST_TIMEOUT

from .errors import MCPConnectionError, MCPOutcomeUnknown, MCPSessionError
from .exchange import MCP_SESSION_ID, Handles, Sending
from .stream import Message
from .verdict import READS, Lost, NotRun

INITIALIZE = "initialize"
DISCOVER = "server/discover"
CALL_TOOL = "tools/call"
VERSION = "mcp-protocol-version"
ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


@dataclass
class Outgoing:
    """A request with all its tries."""

    method: str
    params: Mapping[str, Any] | None
    more_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    on_progress: ProgressFnT | None = None
    is_cancellable: bool = True
    id: int = 0
    """Of the latest try. Each has its own: a gateway takes one that it has seen for the same."""
    sending: Sending = field(default_factory=Sending)
    may_have_run: bool = False
    """Whether a try was lost after it was sent."""
    last: str = "it was not sent"
    """What became of the latest try."""

    @property
    def is_read(self) -> bool:
        """Whether it only reads, by its method."""
        return self.method in READS

    @property
    def is_sent(self) -> bool:
        """Whether it may have run, now or in an earlier try."""
        return self.sending.is_sent or self.may_have_run

    def body(self) -> bytes:
        """Returns the message."""
        message: Message = {"jsonrpc": "2.0", "id": self.id, "method": self.method}
        params = None if self.params is None else dict(self.params)
        if self.on_progress is not None:
            params = params or {}
            params["_meta"] = {**params.get("_meta", {}), "progressToken": self.id}
        if params is not None:
            message["params"] = params
        return json.dumps(message).encode()

    def headers(self, handles: Handles, version: str | None) -> dict[str, str]:
        """Returns its headers, on a connection that agreed on this version."""
        headers = {**headers_aside(handles, version), **self.more_headers}
        if self.method in (INITIALIZE, DISCOVER):
            # These come before a connection.
            headers.pop(MCP_SESSION_ID, None)
        if self.method == INITIALIZE:
            headers.pop(VERSION, None)
        elif version is not None:
            # A connection that was begun anew may speak another one than the call was made for.
            headers[VERSION] = version
        return headers

    def timed_out(self, timeout_s: float) -> Exception:
        """Returns what its caller is told when the time is up."""
        if not self.is_sent:
            return MCPConnectionError(f"{self.method}: {self.last}, within {timeout_s:g} s")
        message = f"no answer to {self.method} within {timeout_s:g} s"
        if self.method == DISCOVER:
            # A server that never answers what it does not know is one of the legacy era.
            return MCPError(REQUEST_TIMEOUT, message)
        if self.is_read:
            return MCPConnectionError(message)
        return MCPOutcomeUnknown(f"{message}; it may have run, and may still run")

    def closed(self) -> Exception:
        """Returns what its caller is told when the client is closed meanwhile."""
        message = f"the client was closed before {self.method} was answered"
        if self.is_sent and not self.is_read:
            return MCPOutcomeUnknown(f"{message}; it may have run, check before you call again")
        return MCPSessionError(message)

    def not_run(self, refused: NotRun) -> Exception:
        """Returns what its caller is told when it is not sent again."""
        message = f"{self.method}: {refused}"
        if self.may_have_run and not self.is_read:
            return MCPOutcomeUnknown(f"{message}; an earlier try may have run")
        return MCPConnectionError(
            message, status=refused.status, retry_after_s=refused.retry_after_s
        )

    def unanswered(self, lost: Lost) -> Exception:
        """Returns what its caller is told when it may have run and is not sent again."""
        if self.is_read:
            return MCPConnectionError(f"{self.method}: {lost}")
        advice = "" if lost.is_told else "; it may have run, check before you call again"
        return MCPOutcomeUnknown(f"{self.method}: {lost}{advice}", has_run=lost.has_run)


def headers_aside(handles: Handles, version: str | None) -> dict[str, str]:
    """Returns the headers of what is no request."""
    headers = {**ACCEPT, **handles.headers()}
    if version is not None:
        headers[VERSION] = version
    return headers
