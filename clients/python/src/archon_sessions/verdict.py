"""What an answer, or none, says about a request: pure.

The one question is whether the request may have run, for that decides what may be sent again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from mcp.types import INTERNAL_ERROR, METHOD_NOT_FOUND

from .values import json_object

# The gateway's own codes, as docs/errors.md lists them. Other servers may mean other things by
# these numbers, so they count only with `ran` in the error's data.
GATEWAY_CODES = range(-31099, -31000)
NO_SESSION = -31006

READS = frozenset(
    {
        "completion/complete",
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

UNINITIALIZED = re.compile(
    r"(?:bad request: *)?(?:(?:the )?(?:server|session|client)(?: is| was| has)? |(?:is )?)"
    r"not (?:yet |been )*initiali[sz]ed\b"
    r"|.*\bbefore initiali[sz]ation\b",
    re.IGNORECASE,
)
"""Begins what a server says that forgot its handshake, such as "Server not initialized" of the
TypeScript SDK. A tool whose database is not initialized says another thing first."""

FORGOTTEN = re.compile(
    r"\bsession\b[^.;]{0,60}\b(?:not found|not exist|unknown|expired|invalid|terminated|closed"
    r"|gone|lost|no longer)\b"
    r"|\b(?:unknown|invalid|expired|stale|no such|no valid)\b[^.;]{0,20}\bsession\b",
    re.IGNORECASE,
)
"""A server that forgot a session, wherever the text says so."""

ONLY_FORGOTTEN = re.compile(
    r"(?:(?:bad request|not found|unauthorized|gone)[:,] *)?"
    r"(?:(?:mcp )?session(?: id)? (?:was |is |has |been )*"
    r"(?:not found|unknown|expired|invalid|terminated|closed)"
    r"|(?:unknown|invalid|expired|no such|no valid) (?:mcp )?session(?: id)?(?: provided)?)"
    r"[.:!]?(?: *[\w-]{1,80})?\.?",
    re.IGNORECASE,
)
"""The same, and the text says nothing else. An error of a tool that is about a session of its own
says more than that."""

_ELSEWHERE = "the server redirects to another origin, which is not followed"
_UNKNOWN_CALLER = (
    "the server does not know this client, or does not let it in; check its credentials"
)
ADVICE = {
    **dict.fromkeys((301, 302, 303, 307, 308), _ELSEWHERE),
    **dict.fromkeys((401, 403), _UNKNOWN_CALLER),
}
"""What to do about HTTP statuses that stay as they are however often one asks."""

LATER = (401, 403, 409, 503)
"""HTTP statuses that are about a session only where their text says so."""

REFUSING_CODES = frozenset({-32600, -32000, -32001, -32002})
"""JSON-RPC codes with which servers refuse a message before they look at its method."""


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


class Unreadable(Lost):
    """There is an answer, and it is none of this protocol."""


class UnknownSession(Exception):
    """The server does not know our connection any more. The request did not run.

    `error` is the JSON-RPC error that said so, if it came as an answer to the request.
    """

    def __init__(self, message: str, error: ProtocolError | None = None) -> None:
        super().__init__(message)
        self.error = error


class ProtocolError(Exception):
    """A JSON-RPC error that answers the request."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


@dataclass(frozen=True)
class Refusal:
    """An answer with an HTTP status other than 2xx."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    error: ProtocolError | None = None
    """The JSON-RPC error in its body, if there is one."""
    names_request: bool = False
    """Whether that error carries the id of the request."""
    text: str = ""
    """The beginning of its body."""

    @property
    def said(self) -> str:
        """What it says, for people. Bodies that are not JSON-RPC are pages, and are left out."""
        return f"HTTP {self.status}: {self.error.message}" if self.error else f"HTTP {self.status}"


def error_of(message: Mapping[str, Any] | None) -> ProtocolError | None:
    """Returns the error in a JSON-RPC message, if there is one, however badly it is formed."""
    said = (message or {}).get("error")
    if said is None:
        return None
    error = json_object(said)
    if error is None:
        return ProtocolError(INTERNAL_ERROR, str(said))
    text = str(error.get("message") or "the server returned an error without a message")
    return ProtocolError(_code(error.get("code")), text, error.get("data"))


def of_error(error: ProtocolError, *, is_bound: bool = False) -> Exception:
    """Returns what an error means that answers a request.

    `is_bound` says whether the request was sent in a legacy connection, which can be forgotten.
    """
    ran = (json_object(error.data) or {}).get("ran") if error.code in GATEWAY_CODES else None
    if ran == "no":
        return NotRun(error.message)
    if ran in ("yes", "unknown"):
        return Lost(error.message, has_run=ran == "yes", is_told=True)
    if is_bound and _is_refused_unread(error):
        return UnknownSession(error.message, error)
    return error


def of_refusal(refusal: Refusal, *, has_handle: bool, is_bound: bool = False) -> Exception:
    """Returns what an HTTP status other than 2xx means.

    `has_handle` says whether the request showed a legacy connection's handle; `is_bound`, whether
    it was sent in a legacy connection at all.
    """
    status, said = refusal.status, refusal.said
    wait_s = retry_after(refusal.headers.get("retry-after"))
    if (has_handle or is_bound) and is_forgotten(refusal, has_handle=has_handle):
        return UnknownSession(said)
    if status == 429 or (status == 503 and wait_s is not None):
        return NotRun(said, status=status, retry_after_s=wait_s)
    if status in ADVICE:
        message = f"{said}: {ADVICE[status]}"
        return NotRun(message, status=status, retry_after_s=wait_s, is_final=True)
    if refusal.error is not None:
        return of_error(refusal.error)
    if status >= 500:
        # Whatever stands before the server may say so after the server got the request.
        return Lost(said)
    return NotRun(said, status=status, is_final=True)


def is_forgotten(refusal: Refusal, *, has_handle: bool) -> bool:
    """Whether a server does not know a legacy connection any more.

    By the protocol that is 404 (MCP 2025-11-25, Transports, Session Management). Others say it with
    400 or 401, 410 or 503, and that it is about the session; servers that give no handle say that
    they are not initialized.
    """
    status, error = refusal.status, refusal.error
    text = error.message if error else refusal.text
    if UNINITIALIZED.match(text) and status in (400, 404, 409, 410, 503):
        return True
    is_answer = error is not None and (refusal.names_request or error.code == METHOD_NOT_FOUND)
    is_gateways = error is not None and error.code == NO_SESSION
    says = {
        404: not is_answer or is_gateways or bool(FORGOTTEN.search(text)),
        410: True,
        400: "session" in text.lower(),
    }
    return has_handle and says.get(status, status in LATER and bool(FORGOTTEN.search(text)))


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


def _is_refused_unread(error: ProtocolError) -> bool:
    if UNINITIALIZED.match(error.message):
        return True
    is_refusal = error.code in REFUSING_CODES
    return is_refusal and ONLY_FORGOTTEN.fullmatch(error.message.strip()) is not None


def _code(code: object) -> int:
    if not isinstance(code, int | float | str):
        return INTERNAL_ERROR
    try:
        return int(code)
    except (ValueError, OverflowError):
        return INTERNAL_ERROR
