"""`archon export` and `archon import`, between gateways on both databases."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import rows
from command import archon, at
from harness import Archon, archon_bin, wait_for
from wire import LegacyClient

pytestmark = pytest.mark.timeout(240)

SESSIONS, REQUESTS = "archon_mcp_sessions", "archon_mcp_requests"


def use(gateway: Archon, calls: int) -> None:
    """Two clients come, call, and one of them leaves."""
    for leaves in (True, False):
        client = LegacyClient.connect(gateway.url)
        for _ in range(calls):
            client.text("find_projects", query="authentication")
        client.call("no_such_tool", {})
        if leaves:
            client.end()


def exported(gateway: Archon, folder: Path, *args: str) -> list[str]:
    """The lines after the head, which says when it was."""
    file = folder / "export.jsonl"
    archon("export", "--file", str(file), *args, cwd=folder, env=at(gateway))
    assert not file.with_name("export.jsonl.part").exists()
    head, *lines = file.read_text().splitlines()
    assert json.loads(head)["archon_export"]["format"] == 1
    return lines


def kinds(lines: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in lines:
        [kind] = json.loads(line)
        found[kind] = found.get(kind, 0) + 1
    return found


def imported(gateway: Archon, folder: Path, code: int = 0) -> str:
    done = archon("import", "export.jsonl", cwd=folder, env=at(gateway), code=code)
    return done.stdout if code == 0 else done.stderr


@pytest.fixture
def filled(start_archon: Callable[..., Archon]) -> Archon:
    """A gateway whose rows are written."""
    gateway = start_archon()
    use(gateway, 10)
    rows.expect(gateway.db, [(24,)], f"SELECT count(*) FROM {REQUESTS}")
    ended = f"SELECT count(*) FROM {SESSIONS} WHERE status = 'disconnected'"
    rows.expect(gateway.db, [(1,)], ended)
    return gateway


def test_what_goes_in_comes_out_the_same_over_both_databases(filled, start_archon, postgres, tmp_path):
    lines = exported(filled, tmp_path)
    assert kinds(lines) == {"price": 8, "session": 2, "request": 24, "end": 1}
    other = start_archon(env={"DATABASE_URL": postgres.url})
    assert "imported 2 sessions (0 were there), 24 requests (0 were there)" in imported(other, tmp_path)
    assert "imported 0 sessions (2 were there), 0 requests (24 were there)" in imported(other, tmp_path)
    assert exported(other, tmp_path) == lines
    third = start_archon()
    assert "imported 2 sessions" in imported(third, tmp_path)
    assert exported(third, tmp_path) == lines
    assert "imported 0 sessions" in imported(filled, tmp_path)
    # Its own active session may have been touched since.
    assert kinds(exported(filled, tmp_path)) == kinds(lines)
    sums = f"SELECT sum(total_requests), sum(total_errors) FROM {SESSIONS}"
    assert rows.query(third.db, sums) == rows.query(filled.db, sums) == [(24, 2)]
    usage = "SELECT * FROM archon_mcp_usage ORDER BY 1, 2, 3"
    assert rows.query(third.db, usage) == rows.query(filled.db, usage)


def test_a_part_of_the_rows_can_be_exported(filled, tmp_path):
    [(session,)] = rows.query(filled.db, f"SELECT session_id FROM {SESSIONS} WHERE status = 'active'")
    lines = exported(filled, tmp_path, "--session", session)
    assert kinds(lines) == {"price": 8, "session": 1, "request": 12, "end": 1}
    assert kinds(exported(filled, tmp_path, "--since", "2099-01-01")) == {"price": 8, "end": 1}
    wrong = ["export", "--since", "yesterday"]
    assert "since" in archon(*wrong, cwd=tmp_path, env=at(filled), code=1).stderr
    printed = archon("export", cwd=tmp_path, env=at(filled)).stdout
    assert kinds(printed.splitlines()[1:])["request"] == 24


def test_bad_files_are_refused_by_their_line_and_a_good_one_completes_them(filled, start_archon, tmp_path):
    whole = exported(filled, tmp_path)
    file = tmp_path / "export.jsonl"
    good = file.read_text()
    other = start_archon()

    file.write_text(good[: len(good) // 2])
    assert "line " in imported(other, tmp_path, code=1)
    lines = good.splitlines(keepends=True)
    file.write_text("".join(lines[:-1]))
    assert f"line {len(lines)} is missing: the file is torn" in imported(other, tmp_path, code=1)
    file.write_text("".join([*lines[:12], lines[12].replace('"id":', '"no":'), *lines[13:]]))
    assert "line 13 cannot be read" in imported(other, tmp_path, code=1)
    file.write_text("".join([*lines[:12], *lines[13:]]))
    assert "the end counts more" in imported(other, tmp_path, code=1)
    file.write_text('{"session": {}}\n')
    assert "line 1 " in imported(other, tmp_path, code=1)
    file.write_text(lines[0].replace('"format":1', '"format":99'))
    assert "format 99" in imported(other, tmp_path, code=1)
    file.write_text(lines[0] + "x" * 2_000_000)
    assert "line 2 is longer" in imported(other, tmp_path, code=1)
    assert "no such file" in archon("import", "nowhere", cwd=tmp_path, env=at(other), code=1).stderr.lower()

    file.write_text(good)
    imported(other, tmp_path)
    assert exported(other, tmp_path) == whole


@pytest.mark.parametrize("who", ["gateway", "client"])
def test_an_import_that_a_crash_ended_is_completed_by_the_next(start_archon, tmp_path, who):
    file = tmp_path / "export.jsonl"
    many(file, 20_000)
    gateway = start_archon()
    command = [str(archon_bin()), "import", str(file), "--api", gateway.api_url]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    count = f"SELECT count(*) FROM {REQUESTS}"
    wait_for("a part of it", lambda: rows.query(gateway.db, count)[0][0] > 0)
    if who == "gateway":
        gateway.kill()
        assert running.wait(60) == 1
        [(some,)] = rows.query(gateway.db, count)
        assert some < 20_000, "the crash came in its midst"
        gateway.restart()
    else:
        running.kill()
        running.wait(60)
        # What has arrived may be taken in still; then the next one has its turn.
        again = ["import", "export.jsonl"]
        environment = {**os.environ, **at(gateway)}
        command = [str(archon_bin()), *again]
        wait_for(
            "its turn",
            lambda: subprocess.run(command, cwd=tmp_path, env=environment).returncode == 0,
        )
        assert "could not write" not in gateway.log()
    imported(gateway, tmp_path)
    assert rows.query(gateway.db, count) == [(20_000,)]
    assert "0 requests (20000 were there)" in imported(gateway, tmp_path)
    sums = "SELECT sum(requests) FROM archon_mcp_usage WHERE dimension = 'all'"
    assert rows.query(gateway.db, sums) == [(20_000,)]
    assert rows.query(gateway.db, f"SELECT total_requests FROM {SESSIONS}") == [(20_000,)]
    orphans = f"SELECT count(*) FROM {REQUESTS} WHERE session_id NOT IN (SELECT session_id FROM {SESSIONS})"
    assert rows.query(gateway.db, orphans) == [(0,)]


def test_sessions_of_older_systems_come_in_and_silent_ones_are_over(start_archon, tmp_path):
    old = [
        {"status": "expired", "disconnect_reason": "old words"},
        {"status": "active"},
    ]
    lines = [{"archon_export": {"format": 1}}]
    for number, about in enumerate(old):
        session = {
            "session_id": f"3f2b8c1e-0000-4000-8000-00000000000{number}",
            "client_type": "Cursor",
            "connected_at": "2026-01-11T00:00:00Z",
            "last_activity": "2026-01-11T00:01:00Z",
            "a_field_of_tomorrow": 1,
        }
        lines.append({"session": {**session, **about}})
    lines.append({"end": {"prices": 0, "sessions": 2, "requests": 0}})
    (tmp_path / "export.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    gateway = start_archon()
    imported(gateway, tmp_path)
    found = rows.query(gateway.db, f"SELECT status, disconnect_reason FROM {SESSIONS} ORDER BY session_id")
    assert found == [("expired", "old words"), ("disconnected", "timeout_no_activity")]
    listed = json.loads(archon("sessions", "list", "--json", cwd=tmp_path, env=at(gateway)).stdout)
    assert (listed["total"], listed["active_sessions"]) == (2, 0)


def test_sessions_in_memory_only_cannot_be_exported(start_archon, tmp_path):
    gateway = start_archon(db="memory")
    refused = archon("export", cwd=tmp_path, env=at(gateway), code=1)
    assert "in memory only" in refused.stderr and refused.stdout == ""


def many(file: Path, requests: int) -> None:
    """Writes an export of one session with many requests."""
    session = "3f2b8c1e-0000-4000-8000-000000000001"
    times = {"connected_at": "2026-01-11T00:00:00Z", "last_activity": "2026-01-11T00:01:00Z"}
    about = {"session_id": session, **times, "status": "disconnected"}
    with file.open("w") as out:
        for line in ({"archon_export": {"format": 1}}, {"session": about}):
            out.write(json.dumps(line) + "\n")
        for number in range(1, requests + 1):
            row = {"id": number, "session_id": session, "method": "tools/call", "tool_name": "x"}
            row |= {"timestamp": "2026-01-11T00:00:30Z", "duration_ms": 1, "status": "success"}
            out.write(json.dumps({"request": row}) + "\n")
        out.write(json.dumps({"end": {"prices": 0, "sessions": 1, "requests": requests}}) + "\n")
