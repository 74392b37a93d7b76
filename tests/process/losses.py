"""Ways to lose a store under a running gateway, and to give it back."""

from __future__ import annotations

import contextlib
import os
import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Archon


@contextlib.contextmanager
def locked(gateway: Archon) -> Iterator[None]:
    """Another process keeps the database to itself."""
    connecting = sqlite3.connect(gateway.db, isolation_level=None, timeout=30)
    with contextlib.closing(connecting) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def without_tables(gateway: Archon) -> Iterator[None]:
    """An operator's script has renamed the tables, and renames them back."""
    tables = ("archon_mcp_requests", "archon_mcp_sessions", "archon_mcp_connections")

    def rename(script: str) -> None:
        with contextlib.closing(sqlite3.connect(gateway.db, timeout=30)) as connection:
            # Without this, a reference to a renamed table is renamed with it.
            connection.execute("PRAGMA legacy_alter_table = ON")
            connection.executescript(script)

    rename("".join(f"ALTER TABLE {table} RENAME TO away_{table};" for table in tables))
    yield
    rename("".join(f"ALTER TABLE away_{table} RENAME TO {table};" for table in tables))


@contextlib.contextmanager
def full_disk(gateway: Archon) -> Iterator[None]:
    """Something else fills the disk; for a gateway whose database is on a disk of its own."""
    filler = gateway.db.with_name("filler")
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    yield
    filler.unlink()


@contextlib.contextmanager
def files_at_their_limit(gateway: Archon) -> Iterator[None]:
    """No file of the gateway's may grow: what a full disk is, without one."""
    log = gateway.db.with_name(f"{gateway.db.name}-wal")
    before = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
    # What is printed goes to a file as well; it is the smaller one.
    size = log.stat().st_size
    assert size > 4 * len(gateway.log())
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (size, before[1]))
    yield
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def read_only(gateway: Archon) -> Iterator[None]:
    """The files refuse to be written, even by whoever has them open."""
    files = [gateway.db, *gateway.db.parent.glob(f"{gateway.db.name}-*")]

    def change(flag: str) -> bool:
        done = subprocess.run(["chattr", flag, *files], capture_output=True, check=False)
        return done.returncode == 0

    try:
        if not change("+i"):
            pytest.skip("files cannot be made immutable here")
        with contextlib.suppress(PermissionError), gateway.db.open("ab"):
            pytest.skip("immutable files can be written here")
        yield
    finally:
        change("-i")


def remove(db: Path) -> None:
    """Removes a database with all its parts."""
    for part in ("", "-wal", "-shm"):
        os.unlink(f"{db}{part}")
