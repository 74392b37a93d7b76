"""Which request an answer belongs to: pure."""

from __future__ import annotations


def is_answer_to(answered: object, id: int) -> bool:
    """Whether the id of an answer on a request's own stream means that request.

    Servers return the number as text or as a float, and `null` where they could not read it. One
    stream belongs to one request, so these can mean no other.
    """
    if answered is None:
        return True
    return names(answered, id)


def names(answered: object, id: int) -> bool:
    """Whether an id is this number, as a number or as text."""
    if isinstance(answered, str):
        return answered in (str(id), f"{id}.0")
    return isinstance(answered, int | float) and answered == id and answered is not True
