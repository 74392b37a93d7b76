"""What an answer, or none, says about a request: pure.

The one question is whether the request may have run, for that decides what may be sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from mcp.types import METHOD_NOT_FOUND

from .values import json_object

# The gateway's own codes, as docs/operations.md lists them. Other servers may mean other things by
# these numbers, so they count only with `ran` in the error's data.
GATEWAY_CODES = range(-31099, -31000)

READS = frozenset(
    {
        "initialize",
        "ping",
        "prompts/get",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/templates/list",
        "server/discover",
        "tools/list",
    }
)
"""Methods that only read, by the protocol; asking them twice changes nothing."""


class NotRun(Exception):
    """The request did not run. Sending it again is safe, and may help unless `is_final`."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        is_final: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
        self.is_final = is_final


class Lost(Exception):
    """The request was sent, and there is no answer: it may have run.

    `has_run` where a gateway knows that it did; `is_told` where the message says all that already.
    """

    def __init__(self, message: str, *, has_run: bool = False, is_told: bool = False) -> None:
        super().__init__(message)
        self.has_run = has_run
        self.is_told = is_told


class UnknownSession(Exception):
    """The server does not know our connection's handle. The request did not run."""


class ProtocolError(Exception):
    """A JSON-RPC error that answers the request."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def error_of(message: Mapping[str, Any] | None) -> ProtocolError | None:
    """Returns the error in a JSON-RPC message, if there is one."""
    error = json_object((message or {}).get("error"))
    if error is None or not isinstance(error.get("code"), int):
        return None
    return ProtocolError(error["code"], str(error.get("message", "")), error.get("data"))


def of_error(error: ProtocolError) -> Exception:
    """Returns what an error means that answers a request."""
    ran = (json_object(error.data) or {}).get("ran") if error.code in GATEWAY_CODES else None
    if ran == "no":
        return NotRun(error.message)
    if ran in ("yes", "unknown"):
        return Lost(error.message, has_run=ran == "yes", is_told=True)
    return error


def of_status(
    status: int, headers: Mapping[str, str], error: ProtocolError | None, has_handle: bool
) -> Exception:
    """Returns what an HTTP status other than 2xx means.

    `error` is the JSON-RPC error in the body, if there was one; `has_handle` says whether the
    request showed a legacy connection's handle.
    """
    said = f"HTTP {status}: {error.message}" if error else f"HTTP {status}"
    if has_handle and is_unknown_handle(status, error):
        return UnknownSession(said)
    if status in (401, 403):
        return NotRun(
            f"{said}; is the server to be shown who you are?", status=status, is_final=True
        )
    wait_s = retry_after(headers.get("retry-after"))
    if status == 429 or (status == 503 and wait_s is not None):
        return NotRun(said, status=status, retry_after_s=wait_s)
    if error is not None:
        return of_error(error)
    if status >= 500:
        # Whatever stands before the server may say so after the server got the request.
        return Lost(said)
    return NotRun(said, status=status, is_final=True)


def is_unknown_handle(status: int, error: ProtocolError | None) -> bool:
    """Whether a server does not know a handle any more.

    By the protocol that is 404 (MCP 2025-11-25, Transports, Session Management). Servers made with
    the TypeScript SDK's examples say 400, and that it is about the session.
    """
    if status == 404:
        return error is None or error.code != METHOD_NOT_FOUND
    return status == 400 and error is not None and "session" in error.message.lower()


def retry_after(value: str | None) -> float | None:
    """Returns the seconds that a `Retry-After` header asks for: a number of them, or a date."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=timezone.utc)
    return max(0.0, (at - datetime.now(timezone.utc)).total_seconds())
