"""Lists that come in pages."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

from mcp.types import PaginatedRequestParams, PaginatedResult

from .errors import MCPToolError

logger = logging.getLogger("archon_sessions")

PAGES_MAX = 100
"""A list whose pages never end must not hang its reader."""

PageT = TypeVar("PageT", bound=PaginatedResult)
EntryT = TypeVar("EntryT")


async def listed(
    what: str,
    ask: Callable[[PaginatedRequestParams], Awaitable[PageT]],
    entries: Callable[[PageT], list[EntryT]],
    key: Callable[[EntryT], Hashable],
) -> list[EntryT]:
    """Returns all entries of a list, each once.

    A cursor that comes again ends the list: from there on the pages are those that were read.

    Raises:
        MCPToolError: there are more than `PAGES_MAX` pages.
    """
    found: dict[Hashable, EntryT] = {}
    asked: set[str] = set()
    cursor: str | None = None
    for _ in range(PAGES_MAX):
        page = await ask(PaginatedRequestParams(cursor=cursor))
        for entry in entries(page):
            found.setdefault(key(entry), entry)
        cursor = page.next_cursor
        if cursor is None:
            return list(found.values())
        if cursor in asked:
            logger.warning("the list of %s begins again and was ended there", what)
            return list(found.values())
        asked.add(cursor)
    raise MCPToolError(f"the list of {what} has more than {PAGES_MAX} pages")
