"""The store goes away in mid-run: calls go on, health says so, and what waited is written later."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rows
from harness import Archon, wait_for
from losses import files_at_their_limit, full_disk, locked, read_only, without_tables
from wire import JSON_HEADERS, LegacyClient, ModernClient, encoded, get_json, initialize, send

pytestmark = pytest.mark.timeout(180)

REQUESTS = "SELECT count(*) FROM archon_mcp_requests WHERE tool_name = 'echo'"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that is soon full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield disk
    # The gateway may still have files open there.
    subprocess.run(["umount", "--lazy", disk], check=True)


def healths(gateway: Archon) -> tuple[int, str, int, str]:
    """What both ports say: status and word of the API's, and of the MCP port's."""
    api_status, api = get_json(gateway.api_url + "/health")
    mcp_status, mcp = get_json(gateway.url.removesuffix("/mcp") + "/health")
    return api_status, api["status"], mcp_status, mcp["status"]


# A look at the file is a matter of a second; a lock is waited for five.
NOTICED_S = 10

HEALTHY = (200, "healthy", 200, "healthy")
DEGRADED = (503, "unhealthy", 200, "degraded")


def store_health(gateway: Archon) -> dict[str, Any]:
    """What the MCP port says of the store."""
    return get_json(gateway.url.removesuffix("/mcp") + "/health")[1]["health"]["store"]


def sleeping(client: LegacyClient, gateway: Archon) -> threading.Thread:
    """A call under way that is in the ledger."""
    call = threading.Thread(target=client.text, args=("sleep",), kwargs={"ms": 4_000})
    call.start()
    rows.expect(gateway.db, [("sleep",)], "SELECT tool_name FROM archon_mcp_calls")
    return call


@pytest.mark.parametrize("durability", ["relaxed", "strict"])
@pytest.mark.parametrize(
    "loss", [locked, without_tables, full_disk, files_at_their_limit, read_only]
)
def test_calls_go_on_without_the_store_and_are_written_later(
    request, start_fixture, start_archon, config, loss, durability
):
    db = request.getfixturevalue("small_disk") / "archon.db" if loss is full_disk else None
    arguments = config(store={"durability": durability})
    gateway = start_archon(*arguments, upstream=start_fixture(), db=db)
    legacy = LegacyClient.connect(gateway.url)
    modern = ModernClient(gateway.url)
    cookie = {"cookie": modern.call("count", {"key": "x"}).cookie}
    assert healths(gateway) == HEALTHY
    call = sleeping(legacy, gateway)

    with loss(gateway):
        # Whoever comes before the loss is known waits for the store, but not long.
        assert legacy.text("echo", text="1") == "1"
        wait_for("the loss is noticed", lambda: healths(gateway) == DEGRADED)
        reason = get_json(gateway.api_url + "/health")[1]["reason"]
        assert reason and "store" in reason
        call.join()

        # The store is away for as long as this block: nobody waits for it.
        assert legacy.text("echo", text="2") == "2"
        assert modern.call("echo", {"text": "3"}, cookie).text == "3"
        # Clients that come meanwhile are served as well.
        late = LegacyClient.connect(gateway.url, name="late")
        assert late.text("echo", text="4") == "4"
        later = ModernClient(gateway.url, name="later").call("echo", {"text": "5"})
        assert later.text == "5"
        status, api = get_json(gateway.api_url + "/health")
        assert status == 503 and api["queued_rows"] > 0 and api["dropped_rows"] == 0
        assert store_health(gateway)["queued_rows"] > 0
        assert gateway.log().count("could not write to the session store") == 1

    wait_for("the store is back", lambda: healths(gateway) == HEALTHY)
    assert "the session store is back; 0 rows were dropped" in gateway.log()
    rows.expect(gateway.db, [(5,)], REQUESTS)
    rows.expect_session(gateway.db, late.session, client_type="late", status="active")
    rows.expect_session(gateway.db, later.session, client_type="later", status="active")
    rows.expect_requests(gateway.db, [("initialize",), ("tools/call",)], "method", late.session)
    rows.expect(gateway.db, [], "SELECT * FROM archon_mcp_calls")
    assert late.text("echo", text="6") == "6"
    rows.expect(gateway.db, [(6,)], REQUESTS)
    gateway.kill()
    gateway.restart()
    assert late.text("echo", text="7") == "7"


def test_a_handle_is_not_called_unknown_while_nobody_can_look_it_up(start_archon):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url)
    unheard = {"mcp-session-id": "00000000-0000-4000-8000-000000000000"}
    assert client.call("find_projects", headers=unheard).status == 404

    with without_tables(gateway):
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
    with without_tables(gateway):
        assert client.text("echo", text="x") == "x"
        wait_for("the loss is noticed", lambda: healths(gateway) == DEGRADED)
        assert client.end().status == 200
        assert client.call("echo", {"text": "x"}).status == 404
    rows.expect_session(gateway.db, client.session, disconnect_reason="client_disconnect")


def test_a_database_that_was_spoilt_is_noticed(start_fixture, start_archon, tmp_path):
    gateway = start_archon(upstream=start_fixture())
    client = LegacyClient.connect(gateway.url)
    for suffix in ("", "-wal"):
        with open(f"{gateway.db}{suffix}", "r+b") as file:
            file.write(b"\xff" * os.fstat(file.fileno()).st_size)

    assert client.text("echo", text="x") == "x"
    wait_for("the loss is noticed", lambda: healths(gateway) == DEGRADED, NOTICED_S)
    assert ".recover" in get_json(gateway.api_url + "/health")[1]["reason"]
    wait_for("the way out is in the log", lambda: ".recover" in gateway.log())
    assert client.text("echo", text="y") == "y"
    assert LegacyClient.connect(gateway.url).text("echo", text="z") == "z"
    assert gateway.log().count(".recover") == 1
    # The other way out needs no restart.
    gateway.db.rename(tmp_path / "spoilt.db")
    wait_for("it is begun anew", lambda: healths(gateway) == HEALTHY)
    rows.expect_session(gateway.db, client.session, status="active")


def test_a_gateway_without_a_file_keeps_sessions_while_it_runs(start_archon):
    gateway = start_archon(db=Path("memory"))
    client = LegacyClient.connect(gateway.url)
    assert client.text("find_projects")
    assert healths(gateway) == HEALTHY
    assert not list(gateway.directory.glob("memory*"))
    gateway.restart()
    assert client.call("find_projects").status == 404


def test_a_first_handshake_waits_for_the_store_only_so_long(start_archon):
    gateway = start_archon()
    with locked(gateway):
        answer = send(gateway.url, "POST", encoded(initialize()), JSON_HEADERS)
        assert answer.status == 200 and answer.session and answer.handle
    rows.expect_session(gateway.db, answer.session, status="active")
