"""The processes behind stdio upstreams go from one process of the gateway to the next, with what they hold."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import Any

import pytest

import lines
import rows
from harness import Archon, fixture_command, wait_for
from test_upgrade import Kept, gone, is_running, stop, upgraded
from wire import (
    KeepingClient,
    LegacyClient,
    ModernClient,
    encoded,
    message,
    next_message,
    opened,
    send,
)

pytestmark = pytest.mark.timeout(300)

LEGACY_COMMAND = fixture_command("--legacy-only")


def started(gateway: Archon, upstream: str = "fixture") -> list[int]:
    """The processes that were started, those left out that were only asked for their era."""
    log = gateway.log()
    asked = re.findall(rf"{upstream}\[(\d+)\] was asked for its era", log)
    return [
        int(pid) for pid in re.findall(rf"{upstream}\[(\d+)\] was started", log) if pid not in asked
    ]


def taken_over(gateway: Archon, pid: int, times: int) -> None:
    """Waits until a child went over so many times."""
    line = f"[{pid}] was taken over as it was"
    wait_for(f"{pid} went over", lambda: gateway.log().count(line) >= times)


def only_child(gateway: Archon) -> int:
    """The pid of the only child of lines.py, as its `pid` tool says."""
    [pid] = started(gateway)
    return pid


def keyed(url: str) -> ModernClient:
    """A modern client without cookies, with a key of its own."""

    class Keyed(ModernClient):
        def headers(self, *args: Any) -> dict[str, str]:
            return {**super().headers(*args), "x-archon-client-key": "k" * 43}

    return Keyed(url)


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        (LegacyClient.connect, fixture_command()),
        (KeepingClient, fixture_command()),
        (KeepingClient, LEGACY_COMMAND),
        (keyed, LEGACY_COMMAND),
    ],
    ids=["legacy", "modern", "modern bridged by cookie", "modern bridged by key"],
)
@pytest.mark.parametrize("shared", [False, True], ids=["own child", "shared child"])
def test_a_child_keeps_its_state_over_two_upgrades(start_archon, config, kind, command, shared):
    gateway = start_archon(*config(**{"upstreams.fixture": {"command": command, "shared": shared}}))
    client = kind(gateway.url)
    assert [client.text("count", key="k") for _ in range(2)] == ["1", "2"]
    before = started(gateway)
    olds = []
    for n in range(2):
        olds.append(upgraded(gateway)[0])
        assert [client.text("count", key="k") for _ in range(2)] == [
            f"{3 + 2 * n}",
            f"{4 + 2 * n}",
        ]
    for old in olds:
        gone(old, gateway)
    assert client.text("count", key="k") == "7"
    assert started(gateway) == before
    assert "opened again" not in gateway.log()
    rows.expect(gateway.db, [("success",)], "SELECT DISTINCT status FROM archon_mcp_requests")
    children = [pid for pid in before if is_running(pid)]
    assert children
    stop(gateway)
    wait_for(
        "its children end with the last process",
        lambda: not any(map(is_running, children)),
    )


def test_a_child_goes_over_though_its_client_says_nothing(start_archon):
    gateway = start_archon(upstream=lines.command())
    client = LegacyClient.connect(gateway.url)
    pid = int(client.text("pid"))
    old, _ = upgraded(gateway)
    taken_over(gateway, pid, 1)
    gone(old, gateway)
    assert int(client.text("pid")) == pid
    assert lines.children(gateway) == 1


def test_requests_on_old_connections_reach_the_child_where_it_is(start_archon):
    gateway = start_archon(upstream=fixture_command())
    client = LegacyClient.connect(gateway.url)
    connections = [Kept(gateway.port) for _ in range(4)]
    count = {"name": "count", "arguments": {"key": "k"}}
    for n, kept in enumerate(connections):
        body = client.body("tools/call", count)
        assert kept.send(body, client.headers()).text == f"{n + 1}"
    upgraded(gateway)
    assert client.text("count", key="k") == "5"
    taken_over(gateway, only_child(gateway), 1)
    for n, kept in enumerate(connections):
        answer = kept.send(client.body("tools/call", count), client.headers())
        assert (answer.text, answer.headers["connection"]) == (f"{n + 6}", "close")
        kept.close()
    # A handshake on the last of them begins where its child will stay.
    assert len(started(gateway)) == 1
    rows.expect(
        gateway.db,
        [(9,)],
        "SELECT count(*) FROM archon_mcp_requests WHERE tool_name = 'count'",
    )


def test_a_handshake_on_an_old_connection_lasts(start_archon):
    gateway = start_archon(upstream=lines.command())
    kept = Kept(gateway.port)
    first = LegacyClient.connect(gateway.url)
    assert kept.send(first.body("tools/list"), first.headers()).status == 200
    old, _ = upgraded(gateway)
    greeting = {"clientInfo": {"name": "late", "version": "1"}, "capabilities": {}}
    body = encoded(message("initialize", {"protocolVersion": "2025-11-25", **greeting}, 0))
    answer = kept.send(
        body,
        {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
        },
    )
    assert answer.headers["connection"] == "close" and answer.handle and answer.session
    late = LegacyClient(gateway.url, answer.handle, answer.session)
    pid = late.text("pid")
    gone(old, gateway)
    assert late.text("pid") == pid != first.text("pid")
    assert "opened again" not in gateway.log()


def test_a_call_in_flight_is_answered_and_its_child_goes_over_then(start_archon):
    gateway = start_archon(upstream=lines.command())
    client = LegacyClient.connect(gateway.url)
    pid = int(client.text("pid"))
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(client.text, "hang")
        it_hangs(gateway)
        old, _ = upgraded(gateway)
        # The child answers others meanwhile, where it is.
        assert int(client.text("pid")) == pid
        assert f"[{pid}] was taken over" not in gateway.log()
        assert client.request("ping").status == 200
        assert not hanging.done()
        client.call("late")
        assert hanging.result() == "late"
    taken_over(gateway, pid, 1)
    assert int(client.text("pid")) == pid
    gone(old, gateway)
    assert int(client.text("pid")) == pid
    assert started(gateway) == [pid]


def it_hangs(gateway: Archon, calls: int = 1) -> None:
    """Waits until so many calls have reached a child and are in flight."""
    wait_for("a call hangs", lambda: gateway.log().count("a call hangs") >= calls)


def test_a_call_in_flight_outlasts_two_upgrades(start_archon):
    gateway = start_archon(upstream=lines.command())
    client = LegacyClient.connect(gateway.url)
    pid = int(client.text("pid"))
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(client.text, "hang")
        it_hangs(gateway)
        olds = [upgraded(gateway)[0] for _ in range(2)]
        # From the third process over the second to the first.
        assert int(client.text("pid")) == pid
        assert client.text("late") == ""
        assert hanging.result() == "late"
    taken_over(gateway, pid, 2)
    assert int(client.text("pid")) == pid
    for old in olds:
        gone(old, gateway)
    assert int(client.text("pid")) == pid
    assert started(gateway) == [pid]


@pytest.mark.parametrize("shared", [False, True], ids=["own child", "shared child"])
def test_a_child_that_never_rests_goes_over_without_a_failed_call(start_archon, config, shared):
    command = {"command": fixture_command(), "shared": shared}
    gateway = start_archon(*config(**{"upstreams.fixture": command}))
    client = LegacyClient.connect(gateway.url)
    is_over = threading.Event()

    def work() -> int:
        calls = 0
        while not is_over.is_set():
            assert int(client.text("count", key="k", ms=100)) > 0
            calls += 1
        return calls

    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(work) for _ in range(4)]
        try:
            wait_for("calls overlap", lambda: int(client.text("count", key="k", add=0)) > 8)
            for n in range(2):
                old, _ = upgraded(gateway)
                taken_over(gateway, only_child(gateway), n + 1)
                gone(old, gateway)
        finally:
            is_over.set()
        calls = sum(one.result() for one in working)
    assert client.text("count", key="k", add=0) == str(calls)
    rows.expect(gateway.db, [("success",)], "SELECT DISTINCT status FROM archon_mcp_requests")


def test_a_question_is_answered_over_an_upgrade(start_archon):
    gateway = start_archon(upstream=lines.command())
    client = LegacyClient.connect(gateway.url)
    hang = client.body("tools/call", {"name": "hang"})
    with opened(client.url, "POST", hang, client.headers()) as stream:
        it_hangs(gateway)
        client.call("ask", {"id": "q", "method": "roots/list"})
        asked = json.loads(next_message(stream)[1])
        assert (asked["method"], asked["id"]) == ("roots/list", "q")
        upgraded(gateway)
        reply = {"jsonrpc": "2.0", "id": asked["id"], "result": {"roots": []}}
        assert send(client.url, "POST", encoded(reply), client.headers()).status == 202
        assert json.loads(client.text("replies")) == [reply]
        client.call("late")
        answer = json.loads(next_message(stream)[1])
        assert answer["result"]["content"][0]["text"] == "late"


def test_a_client_that_listens_hears_its_child_after_the_upgrade(start_archon):
    gateway = start_archon(upstream=lines.command())
    client = LegacyClient.connect(gateway.url)
    headers = client.headers({"accept": "text/event-stream"})
    changed = message("notifications/tools/list_changed", {"n": 1}, None)
    with opened(client.url, "GET", b"", headers) as stream:
        # Said while nobody listens: between the end of this stream and the next.
        upgraded(gateway)
        assert next_message(stream) == ("", ""), "the old process ends it"
    client.call("later", {"text": json.dumps(changed)})
    with opened(client.url, "GET", b"", headers) as stream:
        assert json.loads(next_message(stream)[1])["params"] == {"n": 1}
        client.call("later", {"text": json.dumps({**changed, "params": {"n": 2}})})
        assert json.loads(next_message(stream)[1])["params"] == {"n": 2}


def test_a_stream_that_is_opened_while_its_child_is_busy_goes_on_after_that(start_archon):
    gateway = start_archon(upstream=lines.command())
    client = LegacyClient.connect(gateway.url)
    pid = int(client.text("pid"))
    changed = message("notifications/tools/list_changed", {"n": 1}, None)
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(client.text, "hang")
        it_hangs(gateway)
        upgraded(gateway)
        headers = client.headers({"accept": "text/event-stream"})
        with opened(client.url, "GET", b"", headers) as stream:
            client.call("later", {"text": json.dumps(changed)})
            assert json.loads(next_message(stream)[1])["params"] == {"n": 1}
            client.call("late")
            assert hanging.result() == "late"
            taken_over(gateway, pid, 1)
            client.call("later", {"text": json.dumps({**changed, "params": {"n": 2}})})
            assert json.loads(next_message(stream)[1])["params"] == {"n": 2}


def test_what_a_child_said_to_nobody_goes_along(start_archon):
    gateway = start_archon(upstream=lines.command())
    client = LegacyClient.connect(gateway.url)
    pid = int(client.text("pid"))
    # In one text with an answer, behind it: then no call is in flight to which they could belong.
    changed = [json.dumps(message("notifications/tools/list_changed", {"n": n}, None)) for n in range(4)]
    ok = '{"jsonrpc":"2.0","id":$ID,"result":{"content":[]}}\n'
    # Half a line at the end, whose other half comes after the upgrade.
    half = changed.pop()
    client.call("answer", {"text": ok + "".join(f"{line}\n" for line in changed) + half[:20]})
    upgraded(gateway)
    taken_over(gateway, pid, 1)
    called = client.call("answer", {"text": f"{half[20:]}\n{ok}"})
    # Said during a call, it is for that call's stream.
    assert called.messages[0]["params"]["n"] == 3
    with opened(client.url, "GET", b"", client.headers({"accept": "text/event-stream"})) as stream:
        told = [json.loads(next_message(stream)[1])["params"]["n"] for _ in range(3)]
    assert told == [0, 1, 2]


def test_a_predecessor_that_is_killed_takes_only_what_it_still_had(start_archon):
    gateway = start_archon(upstream=lines.command())
    resting, busy = LegacyClient.connect(gateway.url), LegacyClient.connect(gateway.url)
    pids = [int(client.text("pid")) for client in (resting, busy)]
    with ThreadPoolExecutor(2) as pool:
        hanging = pool.submit(busy.call, "hang")
        it_hangs(gateway)
        old, _ = upgraded(gateway)
        taken_over(gateway, pids[0], 1)
        # One that is passed on is in flight in both.
        passed_on = pool.submit(busy.call, "hang")
        it_hangs(gateway, 2)
        os.kill(old, signal.SIGKILL)
        gone(old, gateway)
        with pytest.raises((OSError, HTTPException)):
            hanging.result()
        assert passed_on.result().error["data"]["ran"] == "unknown"
    wait_for("its child ended with it", lambda: not is_running(pids[1]))
    assert int(resting.text("pid")) == pids[0]
    assert int(busy.text("pid")) not in pids


@pytest.mark.parametrize(
    "settings",
    [
        {"command": lines.command("--ask")},
        {"command": lines.command(), "env": {"A": "b"}},
    ],
)
def test_a_child_of_another_command_is_replaced(start_archon, config, settings):
    arguments = config(**{"upstreams.fixture": {"command": lines.command()}})
    gateway = start_archon(*arguments)
    client = LegacyClient.connect(gateway.url)
    pid = int(client.text("pid"))
    env = settings.pop("env", None)
    tables = {"upstreams.fixture": settings}
    if env:
        tables["upstreams.fixture.env"] = env
    config(**tables)
    upgraded(gateway)
    wait_for("it is said", lambda: f"[{pid}] is not taken over but stopped" in gateway.log())
    wait_for("it is stopped", lambda: not is_running(pid))
    assert int(client.text("pid")) != pid


def test_a_child_of_an_upstream_that_is_gone_is_stopped(start_archon, config):
    command = lines.command()
    arguments = config(
        **{"upstreams.one": {"command": command}, "upstreams.two": {"command": command}}
    )
    gateway = start_archon(*arguments)
    client = LegacyClient.connect(gateway.url + "/two")
    pid = int(client.text("pid"))
    config(**{"upstreams.one": {"command": command}})
    upgraded(gateway)
    wait_for("it is said", lambda: "is not in the configuration any more" in gateway.log())
    wait_for("it is stopped", lambda: not is_running(pid))


def test_a_modern_clients_session_at_a_legacy_server_goes_on(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture("--legacy-only"))
    client = KeepingClient(gateway.url)

    def session() -> str:
        return json.loads(client.text("headers"))["mcp-session-id"]

    before = session()
    for _ in range(2):
        old, _ = upgraded(gateway)
        assert session() == before
        gone(old, gateway)
        assert session() == before, "the old process has not ended it"
