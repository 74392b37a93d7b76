"""What can go wrong, by what a caller can do about it."""

from __future__ import annotations

from typing import Any

from mcp.types import CallToolResult


class MCPClientError(Exception):
    """The root of everything that this package raises on purpose."""


class MCPConnectionError(MCPClientError):
    """The request did not run: the server cannot be reached, or turns it away.

    Calling again is safe. `status` is the HTTP status, if there was an answer at all;
    `retry_after_s` is how long the server asks to wait, in seconds, if it does.
    """

    def __init__(
        self, message: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class MCPSessionError(MCPClientError):
    """There is no session to work in: it could not be begun, resumed or taken back.

    `reason` is the gateway's word for why a reconnect token was refused, such as
    `token_expired`. A new client begins a new session.
    """

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason


class MCPToolError(MCPClientError):
    """The server answered, with an error: the tool's own (`result`), or the protocol's (`code`)."""

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        data: Any = None,
        result: CallToolResult | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.data = data
        self.result = result


class MCPOutcomeUnknown(MCPClientError):
    """The request was sent and its answer is lost: it may have run, and may still run.

    Look before you call again. `has_run` is true where the server knows that it did run, and only
    its answer is gone.
    """

    def __init__(self, message: str, *, has_run: bool = False) -> None:
        super().__init__(message)
        self.has_run = has_run
