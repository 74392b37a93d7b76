"""The processes of servers on standard input and output: when they start, how they end, what is left."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import lines
import rows
from api import Api
from harness import Archon, fixture_command, wait_for
from wire import (
    JSON_HEADERS,
    Answer,
    KeepingClient,
    LegacyClient,
    ModernClient,
    encoded,
    get_json,
    initialize,
    message,
    opened,
    send,
)

pytestmark = pytest.mark.timeout(120)

QUICK = {"stop_seconds": 0.3}


class Marked:
    """Finds the processes that a gateway started, by a variable in their environment."""

    def __init__(self) -> None:
        self.value = f"gateway-{uuid.uuid4()}"
        self.env = {"STDIO_TEST_MARK": self.value}

    def all(self, gateway: Archon | None = None) -> dict[int, str]:
        """Every living process but the gateway, with its command line."""
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(ValueError, OSError):
                if self.value.encode() in (entry / "environ").read_bytes():
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        if gateway and gateway.is_running:
            found.pop(gateway.pid, None)
        return found

    def commands(self, gateway: Archon, word: str) -> set[int]:
        """Those whose command line holds this word, without their supervisors."""
        every = self.all(gateway).items()
        return {pid for pid, line in every if word in line and not line.startswith("archon ")}

    def only(self, gateway: Archon, word: str) -> int:
        """Waits until there is one of them: what was only asked for its era goes away."""
        wait_for("one is left", lambda: len(self.commands(gateway, word)) == 1)
        return self.commands(gateway, word).pop()

    def expect_none(self, gateway: Archon | None = None) -> None:
        """Waits until none is left."""
        wait_for("nothing is left", lambda: not self.all(gateway))


@pytest.fixture
def marked():
    marked = Marked()
    yield marked
    for pid in marked.all():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def start(start_archon, config, marked):
    """Starts a gateway in front of a command: `start(command, children_max=2)`."""

    def start(command: str, **settings) -> Archon:
        tables = settings.pop("tables", {})
        upstream = {"command": command, **QUICK, **settings}
        return start_archon(*config(**{"upstreams.fixture": upstream}, **tables), env=marked.env)

    return start


def greet(gateway: Archon) -> Answer:
    """Sends a handshake that may be refused."""
    return send(gateway.url, "POST", encoded(initialize()), JSON_HEADERS)


STUBBORN = lines.command("--ignore-eof", "--grandchild")


def wrapped(command: str) -> str:
    """A shell that waits for a command, and has a child of its own in the background."""
    stubborn = f"{sys.executable} -c '{lines.STUBBORN}' &"
    script = f"{stubborn} {command}; true".replace('"', '\\"')
    return f'sh -c "{script}"'


def test_a_child_that_is_killed_between_calls_is_not_missed(start, marked):
    gateway = start(fixture_command())
    client = LegacyClient.connect(gateway.url)
    assert client.text("echo", text="x") == "x"
    child = marked.only(gateway, "archon-fixture")
    os.kill(child, signal.SIGKILL)
    wait_for("its end is noticed", lambda: f"[{child}] ended: signal 9" in gateway.log())

    assert client.text("echo", text="y") == "y"

    assert f"session {client.session} opened again" in gateway.log()
    assert marked.only(gateway, "archon-fixture") != child
    rows.expect_counts(gateway.db, {"echo": 2}, "tool_name")


def test_a_modern_clients_child_that_is_killed_is_not_missed(start, marked):
    gateway = start(fixture_command())
    client = KeepingClient(gateway.url)
    client.text("echo", text="x")
    child = marked.only(gateway, "archon-fixture")
    os.kill(child, signal.SIGKILL)
    wait_for("its end is noticed", lambda: f"[{child}] ended" in gateway.log())
    assert client.text("echo", text="y") == "y"


def test_a_shared_child_that_is_killed_is_missed_by_nobody(start, marked):
    gateway = start(fixture_command(), shared=True)
    clients = [LegacyClient.connect(gateway.url) for _ in range(3)]
    assert [client.text("count", key="k") for client in clients] == ["1", "2", "3"]
    child = marked.only(gateway, "archon-fixture")
    os.kill(child, signal.SIGKILL)
    wait_for("its end is noticed", lambda: f"[{child}] ended" in gateway.log())
    with ThreadPoolExecutor(len(clients)) as pool:
        counted = pool.map(lambda client: client.text("count", key="k"), clients)
        assert sorted(counted) == ["1", "2", "3"]
    clients[0].end()
    assert clients[1].text("count", key="k") == "4", "others stay"
    assert lines.children(gateway) == 1


@pytest.mark.parametrize("kind", [LegacyClient.connect, KeepingClient], ids=["legacy", "modern"])
def test_a_call_whose_child_dies_may_have_run(start, marked, kind):
    gateway = start(fixture_command())
    client = kind(gateway.url)
    client.text("echo", text="x")
    call = {"name": "sleep", "arguments": {"ms": 60_000, "key": "k"}}
    body = client.body("tools/call", call)
    headers = (
        client.headers()
        if isinstance(client, LegacyClient)
        else client.headers("tools/call", "sleep", {"cookie": client.cookie})
    )
    child = marked.only(gateway, "archon-fixture")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(send, client.url, "POST", body, headers)
        wait_for("it runs", lambda: client.text("count", key="k.started", add=0) == "1")
        os.kill(child, signal.SIGKILL)
        assert answer.result().error["code"] == -31002
    wait_for("its end is noticed", lambda: f"[{child}] ended" in gateway.log())
    assert client.text("echo", text="y") == "y"


def test_a_client_that_says_goodbye_takes_its_processes_with_it(start, marked):
    gateway = start(wrapped(STUBBORN))
    client = LegacyClient.connect(gateway.url)
    assert client.text("echo", text="x") == "x"
    # A supervisor, the shell, its background child, the server, and the server's own child.
    wait_for("all run", lambda: len(marked.all(gateway)) == 5)
    assert client.end().status == 200
    marked.expect_none(gateway)
    assert lines.children(gateway) == 0


@pytest.mark.parametrize("kind", [LegacyClient.connect, KeepingClient], ids=["legacy", "modern"])
def test_a_child_outlives_its_clients_pause(start, kind):
    tables = {"sessions": {"idle_timeout_seconds": 0.5, "reap_every_seconds": 0.1}}
    gateway = start(fixture_command(), tables=tables)
    client = kind(gateway.url)
    before = client.call("count", {"key": "k"})
    assert before.text == "1"
    wait_for("the session ends", lambda: "Cleaned up 1 expired sessions" in gateway.log())
    after = client.call("count", {"key": "k"})
    assert after.text == "2", "its state is there"
    assert after.session != before.session


def test_an_operator_ends_a_child_with_its_session(start, marked):
    gateway = start(lines.command("--grandchild"))
    client = LegacyClient.connect(gateway.url)
    client.text("pid")
    assert Api(gateway.api_url).ask("DELETE", f"/sessions/{client.session}").status == 200
    marked.expect_none(gateway)


def test_an_idle_child_is_shut_down_and_comes_back(start, marked):
    gateway = start(lines.command("--grandchild"), idle_shutdown_seconds=0.3)
    client = LegacyClient.connect(gateway.url)
    first = client.text("pid")
    marked.expect_none(gateway)
    assert client.text("pid") != first
    assert "ended:" not in gateway.log()


def test_the_least_used_child_makes_room(start, marked):
    gateway = start(lines.command(), children_max=2)
    clients = [LegacyClient.connect(gateway.url) for _ in range(2)]
    pids = [client.text("pid") for client in clients]
    third = LegacyClient.connect(gateway.url)
    assert third.text("echo", text="x") == "x"
    assert lines.children(gateway) == 2
    assert clients[1].text("pid") == pids[1]
    assert clients[0].text("pid") != pids[0]


def test_children_in_use_make_no_room(start):
    gateway = start(lines.command(), children_max=1)
    client = LegacyClient.connect(gateway.url)
    headers = client.headers({"accept": "text/event-stream"})
    with opened(client.url, "GET", b"", headers) as stream:
        assert stream.status == 200
        assert greet(gateway).error["code"] == -31004
    wait_for("the stream is closed", lambda: "result" in greet(gateway).message)


@pytest.mark.parametrize("command", [wrapped(STUBBORN), STUBBORN], ids=["in a shell", "itself"])
def test_a_gateway_that_stops_leaves_nothing(start, marked, command):
    gateway = start(command)
    clients = [LegacyClient.connect(gateway.url) for _ in range(3)]
    assert all(client.text("echo", text="x") == "x" for client in clients)
    assert gateway.stop() == 0
    assert not marked.all()


@pytest.mark.parametrize("command", [wrapped(STUBBORN), STUBBORN], ids=["in a shell", "itself"])
def test_a_gateway_that_is_killed_leaves_nothing(start, marked, command):
    gateway = start(command)
    clients = [LegacyClient.connect(gateway.url) for _ in range(2)]
    assert all(client.text("echo", text="x") == "x" for client in clients)
    gateway.kill()
    marked.expect_none()


def test_a_supervisor_that_is_killed_takes_its_command_with_it(start, marked):
    gateway = start(lines.command("--ignore-eof"))
    client = LegacyClient.connect(gateway.url)
    first = client.text("pid")
    [supervisor] = [p for p, line in marked.all(gateway).items() if line.startswith("archon ")]
    os.kill(supervisor, signal.SIGKILL)
    marked.expect_none(gateway)
    wait_for("its end is noticed", lambda: f"[{first}] ended" in gateway.log())
    assert client.text("pid") != first


def test_signals_for_all_processes_of_a_service_end_no_child(start, marked):
    gateway = start(lines.command())
    client = LegacyClient.connect(gateway.url)
    first = client.text("pid")
    [supervisor] = [p for p, line in marked.all(gateway).items() if line.startswith("archon ")]
    for told in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(supervisor, told)
    assert client.text("pid") == first


def test_calls_may_end_before_their_children_do(start, marked):
    gateway = start(fixture_command())
    client = LegacyClient.connect(gateway.url)
    body = client.body("tools/call", {"name": "sleep", "arguments": {"ms": 1000, "key": "k"}})
    with opened(client.url, "POST", body, client.headers()) as stream:
        # The headers come once the child was told of the call.
        assert stream.status == 200
        os.kill(gateway.pid, signal.SIGTERM)
        assert "slept 1000 ms" in stream.read().decode()
    assert gateway.stop() == 0
    assert not marked.all()


def test_after_a_crash_of_the_gateway_the_same_handle_goes_on(start, marked):
    gateway = start(fixture_command())
    client = LegacyClient.connect(gateway.url)
    client.request("logging/setLevel", {"level": "warning"})
    assert client.text("count", key="k") == "1"
    gateway.kill()
    gateway.restart()
    # Another child, after a handshake with the client's own words.
    assert client.text("count", key="k") == "1"
    assert client.text("count", key="k") == "2"
    assert "opened again" in gateway.log()
    assert client.end().status == 200
    marked.expect_none(gateway)


def test_a_command_that_does_not_exist_fails_its_calls(start):
    gateway = start("/no/such/server --stdio")
    for refused in (
        greet(gateway),
        ModernClient(gateway.url).call("echo", {"text": "x"}),
    ):
        assert refused.error["code"] == -31001
        assert "could not start /no/such/server" in refused.error["message"]
    status, health = get_json(gateway.url.replace("/mcp", "/health"))
    assert health["health"]["upstreams"]["fixture"] == {"status": "down", "children": 0}
    assert status == 200


def test_a_command_that_keeps_ending_is_left_alone_for_a_while(start):
    gateway = start(lines.command("--die-at-start"), restart_grace_seconds=0)

    def refusal() -> str:
        return greet(gateway).error["message"]

    assert "exit status 1" in refusal()
    wait_for("it is left alone", lambda: "in a row" in refusal())
    said = refusal()
    for word in ("exit status 1", "cannot find my configuration", "did not run"):
        assert word in said
    starts = gateway.log().count("was started")
    assert "in a row" in refusal()
    assert gateway.log().count("was started") == starts


def test_a_command_that_rests_for_a_moment_is_waited_for(start, tmp_path):
    ready = tmp_path / "ready"
    script = f"test -e {ready} || exit 1; exec {lines.command()}".replace('"', '\\"')
    gateway = start(f'sh -c "{script}"')
    for _ in range(3):
        assert "exit status 1" in greet(gateway).error["message"]
    ready.touch()
    client = LegacyClient.connect(gateway.url)
    assert client.text("echo", text="x") == "x"
    assert "is up again after" in gateway.log()


@pytest.mark.parametrize("shared", [False, True], ids=["own child", "shared child"])
def test_a_slow_start_is_not_begun_anew(start, tmp_path, shared):
    ready = tmp_path / "ready"
    command = lines.command("--start-after", str(ready))
    gateway = start(command, start_timeout_seconds=0.5, shared=shared)
    for _ in range(2):
        said = greet(gateway).error["message"]
        for word in ("did not answer initialize within 0.5 s", "start_timeout_seconds", "next try"):
            assert word in said
    ready.touch()

    def greeted() -> Answer | None:
        answer = greet(gateway)
        return answer if "result" in answer.message else None

    # Another handshake might have to wait for another child.
    answer = wait_for("it is ready", greeted)
    client = LegacyClient(gateway.url, answer.handle or "", answer.session or "")
    note = encoded(message("notifications/initialized", None, None))
    assert send(gateway.url, "POST", note, client.headers()).status == 202
    assert client.text("echo", text="x") == "x"
    assert gateway.log().count("was started") <= (1 if shared else 3)


def test_a_command_that_never_starts_is_given_up(start, marked):
    gateway = start(lines.command("--never-start"), start_timeout_seconds=0.1)
    assert "did not answer initialize" in greet(gateway).error["message"]
    # Twenty times what a client waits.
    marked.expect_none(gateway)


def test_calls_end_whatever_their_children_do(start):
    client = LegacyClient.connect(start(lines.command()).url)
    assert client.call("close").error["code"] == -31002
    assert client.text("echo", text="x") == "x", "with another child"

    gateway = start(lines.command("--exit-at-start"))
    assert "exit status 0" in greet(gateway).error["message"]

    gateway = start(lines.command("--read-nothing"), call_timeout_seconds=5)
    client = LegacyClient.connect(gateway.url)
    assert client.call("echo", {"text": "x" * 500_000}).error["code"] == -31003


def test_what_speaks_of_the_gateway_is_not_passed_on(start_archon, postgres, tmp_path):
    secret = f"s3cret-{uuid.uuid4()}"
    shown = tmp_path / "environment"
    script = f"env > {shown}; pwd >> {shown}; exec {lines.command()}"
    path = tmp_path / "archon.toml"
    path.write_text(
        f"[upstreams.one]\ncommand = ['sh', '-c', \"{script}\"]\n"
        f'cwd = "{tmp_path}"\nenv = {{ API_KEY = "{secret}" }}\n'
    )
    ours = {"ARCHON_LOG": "debug", "DATABASE_URL": postgres.url, "MCP_SESSION_SECRET": secret[::-1]}
    env = {**ours, "PASSED": "on"}
    gateway = start_archon("--config", str(path), env=env)
    assert LegacyClient.connect(gateway.url).text("echo", text="x") == "x"
    environment = shown.read_text().splitlines()
    assert f"API_KEY={secret}" in environment and "PASSED=on" in environment
    assert environment[-1] == str(tmp_path)
    assert not [line for line in environment if line.startswith(("ARCHON_", *ours))]
    assert secret not in gateway.log()
