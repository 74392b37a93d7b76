"""Several gateways on one PostgreSQL database: what may happen to a node, and what the database says at the end."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from crash.books import DatabaseBook, Row, SessionRow
from crash.schedule import UPSTREAM, Choices, Victim
from crash.violations import GATEWAY
from harness import Archon
from process.postgres import Postgres

NAMES = "abcdefghi"
# Up to this long a node is away: some come back before their lease is over, some after the others took their sessions.
AWAY_S = (3.0, 20.0)
# Who waits for a node that is gone is answered within this time.
SILENCE_S = 40


@dataclass(frozen=True)
class Fault:
    """One thing that may happen to a node, and what ends it."""

    begin: Callable[[], object]
    end: Callable[[], object]

    def kill(self) -> None:
        """Lets it happen."""
        self.begin()

    def restart(self) -> None:
        """Ends it."""
        self.end()


def faults(nodes: dict[str, Archon]) -> dict[str, Victim]:
    """Returns everything that may happen, by name: each is a victim of its own."""
    found: dict[str, Victim] = {}
    for name, node in nodes.items():
        found[_killed(name)] = Fault(node.kill, node.start)
        found[_paused(name)] = Fault(_signal(node, signal.SIGSTOP), _signal(node, signal.SIGCONT))
        found[_stopped(name)] = Fault(node.stop, node.start)
    return found


def choices(names: Iterable[str]) -> Choices:
    """Returns how often what happens: to one node, to two at once, or to the upstream."""
    names = list(names)
    chosen: Choices = {(UPSTREAM,): len(names)}
    for name in names:
        chosen |= {(_killed(name),): 4, (_paused(name),): 4, (_stopped(name),): 2}
    for first, second in itertools.permutations(names, 2):
        chosen[_killed(first), _paused(second)] = 1
    return chosen


@contextmanager
def database() -> Iterator[Postgres]:
    """An empty database on a server of its own."""
    with Postgres() as postgres:
        postgres.new_database()
        yield postgres


def read(postgres: Postgres, tools: Iterable[str]) -> DatabaseBook:
    """Reads what the nodes wrote of these tools, and of all sessions."""
    listed = ", ".join(f"'{tool}'" for tool in sorted(tools))
    rows = postgres.query(
        "SELECT id, session_id, tool_name, request_bytes, status, error_message, timestamp"
        f" FROM archon_mcp_requests WHERE tool_name IN ({listed}) ORDER BY id"
    )
    sessions = postgres.query(
        "SELECT session_id, client_name, status, disconnect_reason, continues,"
        " extract(epoch FROM disconnected_at) FROM archon_mcp_sessions"
    )
    connections = postgres.query("SELECT handle, session_id FROM archon_mcp_connections")
    return DatabaseBook(
        rows=tuple(
            Row(int(id), session, tool, int(size), status, error or None, at)
            for id, session, tool, size, status, error, at in rows
        ),
        sessions=tuple(
            SessionRow(id, client, status, reason or None, before or None, float(at) if at else None)
            for id, client, status, reason, before, at in sessions
        ),
        connections={handle: session for handle, session in connections},
    )


def _killed(name: str) -> str:
    return f"{GATEWAY} {name}, killed"


def _paused(name: str) -> str:
    return f"{GATEWAY} {name}, paused"


def _stopped(name: str) -> str:
    return f"{GATEWAY} {name}, stopped"


def _signal(node: Archon, number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(node.pid, number)
