"""What can be taken of results that are not quite what the protocol asks for: pure."""

from __future__ import annotations

import logging
from typing import Any, cast

from mcp.types import Prompt, Resource, ResourceTemplate, Tool
from pydantic import BaseModel, ValidationError

from .values import json_object

logger = logging.getLogger("archon_sessions")

LISTS: dict[str, tuple[str, type[BaseModel]]] = {
    "tools/list": ("tools", Tool),
    "prompts/list": ("prompts", Prompt),
    "resources/list": ("resources", Resource),
    "resources/templates/list": ("resourceTemplates", ResourceTemplate),
}
"""Methods whose result is a page of a list: the member that holds it, and what is in it."""


def tidied(method: str, result: object) -> dict[str, Any]:
    """Returns a result as an object, with what servers leave out that can mean only one thing.

    `null` is an empty result, a tool that returns nothing returns no content, and an entry of a
    list that cannot be read does not hide the others.
    """
    known = json_object(result)
    if known is None:
        known = {} if result is None else {"value": result}
    if method == "tools/call" and known.get("resultType") in (None, "complete"):
        content: list[object] = []
        return known if known.get("content") is not None else {**known, "content": content}
    if method not in LISTS:
        return known
    member, kind = LISTS[method]
    listed = known.get(member)
    entries = cast("list[object]", listed) if isinstance(listed, list) else []
    page = {**known, member: [entry for entry in entries if _is_readable(entry, kind)]}
    cursor = page.pop("nextCursor", None)
    if isinstance(cursor, int | float | str) and cursor != "" and not isinstance(cursor, bool):
        page["nextCursor"] = str(cursor)
    return page


def _is_readable(entry: object, kind: type[BaseModel]) -> bool:
    try:
        kind.model_validate(entry, by_name=False)
    except ValidationError as error:
        logger.warning("an entry that the server lists cannot be read: %s", error)
        return False
    return True
