"""A database that cannot be used at the start: refused in words that help, and left as it is."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from harness import Archon, archon_bin
from wire import LegacyClient

pytestmark = pytest.mark.timeout(180)


def refusal(db: Path) -> str:
    """What a gateway says that does not start with this database."""
    command = [archon_bin(), "serve", "--mcp-port", "0", "--server-port", "0", "--db", db]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=db.parent)
    assert done.returncode == 1
    assert "panicked" not in done.stderr
    assert str(db) in done.stderr
    return done.stderr


@pytest.fixture
def used(start_archon, tmp_path) -> Path:
    """A database with sessions and requests in it, that nothing has open."""
    gateway: Archon = start_archon()
    for number in range(20):
        client = LegacyClient.connect(gateway.url, name=f"client {number}")
        assert client.call("heartbeat").result
    assert gateway.stop() == 0
    db = tmp_path / "used.db"
    shutil.copy(gateway.db, db)
    return db


def test_a_folder_is_no_database(tmp_path):
    db = tmp_path / "the.db"
    db.mkdir()
    assert "could not open" in refusal(db)


def nonsense(db: Path) -> None:
    db.write_bytes(b"this is no database, and never was one" * 100)


def cut_off(db: Path) -> None:
    whole = db.read_bytes()
    db.write_bytes(whole[: len(whole) // 2])


def garbage_inside(db: Path) -> None:
    whole = bytearray(db.read_bytes())
    middle = len(whole) // 2 // 4096 * 4096
    whole[middle : middle + 8192] = b"\xa5" * 8192
    db.write_bytes(whole)


def emptied_with_a_log(db: Path) -> None:
    db.with_name(f"{db.name}-wal").write_bytes(b"\x37\x7f\x06\x82" + bytes(1000))
    db.write_bytes(b"")


@pytest.mark.parametrize("damage", [nonsense, cut_off, garbage_inside, emptied_with_a_log])
def test_a_damaged_database_is_refused_with_a_way_out(used, damage):
    damage(used)
    parts = (used.with_name(f"{used.name}{part}") for part in ("", "-wal", "-shm"))
    before = {path.name: path.read_bytes() for path in parts if path.exists()}
    said = refusal(used)
    assert "is damaged" in said
    assert f'sqlite3 {used} ".recover" | sqlite3 saved.db' in said
    # The index of a log may be made to read it; what was stored is as it was.
    assert {name: (used.parent / name).read_bytes() for name in before} == before


def test_what_the_way_out_saves_can_be_used(used, start_archon):
    if not shutil.which("sqlite3"):
        pytest.skip("no sqlite3 on this machine")
    garbage_inside(used)
    saved = used.with_name("saved.db")
    way_out = f'sqlite3 {used} ".recover" | sqlite3 {saved}'
    subprocess.run(way_out, shell=True, check=True, capture_output=True, timeout=60)
    gateway = start_archon(db=saved)
    assert LegacyClient.connect(gateway.url).call("heartbeat").result


def test_a_database_of_a_newer_version_is_refused_by_its_name(used):
    with contextlib.closing(sqlite3.connect(used)) as connection, connection:
        connection.execute("INSERT INTO _sqlx_migrations VALUES (9001, 'new', '', 1, x'00', 0)")
        connection.execute("PRAGMA user_version = 7002001")
    said = refusal(used)
    assert "made by archon 7.2.1" in said and "start that version or a later one" in said


def test_a_database_of_another_schema_is_refused(used):
    with contextlib.closing(sqlite3.connect(used)) as connection, connection:
        connection.execute("UPDATE _sqlx_migrations SET checksum = x'00'")
    assert "is not the one" in refusal(used)
