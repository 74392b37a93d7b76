"""The database's files are removed or replaced under a running gateway, which goes on with new ones."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import rows
from harness import Archon, wait_for
from losses import remove
from wire import LegacyClient, ModernClient, get_json

pytestmark = pytest.mark.timeout(180)

REQUESTS = "SELECT count(*) FROM archon_mcp_requests WHERE tool_name = 'echo'"
BEGUN_ANEW = "from memory"


def lost_rows(gateway: Archon) -> int:
    """How much was in a file that is gone, as both ports say."""
    _, api = get_json(gateway.api_url + "/health")
    _, mcp = get_json(gateway.url.removesuffix("/mcp") + "/health")
    lost = mcp["health"]["store"]["lost_rows"]
    assert api.get("lost_rows", 0) == lost
    return lost


def is_healthy(gateway: Archon) -> bool:
    """Whether the API says that all is well."""
    return get_json(gateway.api_url + "/health")[0] == 200


@pytest.mark.parametrize("durability", ["relaxed", "strict"])
def test_a_removed_database_is_begun_anew_with_what_memory_holds(
    start_fixture, start_archon, config, durability
):
    arguments = config(store={"durability": durability})
    gateway = start_archon(*arguments, upstream=start_fixture())
    legacy = LegacyClient.connect(gateway.url)
    ended = LegacyClient.connect(gateway.url)
    modern = ModernClient(gateway.url)
    first = modern.call("echo", {"text": "1"})
    assert legacy.text("echo", text="2") == "2"
    rows.expect(gateway.db, [(2,)], REQUESTS)
    assert ended.end().status == 200

    remove(gateway.db)
    assert legacy.text("echo", text="3") == "3"
    assert modern.call("echo", {"text": "4"}, {"cookie": first.cookie}).text == "4"
    wait_for("it is begun anew", lambda: BEGUN_ANEW in gateway.log())
    assert "it held 3 sessions and" in gateway.log()
    assert gateway.log().count("removed or replaced while it was open") == 1
    # At least three sessions and two calls; when the rest of it was written is another matter.
    assert is_healthy(gateway) and lost_rows(gateway) >= 5
    assert legacy.text("echo", text="5") == "5"
    rows.expect_session(gateway.db, legacy.session, status="active")
    rows.expect_session(gateway.db, first.session, status="active", era="modern")
    rows.expect_session(gateway.db, ended.session, disconnect_reason="client_disconnect")

    gateway.kill()
    gateway.restart()
    assert "Recovered 2 active sessions" in gateway.log()
    answer = legacy.call("echo", {"text": "6"})
    assert (answer.text, answer.session) == ("6", legacy.session)
    answer = modern.call("echo", {"text": "7"}, {"cookie": first.cookie})
    assert (answer.text, answer.session) == ("7", first.session)
    assert ended.call("echo", {"text": "8"}).status == 404


@pytest.mark.parametrize("parts", [["-wal"], ["-shm"], ["-wal", "-shm"]])
def test_a_removed_log_costs_nothing(start_fixture, start_archon, parts):
    gateway = start_archon(upstream=start_fixture())
    client = LegacyClient.connect(gateway.url)
    assert client.text("echo", text="1") == "1"
    rows.expect(gateway.db, [(1,)], REQUESTS)
    for part in parts:
        os.unlink(f"{gateway.db}{part}")

    assert client.text("echo", text="2") == "2"
    wait_for("it is there again", lambda: all(Path(f"{gateway.db}{part}").exists() for part in parts))
    assert "write-ahead log" in gateway.log()
    wait_for("all is well", lambda: is_healthy(gateway))
    assert client.text("echo", text="3") == "3"
    rows.expect(gateway.db, [(3,)], REQUESTS)
    assert lost_rows(gateway) == 0
    gateway.kill()
    gateway.restart()
    assert client.text("echo", text="4") == "4"
    rows.expect(gateway.db, [(4,)], REQUESTS)
    with contextlib.closing(sqlite3.connect(gateway.db)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_database_without_its_log_left_behind_is_begun_anew(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    client = LegacyClient.connect(gateway.url)
    os.unlink(gateway.db)
    wait_for("it is begun anew", lambda: BEGUN_ANEW in gateway.log())
    rows.expect_session(gateway.db, client.session, status="active")
    assert client.text("echo", text="1") == "1"
    rows.expect(gateway.db, [(1,)], REQUESTS)


def test_a_copy_that_was_put_in_its_place_is_used(start_fixture, start_archon, tmp_path):
    gateway = start_archon(upstream=start_fixture())
    old = LegacyClient.connect(gateway.url, name="old")
    assert old.text("echo", text="1") == "1"
    rows.expect(gateway.db, [(1,)], REQUESTS)
    copy = tmp_path / "copy.db"
    with contextlib.closing(sqlite3.connect(gateway.db)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    new = LegacyClient.connect(gateway.url, name="new")
    assert new.text("echo", text="2") == "2"
    rows.expect(gateway.db, [(2,)], REQUESTS)

    copy.rename(gateway.db)
    wait_for("it is used", lambda: BEGUN_ANEW in gateway.log())
    assert new.text("echo", text="3") == "3"
    rows.expect(gateway.db, [(2,)], REQUESTS)
    rows.expect_session(gateway.db, old.session, client_type="old", status="active")
    rows.expect_session(gateway.db, new.session, client_type="new", status="active")


@contextlib.contextmanager
def immutable(folder: Path) -> Iterator[None]:
    """Nothing can be made in this folder."""
    if subprocess.run(["chattr", "+i", folder], capture_output=True, check=False).returncode != 0:
        pytest.skip("folders cannot be made immutable here")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", folder], check=True)


def test_where_it_cannot_be_begun_anew_calls_go_on(start_fixture, start_archon, tmp_path):
    folder = tmp_path / "data"
    gateway = start_archon(upstream=start_fixture(), db=folder / "archon.db")
    client = LegacyClient.connect(gateway.url)
    remove(gateway.db)
    with immutable(folder):
        wait_for("the loss is noticed", lambda: "calls go on" in gateway.log())
        assert not is_healthy(gateway)
        assert client.text("echo", text="1") == "1"
        late = LegacyClient.connect(gateway.url)
        assert late.text("echo", text="2") == "2"
    wait_for("it is begun anew", lambda: BEGUN_ANEW in gateway.log())
    wait_for("all is well", lambda: is_healthy(gateway))
    rows.expect(gateway.db, [(2,)], REQUESTS)
    rows.expect_session(gateway.db, late.session, status="active")


def test_the_demo_server_goes_on_in_a_new_file(start_archon):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url)
    assert "projects" in client.text("find_projects")
    remove(gateway.db)
    wait_for("it is begun anew", lambda: BEGUN_ANEW in gateway.log())
    assert client.call("manage_project", {"action": "create", "title": "Atlas"}).result
    assert "Atlas" in client.text("find_projects")
