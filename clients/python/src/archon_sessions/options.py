"""How a client behaves: what the caller says, else the environment, else a default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import httpx2

EraMode = Literal["auto", "legacy", "modern"]

URL_VARIABLE = "MCP_SERVER_URL"
TIMEOUT_VARIABLE = "MCP_TIMEOUT"
MAX_RETRIES_VARIABLE = "MCP_MAX_RETRIES"
TOKEN_VARIABLE = "ARCHON_MCP_TOKEN"

DEFAULT_URL = "http://localhost:8051"
"""Where `archon serve` listens if it is told nothing."""

DEFAULT_TIMEOUT_S = 30.0
"""Longer than most tools take, and short enough for a person who waits."""

DEFAULT_MAX_RETRIES = 3
DEFAULT_RETRY_DELAY_S = 1.0
"""With three tries more, a gateway that restarts is waited for some seconds."""

ENDPOINT_PATH = "/mcp"
"""Where the gateway serves MCP; added to a URL that has no path."""


@dataclass(frozen=True)
class Options:
    """What applies to all of a client's requests."""

    url: str
    timeout_s: float
    max_retries: int
    retry_delay_s: float
    trust_annotations: bool


def resolve(
    base_url: str | None,
    timeout: float | None,
    max_retries: int | None,
    retry_delay: float,
    trust_annotations: bool,
) -> Options:
    """Fills in from the environment what was not said.

    Raises:
        ValueError: a value makes no sense; the message names it.
    """
    timeout_s = _number(TIMEOUT_VARIABLE, DEFAULT_TIMEOUT_S) if timeout is None else timeout
    if max_retries is None:
        retries = int(_number(MAX_RETRIES_VARIABLE, DEFAULT_MAX_RETRIES))
    else:
        retries = max_retries
    if timeout_s <= 0:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout_s}")
    if retries < 0 or retry_delay < 0:
        raise ValueError("max_retries and retry_delay must not be negative")
    return Options(
        url=endpoint(base_url or os.environ.get(URL_VARIABLE) or DEFAULT_URL),
        timeout_s=timeout_s,
        max_retries=retries,
        retry_delay_s=retry_delay,
        trust_annotations=trust_annotations,
    )


def credentials(
    api_key: str | None, headers: Mapping[str, str], *, has_auth: bool
) -> dict[str, str]:
    """Returns the headers with the key in them, which comes from the environment if nobody says.

    Raises:
        ValueError: the key is not one word, or there are two credentials.
    """
    is_shown = has_auth or any(name.lower() == "authorization" for name in headers)
    if api_key is not None and is_shown:
        raise ValueError("give one of `api_key`, `auth` and a header `Authorization`")
    key = api_key or (None if is_shown else os.environ.get(TOKEN_VARIABLE))
    if not key:
        return dict(headers)
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key or not key:
        # Without the key: it would be shown in logs.
        raise ValueError(f"`api_key` or {TOKEN_VARIABLE} is not one word of ASCII")
    return {**headers, "Authorization": f"Bearer {key}"}


def endpoint(base_url: str) -> str:
    """Returns the MCP endpoint of a server: a URL with a path is one, others get `/mcp`.

    Raises:
        ValueError: it is no http or https URL.
    """
    try:
        url = httpx2.URL(base_url)
    except httpx2.InvalidURL as error:
        raise ValueError(f"not a URL: {base_url!r}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"not an http or https URL: {base_url!r}")
    if url.userinfo:
        # It would be shown in logs and errors.
        raise ValueError("credentials belong into `headers` or `auth`, not into the URL")
    if url.path in ("", "/"):
        url = url.copy_with(path=ENDPOINT_PATH)
    return str(url)


def shown(url: str) -> str:
    """Returns a URL as logs and errors may show it: its query may hold a key."""
    return str(httpx2.URL(url).copy_with(query=None))


def _number(variable: str, otherwise: float) -> float:
    text = os.environ.get(variable)
    if not text:
        return otherwise
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{variable} is not a number: {text!r}") from None
