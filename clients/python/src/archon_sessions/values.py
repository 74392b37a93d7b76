"""JSON values whose shape is not known yet."""

from __future__ import annotations

from typing import Any, cast


def json_object(value: object) -> dict[str, Any] | None:
    """Returns a value that is a JSON object, and nothing for any other."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
