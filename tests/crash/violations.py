"""What can be wrong, and what a gateway promises."""

from __future__ import annotations

import enum
from dataclasses import dataclass

GATEWAY = "gateway"

# In relaxed mode rows are on the disk this long after their call has ended.
RELAXED_S = 0.25


class Wrong(enum.StrEnum):
    """What can be wrong."""

    LOST_SESSION = "lost session"
    LOST_STATE = "lost state"
    DOUBLED_CALL = "doubled call"
    NO_OUTCOME = "call without outcome"
    FALSE_ANSWER = "false answer"
    LOST_ROW = "lost row"
    DOUBLED_ROW = "doubled row"
    FALSE_ROW = "false row"
    FALSE_SESSION = "false session"
    REFUSED = "refused connection"
    DAMAGE = "damaged database"
    PANIC = "panic"


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong, with what helps to find out why."""

    wrong: Wrong
    what: str

    def __str__(self) -> str:
        return f"{self.wrong}: {self.what}"


@dataclass(frozen=True)
class Promise:
    """What the gateway that was tested promises."""

    is_strict: bool  # every row is on the disk before its answer is sent
    keeps_sockets: bool  # a restart refuses no connection
    relaxed_s: float = RELAXED_S
    idle_s: float | None = None  # the idle timeout, where sessions may meet it
