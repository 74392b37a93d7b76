"""The gateway starts its program again and hands over, and its clients notice nothing."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import rows
from clients import connect
from command import archon
from harness import Archon, archon_bin, wait_for
from wire import Answer, LegacyClient, ModernClient, get_json

pytestmark = pytest.mark.timeout(300)

CALLS = "SELECT count(*) FROM archon_mcp_requests WHERE tool_name = 'echo'"
SESSIONS = "SELECT session_id, client_type, status, era FROM archon_mcp_sessions ORDER BY 1"

# An idle connection is given ten seconds, and a loaded machine more.
GONE_S = 60


def serving(gateway: Archon) -> int:
    """The process that serves, by the pid file."""
    pid_file = Path(f"{gateway.db}.pid")
    # It says where it is, and then who.
    wait_for("it has written its pid", pid_file.exists)
    return int(pid_file.read_text())


def is_running(pid: int) -> bool:
    """Whether a process is there and not merely waiting to be buried."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def upgrade(*args: Any) -> subprocess.CompletedProcess[str]:
    """Runs `archon upgrade` to its end."""
    command = [str(archon_bin()), "upgrade", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def upgraded(gateway: Archon) -> tuple[int, int]:
    """Upgrades a gateway, and returns the old process and the new one."""
    old = serving(gateway)
    run = upgrade("--db", gateway.db)
    assert run.returncode == 0, run.stderr
    new = serving(gateway)
    assert run.stdout == f"upgraded: process {new} has taken over from {old}\n"
    assert new != old
    return old, new


def stop(gateway: Archon) -> None:
    """Stops the process that serves, which may not be the one that the test started."""
    pid = serving(gateway)
    os.kill(pid, signal.SIGTERM)
    gone(pid, gateway)


def gone(pid: int, gateway: Archon) -> None:
    """Waits until a process is gone; the first one is the test's own to bury."""
    wait_for(
        f"process {pid} is gone",
        lambda: not (gateway.is_running if pid == gateway.pid else is_running(pid)),
        GONE_S,
    )


class Kept:
    """A connection that stays open from one request to the next, and never asks twice."""

    def __init__(self, port: int):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def send(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Sends a request; if the last answer closed the connection, on a new one."""
        self.connection.request("POST", "/mcp", body, headers)
        answer = self.connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())

    def close(self) -> None:
        """Closes it."""
        self.connection.close()


def echo(text: str) -> dict[str, Any]:
    """The params of a call."""
    return {"name": "echo", "arguments": {"text": text}}


class Load:
    """Clients of all kinds, which call until they are told to stop and count what was answered."""

    def __init__(self, gateway: Archon):
        self.gateway = gateway
        self.is_over = threading.Event()

    def legacy(self, name: str, is_kept: bool) -> int:
        """A plain client of the legacy era."""
        client = LegacyClient.connect(self.gateway.url, name=name)
        kept = Kept(self.gateway.port)
        for count, text in self._texts(name):
            body, headers = client.body("tools/call", echo(text)), client.headers()
            answer = kept.send(body, headers)
            assert (answer.text, answer.session) == (text, client.session)
            if not is_kept:
                kept.close()
        kept.close()
        return count

    def modern(self, name: str, is_kept: bool) -> int:
        """A plain client of the modern era."""
        client = ModernClient(self.gateway.url, name=name)
        kept, more = Kept(self.gateway.port), {}
        for count, text in self._texts(name):
            headers = client.headers("tools/call", "echo", more)
            answer = kept.send(client.body("tools/call", echo(text)), headers)
            assert answer.text == text
            more = {"cookie": answer.cookie} if answer.cookie else more
            if not is_kept:
                kept.close()
        kept.close()
        return count

    def library(self, mode: str) -> int:
        """Python's client library, three calls at a time."""

        async def work() -> int:
            async with connect("mcp", self.gateway.url, mode, name=f"library {mode}") as client:
                # Alone, since a client whose first calls cross is taken for two.
                assert await client.text("echo", text=mode) == mode
                for count, text in self._texts(mode, step=3):
                    calls = [client.text("echo", text=f"{text} {n}") for n in range(3)]
                    assert await asyncio.gather(*calls) == [f"{text} {n}" for n in range(3)]
            return count + 1

        return asyncio.run(work())

    def _texts(self, name: str, step: int = 1) -> Iterator[tuple[int, str]]:
        count = 0
        while not self.is_over.is_set():
            count += step
            yield count, f"{name}: {count}"


def test_three_upgrades_under_load_fail_no_call(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    load = Load(gateway)
    work = [
        (kind, f"{kind.__name__} {n} {is_kept}", is_kept)
        for kind in (load.legacy, load.modern)
        for is_kept in (True, False)
        for n in range(2)
    ]
    work += [(load.library, "legacy"), (load.library, "2026-07-28")]
    replaced = []
    with ThreadPoolExecutor(len(work)) as pool:
        working = [pool.submit(*item) for item in work]
        try:
            rows.expect(gateway.db, [(len(work),)], "SELECT count(*) FROM archon_mcp_sessions")
            for _ in range(3):
                rows.expect_more(gateway.db, CALLS, 100)
                replaced.append(upgraded(gateway)[0])
            rows.expect_more(gateway.db, CALLS, 100)
        finally:
            load.is_over.set()
        # What went wrong for a client comes out here.
        calls = sum(client.result() for client in working)

    rows.expect(gateway.db, [(calls,)], CALLS)
    rows.expect(gateway.db, [("success",)], "SELECT DISTINCT status FROM archon_mcp_requests")
    rows.expect(gateway.db, [(len(work),)], "SELECT count(*) FROM archon_mcp_sessions")
    for pid in replaced:
        gone(pid, gateway)
    stop(gateway)
    rows.expect(gateway.db, [(calls,)], CALLS)
    assert "could not write" not in gateway.log()
    assert not Path(f"{gateway.db}.pid").exists()
    assert not Path(f"{gateway.db}.upgrade").exists()


def test_handles_go_on_with_the_successor(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    clients = [LegacyClient.connect(gateway.url, name=f"client {n}") for n in range(3)]
    before = rows.query(gateway.db, SESSIONS)

    old, new = upgraded(gateway)

    assert f"taking over from process {old}" in gateway.log()
    assert "Recovered 3 active sessions" in gateway.log()
    for client in clients:
        answer = client.call("echo", {"text": "hello"})
        assert (answer.text, answer.session) == ("hello", client.session)
    assert rows.query(gateway.db, SESSIONS) == before
    gone(old, gateway)
    assert is_running(new)


def test_a_connection_that_was_idle_is_answered_once_more(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    client = LegacyClient.connect(gateway.url)
    connections = [Kept(gateway.port) for _ in range(20)]
    for kept in connections:
        answer = kept.send(client.body("tools/call", echo("before")), client.headers())
        assert "close" not in (answer.headers["connection"] or "")
    assert sum(kept.connection.sock is not None for kept in connections) == 20

    upgraded(gateway)

    for kept in connections:
        answer = kept.send(client.body("tools/call", echo("after")), client.headers())
        assert (answer.text, answer.headers["connection"]) == ("after", "close")
        # And now from the new process, which keeps its connections.
        answer = kept.send(client.body("tools/call", echo("again")), client.headers())
        assert answer.text == "again" and "close" not in (answer.headers["connection"] or "")
        kept.close()
    rows.expect(gateway.db, [(60,)], CALLS)


def test_an_orderly_stop_answers_what_was_sent(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    clients = [LegacyClient.connect(gateway.url) for _ in range(8)]
    before_stop = threading.Barrier(len(clients) + 1)

    def work(client: LegacyClient) -> int:
        kept = Kept(gateway.port)
        count, answer = 0, None
        while answer is None or answer.headers["connection"] != "close":
            # Nothing but the answer that says so ends a connection.
            answer = kept.send(client.body("tools/call", echo(str(count))), client.headers())
            assert answer.text == str(count)
            count += 1
            if count == 10:
                before_stop.wait()
        kept.close()
        return count

    with ThreadPoolExecutor(len(clients)) as pool:
        working = [pool.submit(work, client) for client in clients]
        before_stop.wait()
        assert gateway.stop() == 0
        calls = sum(client.result() for client in working)
    assert rows.query(gateway.db, CALLS) == [(calls,)]


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_call_in_flight_is_answered_by_the_old_process(start_fixture, start_archon, era):
    gateway = start_archon(upstream=start_fixture())
    watcher = LegacyClient.connect(gateway.url)
    client = LegacyClient.connect(gateway.url) if era == "legacy" else ModernClient(gateway.url)
    with ThreadPoolExecutor(1) as pool:
        slept = pool.submit(client.call, "sleep", {"ms": 4_000, "key": "nap"})
        wait_for(
            "the call has begun", lambda: watcher.text("count", key="nap.started", add=0) == "1"
        )
        old, _ = upgraded(gateway)
        assert watcher.text("count", key="nap.finished", add=0) == "0"
        assert is_running(old)
        assert slept.result().text == "slept 4000 ms"
    gone(old, gateway)
    rows.expect(
        gateway.db,
        [("success", 1)],
        "SELECT status, count(*) FROM archon_mcp_requests WHERE tool_name = 'sleep' GROUP BY 1",
    )


def test_a_call_in_flight_over_two_upgrades_is_no_crash(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    watcher = LegacyClient.connect(gateway.url)
    client = LegacyClient.connect(gateway.url)
    with ThreadPoolExecutor(1) as pool:
        slept = pool.submit(client.call, "sleep", {"ms": 6_000, "key": "nap"})
        wait_for(
            "the call has begun", lambda: watcher.text("count", key="nap.started", add=0) == "1"
        )
        for _ in range(2):
            upgraded(gateway)
        assert slept.result().text == "slept 6000 ms"
    assert "in flight at a crash" not in gateway.log()
    status = "SELECT status FROM archon_mcp_requests WHERE tool_name = 'sleep'"
    rows.expect(gateway.db, [("success",)], status)


def test_a_process_that_drains_hurries_when_told_to_stop(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    watcher = LegacyClient.connect(gateway.url)
    client = LegacyClient.connect(gateway.url)
    with ThreadPoolExecutor(1) as pool:
        slept = pool.submit(client.call, "sleep", {"ms": 120_000, "key": "nap"})
        wait_for(
            "the call has begun", lambda: watcher.text("count", key="nap.started", add=0) == "1"
        )
        old, new = upgraded(gateway)
        os.kill(old, signal.SIGTERM)
        # Ten seconds for the call, ten for what nobody waits for any more; the call would take 120.
        gone(old, gateway)
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            slept.result()
    assert is_running(new)
    assert watcher.text("echo", text="hello") == "hello"


@pytest.fixture
def own_binary(tmp_path, monkeypatch) -> Path:
    """A copy of the program, under a name that leads to it, which a test may replace."""
    shutil.copy(archon_bin(), tmp_path / "archon-1")
    (tmp_path / "archon").symlink_to("archon-1")
    # Not resolved by `archon_bin`, which would lose the name.
    monkeypatch.setattr(Archon, "program", tmp_path / "archon", raising=False)
    monkeypatch.setattr(Archon, "command", _by_name(Archon.command))
    return tmp_path / "archon"


def _by_name(command: Any) -> Any:
    return lambda gateway: [str(gateway.program), *command(gateway)[1:]]


def install(binary: Path, script: str) -> None:
    """Puts a program in the place of the one that runs, as an installation does."""
    new = binary.with_name("archon-2")
    new.write_text(f"#!/bin/sh\n{script}\n")
    new.chmod(0o755)
    link = binary.with_name("link")
    link.symlink_to(new.name)
    link.replace(binary)
    binary.with_name("archon-1").unlink()


def test_the_file_that_is_there_now_is_started(start_archon, own_binary):
    gateway = start_archon()
    install(own_binary, f'echo "this is the new one: $*"; exec {archon_bin()} "$@"')
    upgraded(gateway)
    assert "this is the new one: serve --mcp-port 0" in gateway.log()
    assert get_json(f"http://127.0.0.1:{gateway.port}/health")[0] == 200


def still_serves(gateway: Archon, client: LegacyClient, pid: int) -> None:
    """Nothing has happened."""
    assert serving(gateway) == pid and is_running(pid)
    assert client.call("find_projects").session == client.session
    assert get_json(f"{gateway.api_url}/health")[0] == 200


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 3", "the new process ended before it was ready: exit status: 3"),
        ("kill -9 $$", "the new process ended before it was ready: signal: 9"),
        ("exec 5>&-; exec sleep 300", "the new process closed the pipe"),
    ],
)
def test_a_new_program_that_does_not_start_changes_nothing(
    start_archon, own_binary, script, why
):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url)
    install(own_binary, script)
    for _ in range(2):
        run = upgrade("--db", gateway.db)
        assert run.returncode == 1
        assert f"the upgrade failed, process {gateway.pid} goes on: {why}" in run.stderr
        assert f"upgrade failed, this process goes on: {why}" in gateway.log()
        still_serves(gateway, client, gateway.pid)
    assert not Path(f"{gateway.db}.upgrade").exists()


def test_a_program_that_is_gone_changes_nothing(start_archon, own_binary):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url)
    own_binary.unlink()
    run = upgrade("--db", gateway.db)
    assert run.returncode == 1 and f"could not start {own_binary}" in run.stderr
    still_serves(gateway, client, gateway.pid)


def test_a_configuration_that_became_bad_changes_nothing(start_archon, config):
    arguments = config(sessions={"idle_timeout_seconds": 300})
    gateway = start_archon(*arguments)
    client = LegacyClient.connect(gateway.url)
    config(sessions={"idle_timeout": 300})

    # By the signal alone, since `archon upgrade --config` would find the mistake first.
    os.kill(gateway.pid, signal.SIGUSR2)
    wait_for("the upgrade failed", lambda: "upgrade failed, this process goes" in gateway.log())
    assert "unknown field `idle_timeout`" in gateway.log()
    still_serves(gateway, client, gateway.pid)
    assert "unknown field" in upgrade("--db", gateway.db, *arguments).stderr

    config(sessions={"idle_timeout_seconds": 200})
    upgraded(gateway)
    assert client.call("find_projects").session == client.session


def test_a_closed_terminal_ends_nothing(start_archon):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url)
    os.kill(gateway.pid, signal.SIGHUP)
    wait_for("SIGHUP is ignored", lambda: "SIGHUP ignored" in gateway.log())
    assert client.call("find_projects").status == 200


def test_one_upgrade_at_a_time_and_a_stop_ends_it(start_archon, own_binary, tmp_path):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url)
    install(own_binary, f"echo $$ > {tmp_path}/hangs; exec sleep 300")
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(upgrade, "--db", gateway.db)
        hanging = int(
            wait_for(
                "the new process hangs",
                lambda: (tmp_path / "hangs").exists() and (tmp_path / "hangs").read_text(),
            )
        )
        os.kill(gateway.pid, signal.SIGUSR2)
        wait_for("SIGUSR2 is ignored", lambda: "SIGUSR2 ignored" in gateway.log())
        still_serves(gateway, client, gateway.pid)
        assert gateway.stop() == 0
        assert run.result().returncode == 1
        assert "told to stop meanwhile" in run.result().stderr
    assert not is_running(hanging)
    assert not Path(f"{gateway.db}.pid").exists()


def test_a_successor_serves_though_its_predecessor_died(start_archon, own_binary, tmp_path):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url)
    begun, go = tmp_path / "begun", tmp_path / "go"
    wait = f"touch {begun}; while [ ! -e {go} ]; do sleep 0.05; done"
    install(own_binary, f'{wait}; exec {archon_bin()} "$@"')
    os.kill(gateway.pid, signal.SIGUSR2)
    wait_for("the new process has begun", begun.exists)
    gateway.kill()
    go.touch()
    # Its socket was there all the time, so that nobody is refused.
    assert client.call("find_projects").session == client.session
    assert "the predecessor is gone already" in gateway.log()
    assert serving(gateway) != gateway.pid


def test_what_cannot_be_upgraded_is_said(start_archon, tmp_path):
    run = upgrade("--db", tmp_path / "none.db")
    assert run.returncode == 1 and "is archon running?" in run.stderr

    with subprocess.Popen(["sleep", "300"]) as other:
        (tmp_path / "none.db.pid").write_text(f"{other.pid}\n")
        run = upgrade("--db", tmp_path / "none.db")
        assert run.returncode == 1 and "does not listen for SIGUSR2" in run.stderr
        assert other.poll() is None
        other.kill()
    run = upgrade("--db", tmp_path / "none.db")
    assert run.returncode == 1 and f"there is no process {other.pid}" in run.stderr

    run = upgrade("--db", "memory")
    assert run.returncode == 1 and "in memory only" in run.stderr

    gateway = start_archon(db=Path("memory"))
    os.kill(gateway.pid, signal.SIGUSR2)
    wait_for("it is refused", lambda: "upgrade refused" in gateway.log())
    assert gateway.is_running


def test_a_process_can_be_named(start_archon):
    gateway = start_archon()
    run = upgrade("--pid", gateway.pid, "--db", gateway.db)
    assert run.returncode == 0, run.stderr
    assert serving(gateway) != gateway.pid


def test_a_named_process_says_beside_its_own_database_what_came_of_it(
    start_fixture, start_archon, postgres, tmp_path
):
    gateway = start_archon(upstream=start_fixture(), db=postgres.url)
    client = LegacyClient.connect(gateway.url)
    # Elsewhere, and without a word on the database.
    (tmp_path / "elsewhere").mkdir()
    command = [str(archon_bin()), "upgrade", "--pid", str(gateway.pid)]
    run = subprocess.run(
        command, cwd=tmp_path / "elsewhere", capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    new = int((gateway.directory / "data/archon.pid").read_text())
    assert run.stdout == f"upgraded: process {new} has taken over from {gateway.pid}\n"
    assert client.call("echo", {"text": "hello"}).session == client.session


def test_a_process_without_files_cannot_be_named(start_archon):
    gateway = start_archon(db="memory")
    run = upgrade("--pid", gateway.pid)
    assert run.returncode == 1 and "has no files beside a database" in run.stderr
    assert gateway.is_running


def test_the_lease_goes_from_process_to_process(start_fixture, start_archon):
    upstream = start_fixture()
    gateway = start_archon(upstream=upstream)
    for _ in range(2):
        _, new = upgraded(gateway)
        with pytest.raises(RuntimeError, match=f"in use by process {new} on "):
            start_archon(upstream=upstream, db=gateway.db)
    # One that was replaced and still has a call does not have it any more.
    client = LegacyClient.connect(gateway.url)
    watcher = LegacyClient.connect(gateway.url)
    with ThreadPoolExecutor(1) as pool:
        slept = pool.submit(client.call, "sleep", {"ms": 8_000, "key": "nap"})
        wait_for(
            "the call has begun", lambda: watcher.text("count", key="nap.started", add=0) == "1"
        )
        old, new = upgraded(gateway)
        os.kill(new, signal.SIGKILL)
        gone(new, gateway)
        assert is_running(old)
        assert start_archon(upstream=upstream, db=gateway.db).is_running
        assert slept.result().text == "slept 8000 ms"


def test_clients_at_the_default_path_stay_at_their_server_when_the_default_changes(
    start_fixture, start_archon, config, tmp_path
):
    zebra, ant = start_fixture(), start_fixture()
    for upstream, key in ((zebra, "zebra"), (ant, "ant")):
        assert ModernClient(upstream.url).text("count", key=key) == "1"
    sessions = {"reap_every_seconds": 0.2}
    quiet = {"[sessions.timeouts]": {"client": "quiet", "idle_timeout_seconds": 1}}

    def configured(**upstreams: dict[str, Any]) -> tuple[str, str]:
        named = {f"upstreams.{name}": settings for name, settings in upstreams.items()}
        return config(sessions=sessions, **quiet, **named)

    def at_zebra(client: LegacyClient) -> bool:
        return client.text("count", key="zebra", add=0) == "1"

    arguments = configured(zebra={"url": zebra.url})
    gateway = start_archon(*arguments)
    busy = LegacyClient.connect(gateway.url, name="busy")
    silent = LegacyClient.connect(gateway.url, name="quiet")
    rows.expect_session(gateway.db, silent.session, status="disconnected")

    # One that comes before it in the alphabet, and after it in the file, changes nothing.
    configured(zebra={"url": zebra.url}, ant={"url": ant.url})
    upgraded(gateway)
    assert at_zebra(busy) and at_zebra(LegacyClient.connect(gateway.url))

    # Another default takes new clients, and leaves the old ones where they are.
    configured(zebra={"url": zebra.url}, ant={"url": ant.url, "default": True})
    said = archon("serve", "--check", "--db", str(gateway.db), *arguments, cwd=tmp_path).stdout
    assert "/mcp leads to ant (`default = true`)\n/mcp last led to zebra; " in said
    upgraded(gateway)
    assert not at_zebra(LegacyClient.connect(gateway.url))
    assert at_zebra(busy)
    # Also after a silence, when only the store knows them.
    assert at_zebra(silent)
    assert busy.end().status == 200
    assert busy.call("count").status == 404


def test_systemd_hears_who_serves(start_archon):
    with tempfile.TemporaryDirectory() as folder, socket.socket(
        socket.AF_UNIX, socket.SOCK_DGRAM
    ) as systemd:
        systemd.bind(f"{folder}/notify")
        systemd.settimeout(60)
        gateway = start_archon(env={"NOTIFY_SOCKET": f"{folder}/notify"})
        assert systemd.recv(1000) == b"READY=1\n"
        _, new = upgraded(gateway)
        assert systemd.recv(1000) == f"MAINPID={new}\n".encode()
        stop(gateway)
        assert systemd.recv(1000) == b"STOPPING=1\n"
