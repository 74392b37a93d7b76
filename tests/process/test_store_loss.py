"""The store goes away in mid-run: calls go on, health says so, and what waited is written later."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import rows
from harness import Archon, archon_bin, wait_for
from wire import JSON_HEADERS, LegacyClient, ModernClient, encoded, get_json, initialize, send

pytestmark = pytest.mark.timeout(180)

REQUESTS = "SELECT count(*) FROM archon_mcp_requests WHERE tool_name = 'echo'"


@contextlib.contextmanager
def locked(db: Path) -> Iterator[None]:
    """Another process that keeps the database to itself."""
    with contextlib.closing(sqlite3.connect(db, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def without_tables(db: Path) -> Iterator[None]:
    """Tables that an operator's script has renamed, and renames back."""
    tables = ("archon_mcp_requests", "archon_mcp_sessions", "archon_mcp_connections")

    def rename(script: str) -> None:
        with contextlib.closing(sqlite3.connect(db, timeout=30)) as connection:
            # Without this, a reference to a renamed table is renamed with it.
            connection.execute("PRAGMA legacy_alter_table = ON")
            connection.executescript(script)

    rename("".join(f"ALTER TABLE {table} RENAME TO away_{table};" for table in tables))
    yield
    rename("".join(f"ALTER TABLE away_{table} RENAME TO {table};" for table in tables))


def healths(gateway: Archon) -> tuple[int, str, int, str]:
    """What both ports say: status and word of the API's, and of the MCP port's."""
    api_status, api = get_json(gateway.api_url + "/health")
    mcp_status, mcp = get_json(gateway.url.removesuffix("/mcp") + "/health")
    return api_status, api["status"], mcp_status, mcp["status"]


# A look at the file is a matter of a second; a lock is waited for five.
NOTICED_S = 10

HEALTHY = (200, "healthy", 200, "healthy")
DEGRADED = (503, "unhealthy", 200, "degraded")


@pytest.mark.parametrize("loss", [locked, without_tables])
def test_calls_go_on_without_the_store_and_are_written_later(start_fixture, start_archon, loss):
    gateway = start_archon(upstream=start_fixture())
    legacy = LegacyClient.connect(gateway.url)
    modern = ModernClient(gateway.url)
    cookie = {"cookie": modern.call("count", {"key": "x"}).cookie}
    assert healths(gateway) == HEALTHY

    with loss(gateway.db):
        assert legacy.text("echo", text="1") == "1"
        wait_for("the loss is noticed", lambda: healths(gateway) == DEGRADED)
        reason = get_json(gateway.api_url + "/health")[1]["reason"]
        assert reason and "store" in reason
        store = get_json(gateway.url.removesuffix("/mcp") + "/health")[1]["health"]["store"]
        assert store["status"] == "unhealthy" and store["queued_rows"] >= 0

        assert legacy.text("echo", text="2") == "2"
        assert modern.call("echo", {"text": "3"}, cookie).text == "3"
        # Clients that come meanwhile are served as well.
        late = LegacyClient.connect(gateway.url, name="late")
        assert late.text("echo", text="4") == "4"
        assert ModernClient(gateway.url, name="later").text("echo", text="5") == "5"
        assert gateway.log().count("could not write to the session store") == 1

    wait_for("the store is back", lambda: healths(gateway) == HEALTHY)
    assert "the session store is back" in gateway.log()
    rows.expect(gateway.db, [(5,)], REQUESTS)
    rows.expect_session(gateway.db, late.session, client_type="late", status="active")
    rows.expect_requests(gateway.db, [("initialize",), ("tools/call",)], "method", late.session)
    assert late.text("echo", text="6") == "6"


def test_a_handle_is_not_called_unknown_while_nobody_can_look_it_up(start_archon):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url)
    unheard = {"mcp-session-id": "00000000-0000-4000-8000-000000000000"}
    assert client.call("find_projects", headers=unheard).status == 404

    with without_tables(gateway.db):
        # 404 would end the client for good, and nobody knows whether it is deserved.
        answer = client.call("find_projects", headers=unheard)
        assert answer.status == 503
        assert "try again" in answer.error["message"]
        assert int(answer.headers["retry-after"]) >= 1
        assert client.call("heartbeat").result
    assert client.call("find_projects", headers=unheard).status == 404


def test_an_end_that_could_not_be_written_is_written_later(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    client = LegacyClient.connect(gateway.url)
    with without_tables(gateway.db):
        assert client.text("echo", text="x") == "x"
        wait_for("the loss is noticed", lambda: healths(gateway) == DEGRADED)
        assert client.end().status == 200
        assert client.call("echo", {"text": "x"}).status == 404
    rows.expect_session(gateway.db, client.session, disconnect_reason="client_disconnect")


def test_a_database_that_was_deleted_is_noticed(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    client = LegacyClient.connect(gateway.url)
    for suffix in ("", "-wal", "-shm"):
        os.unlink(f"{gateway.db}{suffix}")

    assert client.text("echo", text="x") == "x"
    # Rows that go to a file which is no longer there are lost at the next start.
    wait_for("the loss is noticed", lambda: healths(gateway) == DEGRADED, NOTICED_S)
    assert client.text("echo", text="y") == "y"


def test_a_database_that_was_spoilt_is_noticed(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    client = LegacyClient.connect(gateway.url)
    for suffix in ("", "-wal"):
        with open(f"{gateway.db}{suffix}", "r+b") as file:
            file.write(b"\xff" * os.fstat(file.fileno()).st_size)

    assert client.text("echo", text="x") == "x"
    wait_for("the loss is noticed", lambda: healths(gateway) == DEGRADED, NOTICED_S)
    assert client.text("echo", text="y") == "y"
    assert LegacyClient.connect(gateway.url).text("echo", text="z") == "z"


def test_a_gateway_without_a_file_keeps_sessions_while_it_runs(start_archon):
    gateway = start_archon(db=Path("memory"))
    client = LegacyClient.connect(gateway.url)
    assert client.text("find_projects")
    assert healths(gateway) == HEALTHY
    assert not list(gateway.directory.glob("memory*"))
    gateway.restart()
    assert client.call("find_projects").status == 404


@pytest.mark.parametrize("kind", ["folder", "no database", "newer"])
def test_a_database_that_cannot_be_used_is_named_at_the_start(start_archon, tmp_path, kind):
    db = tmp_path / "the.db"
    if kind == "folder":
        db.mkdir()
    elif kind == "no database":
        db.write_bytes(b"this is no database, and never was one" * 100)
    else:
        gateway = start_archon()
        gateway.stop()
        shutil.copy(gateway.db, db)
        with contextlib.closing(sqlite3.connect(db)) as connection, connection:
            connection.execute("UPDATE _sqlx_migrations SET checksum = x'00'")
    command = [archon_bin(), "serve", "--mcp-port", "0", "--server-port", "0", "--db", db]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode != 0
    assert str(db) in done.stderr
    assert "panicked" not in done.stderr


def test_a_first_handshake_waits_for_the_store_only_so_long(start_archon):
    gateway = start_archon()
    with locked(gateway.db):
        answer = send(gateway.url, "POST", encoded(initialize()), JSON_HEADERS)
        assert answer.status == 200 and answer.session and answer.handle
    rows.expect_session(gateway.db, answer.session, status="active")
