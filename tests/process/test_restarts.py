"""The gateway or an upstream ends and comes back, and its clients go on."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import rows
from clients import LIBRARIES, connect, run
from harness import Process, wait_for
from wire import LegacyClient, ModernClient, encoded, message, next_message, opened, send

pytestmark = pytest.mark.timeout(180)

SESSIONS = "SELECT session_id, client_type, status, era FROM archon_mcp_sessions ORDER BY 1"

# How long to wait for an event that may never come.
QUIET_S = 5

both_ends = pytest.mark.parametrize("end", ["stop", "kill"])


def restart(process: Process, end: str) -> None:
    """Ends a process in an orderly way or as a crash would, and starts it again."""
    if end == "stop":
        assert process.stop() in (0, -15)
    else:
        process.kill()
    process.restart()


def tool_of(upstream: Process | None) -> tuple[Any, ...]:
    """A tool that works at this upstream, as arguments of `call`."""
    return ("find_projects",) if upstream is None else ("echo", {"text": "hello"})


@both_ends
@pytest.mark.parametrize("kind", ["demo", "fixture"])
def test_handles_survive_a_restart_of_the_gateway(start_fixture, start_archon, kind, end):
    upstream = None if kind == "demo" else start_fixture()
    gateway = start_archon(upstream=upstream)
    tool = tool_of(upstream)
    legacy = [LegacyClient.connect(gateway.url, name=f"legacy {n}") for n in range(3)]
    modern = [ModernClient(gateway.url, name=f"modern {n}") for n in range(2)]
    cookies = {client.name: client.call(*tool).cookie for client in modern}
    ended = LegacyClient.connect(gateway.url, name="ended")
    ended.end()
    before = rows.query(gateway.db, SESSIONS)
    assert len(before) == 6

    restart(gateway, end)

    assert "Recovered 5 active sessions" in gateway.log()
    for client in legacy:
        answer = client.call(*tool)
        assert answer.result
        assert (answer.session, answer.handle) == (client.session, client.handle)
    for client in modern:
        answer = client.call(*tool, headers={"cookie": cookies[client.name]})
        assert answer.result
        assert cookies[client.name].startswith(f"archon_session={answer.session}.")
    assert ended.call(*tool).status == 404
    assert rows.query(gateway.db, SESSIONS) == before


@both_ends
def test_every_answered_call_of_an_orderly_stop_is_written(start_fixture, start_archon, end):
    gateway = start_archon(upstream=start_fixture())
    client = LegacyClient.connect(gateway.url)
    for _ in range(50):
        client.text("count", key="k")
    count = "SELECT count(*) FROM archon_mcp_requests WHERE tool_name = 'count'"
    if end == "kill":
        # A crash may lose the last tenth of a second, and nothing that was written.
        rows.expect(gateway.db, [(50,)], count)

    restart(gateway, end)
    assert rows.query(gateway.db, count) == [(50,)]


def test_a_session_that_fell_silent_while_we_were_away_ends_and_goes_on(start_archon, config):
    idle = {"idle_timeout_seconds": 1, "reap_every_seconds": 60}
    gateway = start_archon(*config(sessions=idle))
    client = LegacyClient.connect(gateway.url)
    gateway.stop()
    rows.expect_silence(gateway.db, 1.2)

    gateway.restart()

    assert "Recovered 0 active sessions" in gateway.log()
    rows.expect_session(gateway.db, client.session, disconnect_reason="timeout_no_activity")
    answer = client.call("find_projects")
    assert answer.result
    rows.expect_session(gateway.db, answer.session, continues=client.session)


@both_ends
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_a_client_never_learns_of_our_restart(start_fixture, start_archon, library, mode, end):
    gateway = start_archon(upstream=start_fixture())

    async def use():
        async with connect(library, gateway.url, mode) as client:
            assert await client.text("echo", text="before") == "before"
            await asyncio.to_thread(restart, gateway, end)
            for _ in range(3):
                assert await client.text("echo", text="after") == "after"

    run(use())
    rows.expect(gateway.db, [(1,)], "SELECT count(*) FROM archon_mcp_sessions")


@both_ends
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_a_client_never_learns_of_an_upstreams_restart(
    start_fixture, start_archon, library, mode, end
):
    upstream = start_fixture()
    gateway = start_archon(upstream=upstream)

    async def use():
        async with connect(library, gateway.url, mode) as client:
            assert await client.text("echo", text="before") == "before"
            await asyncio.to_thread(restart, upstream, end)
            for _ in range(3):
                assert await client.text("echo", text="after") == "after"

    run(use())
    rows.expect(gateway.db, [(1,)], "SELECT count(*) FROM archon_mcp_sessions")
    rows.expect(gateway.db, [("success",)], "SELECT DISTINCT status FROM archon_mcp_requests")


def test_a_server_that_forgets_with_400_is_opened_again(start_everything, start_archon):
    upstream = start_everything()
    gateway = start_archon(upstream=upstream)
    client = LegacyClient.connect(gateway.url)
    restart(upstream, "kill")
    assert "hello" in client.text("echo", message="hello")
    assert f"session {client.session} opened again" in gateway.log()


def test_calls_at_once_after_a_restart_open_one_session_again(start_fixture, start_archon):
    upstream = start_fixture()
    gateway = start_archon(upstream=upstream)
    client = LegacyClient.connect(gateway.url)
    restart(upstream, "kill")

    with ThreadPoolExecutor(16) as pool:
        heard = list(pool.map(lambda n: client.text("echo", text=str(n)), range(32)))

    assert heard == [str(n) for n in range(32)]
    assert gateway.log().count("opened again") == 1
    link = "SELECT count(DISTINCT link) FROM archon_mcp_connections"
    rows.expect(gateway.db, [(1,)], link)


def test_calls_under_way_get_their_answer_or_an_honest_error(start_fixture, start_archon):
    upstream = start_fixture()
    gateway = start_archon(upstream=upstream)
    is_over = threading.Event()

    def work(number: int) -> list[str]:
        era = LegacyClient.connect if number % 2 else ModernClient
        client = era(gateway.url, name=f"client {number}")
        outcomes = []
        while not is_over.is_set():
            text = f"{number}:{len(outcomes)}"
            answer = client.call("echo", {"text": text})
            if "error" in answer.message:
                assert answer.error["code"] in (-31001, -31002), answer.error
                outcomes.append("error")
            else:
                assert answer.text == text
                outcomes.append("success")
        return outcomes

    with ThreadPoolExecutor(8) as pool:
        working = [pool.submit(work, number) for number in range(8)]
        try:
            for _ in range(3):
                rows.expect_more(gateway.db, "SELECT count(*) FROM archon_mcp_requests", 50)
                restart(upstream, "kill")
            rows.expect_more(gateway.db, "SELECT count(*) FROM archon_mcp_requests", 50)
        finally:
            is_over.set()
        counts = Counter(outcome for future in working for outcome in future.result())

    assert counts["success"] > counts["error"]
    rows.expect(
        gateway.db,
        sorted(counts.items()),
        "SELECT status, count(*) FROM archon_mcp_requests WHERE tool_name = 'echo'"
        " GROUP BY 1 ORDER BY 1",
    )


def test_both_ends_may_restart_at_once(start_fixture, start_archon):
    upstream = start_fixture()
    gateway = start_archon(upstream=upstream)
    client = LegacyClient.connect(gateway.url)
    gateway.kill()
    upstream.kill()
    upstream.restart()
    gateway.restart()
    answer = client.call("echo", {"text": "hello"})
    assert (answer.text, answer.session) == ("hello", client.session)


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_an_upstream_that_is_down_is_said_to_be_and_used_when_it_is_back(
    start_fixture, start_impatient, era
):
    upstream = start_fixture()
    gateway = start_impatient(upstream)
    client = LegacyClient.connect(gateway.url) if era == "legacy" else ModernClient(gateway.url)
    session = client.call("echo", {"text": "up"}).session
    upstream.kill()

    down = client.call("echo", {"text": "down"})
    assert "could not be reached; the call did not run" in down.error["message"]
    assert down.session == session

    upstream.restart()
    assert client.call("echo", {"text": "up"}).text == "up"
    rows.expect(
        gateway.db,
        [("success", 0), ("error", 1), ("success", 0)],
        "SELECT status, coalesce(error_message LIKE '%could not be reached%', 0)"
        " FROM archon_mcp_requests WHERE tool_name = 'echo' ORDER BY id",
    )


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_call_whose_answer_was_lost_is_not_sent_again(start_fixture, start_archon, era):
    gateway = start_archon(upstream=start_fixture())
    client = LegacyClient.connect(gateway.url) if era == "legacy" else ModernClient(gateway.url)

    lost = client.call("count_and_cut", {"key": "k"})

    assert "the call may have run" in lost.error["message"]
    assert client.call("count", {"key": "k", "add": 0}).text == "1"
    rows.expect(
        gateway.db,
        [("error", 1)],
        "SELECT status, error_message LIKE '%may have run%' FROM archon_mcp_requests"
        " WHERE tool_name = 'count_and_cut'",
    )


def test_an_answer_that_came_is_not_lost_with_its_stream(start_small, start_archon):
    gateway = start_archon(upstream=start_small())
    client = LegacyClient.connect(gateway.url)
    call = {"name": "cut", "arguments": {}}
    for _ in range(10):
        with opened(
            gateway.url, "POST", client.body("tools/call", call), client.headers()
        ) as answer:
            assert "answered" in next_message(answer)[1]
    rows.expect(
        gateway.db,
        [("success", 10)],
        "SELECT status, count(*) FROM archon_mcp_requests WHERE tool_name = 'cut' GROUP BY 1",
    )


def test_an_upstream_that_dies_in_a_call_is_not_asked_again(start_small, start_archon):
    upstream = start_small()
    gateway = start_archon(upstream=upstream)
    client = LegacyClient.connect(gateway.url)
    died = client.call("die")
    assert "the call may have run" in died.error["message"]
    upstream.restart()
    assert client.text("echo", text="alive") == "alive"


@pytest.mark.parametrize("is_restarted", [False, True], ids=["undisturbed", "restarted"])
def test_a_log_level_outlives_the_upstream(start_fixture, start_archon, is_restarted):
    upstream = start_fixture()
    gateway = start_archon(upstream=upstream)
    client = LegacyClient.connect(gateway.url)
    assert client.request("logging/setLevel", {"level": "error"}).result == {}
    if is_restarted:
        restart(upstream, "kill")
    assert client.text("echo", text="x") == "x"

    with opened(gateway.url, "GET", b"", client.headers(), QUIET_S) as stream:
        client.text("log", text="too low", level="warning")
        client.text("log", text="heard", level="error")
        assert "heard" in next_message(stream)[1]


@pytest.mark.parametrize("is_restarted", [False, True], ids=["undisturbed", "restarted"])
def test_a_subscription_outlives_the_upstream(start_fixture, start_archon, is_restarted):
    upstream = start_fixture()
    gateway = start_archon(upstream=upstream)
    client = LegacyClient.connect(gateway.url)
    uri = "test://watched-resource"
    assert client.request("resources/subscribe", {"uri": uri}).result == {}
    if is_restarted:
        restart(upstream, "kill")
    assert client.text("echo", text="x") == "x"

    with opened(gateway.url, "GET", b"", client.headers(), QUIET_S) as stream:
        client.text("update_resource", uri=uri)
        assert "notifications/resources/updated" in next_message(stream)[1]


def test_an_orderly_stop_waits_for_the_calls_in_flight(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    client = LegacyClient.connect(gateway.url)
    watcher = LegacyClient.connect(gateway.url)
    with ThreadPoolExecutor(1) as pool:
        slept = pool.submit(client.call, "sleep", {"ms": 1_500, "key": "nap"})
        wait_for(
            "the call has begun", lambda: watcher.text("count", key="nap.started", add=0) == "1"
        )
        assert gateway.stop() == 0
        assert slept.result().text == "slept 1500 ms"
    rows.expect_requests(
        gateway.db,
        [("initialize", "success"), ("tools/call", "success")],
        "method, status",
        client.session,
    )


def test_a_silent_stream_does_not_hold_up_a_stop(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    client = LegacyClient.connect(gateway.url)
    with opened(gateway.url, "GET", b"", client.headers()) as stream:
        assert stream.status == 200
        # Every legacy client holds such a stream; while we wait for it nobody can connect.
        assert gateway.stop(timeout_s=5) == 0


def test_a_request_during_the_downtime_leaves_no_trace_on_the_next(start_archon):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url)
    gateway.kill()
    note = encoded(message("tools/list", None, 1))
    with pytest.raises(ConnectionRefusedError):
        send(gateway.url, "POST", note, client.headers())
    gateway.restart()
    assert client.request("tools/list").session == client.session
