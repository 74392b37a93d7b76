"""Asks a gateway's database what it wrote down, as an operator would: with SQL."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path
from typing import Any

from harness import wait_for

Row = tuple[Any, ...]

# Rows are written within a tenth of a second; a loaded machine is given more.
WRITTEN_S = 15


def query(db: Path, sql: str, *values: Any) -> list[Row]:
    """Returns the rows, without ever writing to the file."""
    with contextlib.closing(
        sqlite3.connect(f"file:{db}?mode=ro", uri=True, timeout=30)
    ) as connection:
        return connection.execute(sql, values).fetchall()


def expect(db: Path, expected: list[Row], sql: str, *values: Any) -> None:
    """Waits until a query answers so, and shows what it answered if it never does."""
    deadline = time.monotonic() + WRITTEN_S
    while (found := query(db, sql, *values)) != expected:
        if time.monotonic() > deadline:
            assert found == expected, sql
        time.sleep(0.02)


def expect_more(db: Path, sql: str, more: int) -> None:
    """Waits until a query counts so many more than it does now."""
    [(before,)] = query(db, sql)
    wait_for("more rows", lambda: query(db, sql)[0][0] >= before + more, WRITTEN_S)


def expect_session(db: Path, id: str | None, **columns: Any) -> None:
    """Waits until the row of a session has these values."""
    sql = f"SELECT {', '.join(columns)} FROM archon_mcp_sessions WHERE session_id = ?"
    expect(db, [tuple(columns.values())], sql, id)


def expect_requests(db: Path, expected: list[Row], columns: str, session: str | None) -> None:
    """Waits until these are the requests of a session, in the order in which they were answered."""
    sql = f"SELECT {columns} FROM archon_mcp_requests WHERE session_id = ? ORDER BY id"
    expect(db, expected, sql, session)


def expect_counts(db: Path, expected: dict[str, int], by: str) -> None:
    """Waits until the requests of all sessions, counted by a column, are these."""
    where = f"FROM archon_mcp_requests WHERE {by} IS NOT NULL"
    sql = f"SELECT {by}, count(*) {where} GROUP BY 1 ORDER BY 1"
    expect(db, sorted(expected.items()), sql)


def expect_silence(db: Path, seconds: float) -> None:
    """Waits until nothing was heard of any session for so long, by the clock on the wall."""
    silence = "(julianday('now') - julianday(max(last_activity))) * 86400"
    expect(db, [(1,)], f"SELECT {silence} > ? FROM archon_mcp_sessions", seconds)
