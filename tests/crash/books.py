"""The three books: what clients saw, what the upstream executed, what the database holds.

The rows of the database do not name the calls they are about. Each call of a client is therefore
made of another size: a chain of sessions, a tool and the request's size in bytes are one call.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crash.violations import GATEWAY
from process.rows import query


class Outcome(enum.StrEnum):
    """How a call ended for its client."""

    RESULT = "result"
    ERROR = "error"  # a JSON-RPC error, with its code
    NO_ANSWER = "no answer"  # the connection broke, and nothing more could be learned
    ODD = "odd"  # anything that a client cannot make sense of


@dataclass(frozen=True)
class Call:
    """One call as its client saw it. Times are seconds of the wall clock."""

    client: str
    session: str  # which its answer named, or the latest that its client knew
    key: str
    tool: str
    value: str  # what the tool must answer
    request_bytes: int
    connected_at: float  # when the connection that it was sent on was opened
    sent_at: float
    ended_at: float
    outcome: Outcome
    code: int | None = None
    text: str = ""  # the result's text, or what else is known of the end
    last_event_id: str = ""  # the newest event that came without being the answer
    resumptions: int = 0
    is_library: bool = False
    is_session_told: bool = False  # by the head of its answer


class Fate(enum.StrEnum):
    """What a client learned about its session."""

    TOLD = "told"  # it was given this session
    ENDED = "ended"  # it said goodbye, and that was confirmed
    PARTED = "parted"  # it said goodbye, and heard nothing
    LOST = "lost"  # 404, another session, another handshake


@dataclass(frozen=True)
class SessionNote:
    """One thing that a client learned about its session."""

    client: str
    session: str
    fate: Fate
    at: float
    handle: str = ""  # of a legacy connection
    detail: str = ""


@dataclass(frozen=True)
class Pause:
    """An idle time of a client, and what its server held for it before and after. "" is unknown."""

    client: str
    began_at: float  # when it asked what is held, before it fell silent
    ended_at: float  # when it had asked again
    session_before: str
    session_after: str
    held_before: str
    held_after: str
    ends_with: tuple[str, ...] = ()  # the processes that hold it


@dataclass
class ClientBook:
    """What all clients saw. They write into it from several threads."""

    calls: list[Call] = field(default_factory=list)
    sessions: list[SessionNote] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    # Handshakes, first requests, or questions, that were never answered: by client.
    unanswered: Counter[str] = field(default_factory=Counter)
    refused: int = 0  # connections
    reopened: int = 0  # clients of the library that broke as a whole
    broken: list[str] = field(default_factory=list)  # clients that could not go on, and why
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def note_refused(self) -> None:
        """Counts a connection that was refused."""
        with self._lock:
            self.refused += 1

    def note_reopened(self) -> None:
        """Counts a client of the library that broke, and was opened again."""
        with self._lock:
            self.reopened += 1

    def note_unanswered(self, client: str) -> None:
        """Counts a handshake, or another request that is not a call, that was not answered."""
        with self._lock:
            self.unanswered[client] += 1


@dataclass(frozen=True)
class Execution:
    """How often the upstream began and ended a call."""

    started: int = 0
    ended: int = 0


@dataclass(frozen=True)
class Row:
    """A row of archon_mcp_requests."""

    id: int
    session: str
    tool: str
    request_bytes: int
    status: str
    error: str | None
    timestamp: str


@dataclass(frozen=True)
class SessionRow:
    """A row of archon_mcp_sessions."""

    id: str
    client: str
    status: str
    reason: str | None
    continues: str | None = None
    ended_at: float | None = None  # seconds of the wall clock


@dataclass(frozen=True)
class DatabaseBook:
    """What the database says after everything has ended."""

    rows: tuple[Row, ...] = ()
    sessions: tuple[SessionRow, ...] = ()
    connections: dict[str, str] = field(default_factory=dict)  # handle: session
    damage: tuple[str, ...] = ()  # what SQLite itself finds wrong


@dataclass(frozen=True)
class Kill:
    """A process that was killed, or paused, and came back. Times are seconds of the wall clock."""

    victim: str
    killed_at: float
    dead_at: float
    ready_at: float

    @property
    def is_of_gateway(self) -> bool:
        """Whether the victim is the gateway, or one of its nodes."""
        return self.victim.split()[0] == GATEWAY


@dataclass(frozen=True)
class Books:
    """Everything that a run left."""

    clients: ClientBook
    executions: dict[str, Execution]  # by key
    database: DatabaseBook
    kills: tuple[Kill, ...]
    panics: tuple[str, ...] = ()  # from the logs

    def save(self, directory: Path) -> None:
        """Writes each book as JSON Lines, one file per book."""
        lists: dict[str, Iterable[Any]] = {
            "calls": self.clients.calls,
            "notes": self.clients.sessions,
            "pauses": self.clients.pauses,
            "rows": self.database.rows,
            "sessions": self.database.sessions,
            "kills": self.kills,
        }
        for name, entries in lists.items():
            lines = (json.dumps(dataclasses.asdict(entry)) + "\n" for entry in entries)
            (directory / f"{name}.jsonl").write_text("".join(lines))


def read_journal(path: Path) -> dict[str, Execution]:
    """Reads what the upstream wrote, in all its runs."""
    started, ended = Counter[str](), Counter[str]()
    for line in path.read_text().splitlines() if path.exists() else ():
        entry = json.loads(line)
        {"started": started, "ended": ended}[entry["event"]][entry["key"]] += 1
    return {key: Execution(started[key], ended[key]) for key in started.keys() | ended.keys()}


def read_database(db: Path, tools: Iterable[str]) -> DatabaseBook:
    """Reads what the gateway wrote of these tools, and of all sessions."""
    listed = sorted(tools)
    marks = ", ".join("?" * len(listed))
    rows = query(
        db,
        "SELECT id, session_id, tool_name, request_bytes, status, error_message, timestamp"
        f" FROM archon_mcp_requests WHERE tool_name IN ({marks}) ORDER BY id",
        *listed,
    )
    sessions = query(
        db,
        "SELECT session_id, client_name, status, disconnect_reason, continues, disconnected_at"
        " FROM archon_mcp_sessions",
    )
    connections = query(db, "SELECT handle, session_id FROM archon_mcp_connections")
    broken_keys = query(db, "PRAGMA foreign_key_check")
    integrity = [str(row[0]) for row in query(db, "PRAGMA integrity_check") if row[0] != "ok"]
    return DatabaseBook(
        rows=tuple(Row(*row) for row in rows),
        sessions=tuple(_session(*row) for row in sessions),
        connections=dict(connections),
        damage=(*(f"no such parent: {row}" for row in broken_keys), *integrity),
    )


def _session(*columns: Any) -> SessionRow:
    *others, ended = columns
    ended_at = None if ended is None else datetime.datetime.fromisoformat(ended).timestamp()
    return SessionRow(*others, ended_at=ended_at)
