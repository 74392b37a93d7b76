"""The WebSocket of the API: what happens to sessions, as it happens."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import uuid
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from harness import Archon, archon_bin, wait_for
from live import Frame, Listener, listen
from wire import LegacyClient, encoded, message, send

PATHS = ["/ws/sessions", "/api/mcp/ws/sessions"]

HANDSHAKE = {
    "connection": "keep-alive, Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def events(frames: list[Frame]) -> list[Frame]:
    """Those that have a number of their own."""
    return [f for f in frames if f["type"] not in ("snapshot", "resync", "health_update")]


def assert_no_gap(frames: list[Frame], after: int) -> None:
    """Every event is there, once, in order."""
    numbers = [frame["seq"] for frame in events(frames)]
    assert numbers == list(range(after + 1, after + 1 + len(numbers)))


def closed_with(listener: Listener) -> int | None:
    """How the gateway ends the connection."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            listener.next()
    return closed.value.rcvd and closed.value.rcvd.code


@pytest.mark.parametrize("path", PATHS)
def test_a_listener_sees_a_session_from_its_beginning_to_its_end(start_archon, path):
    gateway = start_archon()
    with listen(gateway, path) as listener:
        snapshot = listener.next()
        assert (snapshot["type"], snapshot["data"]["sessions"]) == ("snapshot", [])
        assert snapshot["data"]["health"]["status_breakdown"]["active"] == 0

        client = LegacyClient.connect(gateway.url, name="cursor-vscode")
        client.call("health_check")
        client.call("no_such_tool")
        client.end()
        frames = listener.until("session_disconnected")

    assert_no_gap(frames, snapshot["seq"])
    assert {frame["session_id"] for frame in events(frames)} == {client.session}
    assert all(datetime.fromisoformat(frame["timestamp"]) for frame in frames)
    created, *_, ended = events(frames)
    assert (created["type"], created["data"]["client_type"]) == ("session_created", "Cursor")
    assert ended["data"]["reason"] == "client_disconnect"
    calls = [frame["data"] for frame in frames if frame["type"] == "request"]
    tools = [call for call in calls if call["method"] == "tools/call"]
    assert [call["tool_name"] for call in tools] == ["health_check", "no_such_tool"]
    assert [call["status"] for call in tools] == ["success", "error"]
    assert tools[0]["duration_us"] >= 0 and tools[0]["error_message"] is None
    assert "no_such_tool" in tools[1]["error_message"]


def test_a_snapshot_shows_who_is_there(start_archon):
    gateway = start_archon()
    first, second = LegacyClient.connect(gateway.url), LegacyClient.connect(gateway.url)
    second.call("health_check")
    with listen(gateway) as listener:
        data = listener.next()["data"]
    assert [shown["session_id"] for shown in data["sessions"]] == [second.session, first.session]
    assert data["total"] == 2
    assert data["sessions"][0]["status"] == "active"
    assert data["health"]["age_distribution"] == {"healthy": 2, "aging": 0, "stale": 0}
    assert data["health"]["recent_activity"][0]["session_id"] == second.session


def test_signs_of_life_are_told_at_most_once_a_second(start_archon):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url)
    with listen(gateway) as listener:
        client.call("heartbeat")
        first = listener.until("session_updated")[-1]
        assert first["data"]["update_type"] == "heartbeat"
        listener.until("request")
        # The next one comes when its second is over, and not with each of those calls.
        wait_for(
            "another sign of life",
            lambda: client.call("health_check") and "session_updated" in types(listener),
        )
    updates = [f for f in listener.frames if f["type"] == "session_updated"]
    times = [datetime.fromisoformat(update["timestamp"]) for update in updates]
    gaps = [(later - sooner).total_seconds() for sooner, later in zip(times, times[1:])]
    assert gaps and min(gaps) >= 1
    assert updates[-1]["data"]["update_type"] == "tool_call"


def types(listener: Listener) -> list[str]:
    """The types of what comes up to the next finished call."""
    return [frame["type"] for frame in listener.until("request")]


def test_who_comes_back_misses_nothing(start_archon):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url)
    with listen(gateway) as listener:
        listener.next()
        client.call("health_check")
        known = listener.until("request", tool_name="health_check")[-1]["seq"]
    for _ in range(10):
        client.call("health_check")
    client.end()
    with listen(gateway, since=known) as listener:
        frames = listener.until("session_disconnected")
    assert "snapshot" not in [frame["type"] for frame in frames]
    assert_no_gap(frames, known)
    assert len([frame for frame in frames if frame["type"] == "request"]) == 10


def test_what_is_not_known_any_more_is_a_resync(start_archon):
    gateway = start_archon()
    with listen(gateway) as listener:
        known = listener.next()["seq"]
    client = LegacyClient.connect(gateway.url)
    gateway.restart()
    for query in [{"since": known}, {"since": 0}, {"since": known * 2}]:
        with listen(gateway, **query) as listener:
            frame = listener.next()
            assert frame["type"] == "resync", query
            shown = [session["session_id"] for session in frame["data"]["sessions"]]
            assert shown == [client.session]
            assert frame["seq"] > known
    # Two processes may count alike; who says whose number it is, is not misunderstood.
    with listen(gateway, since=frame["seq"], epoch=1) as listener:
        frame = listener.next()
        assert frame["type"] == "resync"
    with listen(gateway, since=frame["seq"], epoch=frame["data"]["epoch"]) as listener:
        client.call("health_check")
        assert listener.next()["type"] == "session_updated"


def test_filters_leave_out_what_is_not_wanted(start_archon):
    gateway = start_archon()
    one, other = LegacyClient.connect(gateway.url), LegacyClient.connect(gateway.url)
    with (
        listen(gateway, types="session_disconnected") as ends,
        listen(gateway, session_id=other.session) as others,
        listen(gateway, session_id=other.session, types="request") as calls,
    ):
        assert len(ends.next()["data"]["sessions"]) == 2
        assert [s["session_id"] for s in others.next()["data"]["sessions"]] == [other.session]
        calls.next()
        for client in [one, other]:
            client.call("health_check")
            client.end()
        assert [ends.next()["session_id"] for _ in range(2)] == [one.session, other.session]
        seen = others.until("session_disconnected")
        assert {frame["session_id"] for frame in events(seen)} == {other.session}
        assert calls.next()["data"]["tool_name"] == "health_check"
    assert {frame["type"] for frame in ends.frames[1:]} == {"session_disconnected"}


def test_listeners_are_told_how_sessions_are(start_archon):
    gateway = start_archon()
    LegacyClient.connect(gateway.url)
    with listen(gateway, types="health_update") as listener:
        snapshot, update = listener.next(), listener.next()
    assert update["type"] == "health_update"
    assert update["seq"] >= snapshot["seq"]
    assert update["data"]["status_breakdown"]["active"] == 1


@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_good_request_is_turned_away(start_archon, path):
    gateway = start_archon()
    answer = send(gateway.api_url + path, "GET")
    assert (answer.status, answer.headers["upgrade"]) == (426, "websocket")
    assert json.loads(answer.body)["code"] == "upgrade_required"
    bad = {"since": "x", "epoch": "", "session_id": "7", "types": "request,nonsense"}
    for name, value in bad.items():
        with pytest.raises(InvalidStatus) as refused, listen(gateway, path, **{name: value}):
            pass
        assert refused.value.response.status_code == 422
        assert f"`{name}`" in json.loads(refused.value.response.body)["detail"]
    foreign = handshake(gateway, path, {"origin": "https://evil.example"})
    assert foreign == 403


def handshake(gateway: Archon, path: str, headers: dict[str, str]) -> int:
    """Asks for a WebSocket by hand, and returns the status."""
    return send(gateway.api_url + path, "GET", b"", {**HANDSHAKE, **headers}).status


def test_there_is_a_bound_on_listeners(start_archon, config):
    gateway = start_archon(*config(websocket={"listeners_max": 2}))
    with listen(gateway) as first, listen(gateway) as second:
        assert first.next()["type"] == second.next()["type"] == "snapshot"
        with pytest.raises(InvalidStatus) as refused, listen(gateway):
            pass
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["retry-after"]

    def again() -> str | None:
        with contextlib.suppress(InvalidStatus), listen(gateway) as third:
            return third.next()["type"]
        return None

    assert wait_for("a place is free again", again) == "snapshot"


def test_a_slow_reader_is_not_waited_for(start_archon, config):
    gateway = start_archon(*config(websocket={"backlog_bytes": 100_000}))
    # In this version several calls may come in one message.
    client = LegacyClient.connect(gateway.url, version="2025-03-26")
    with (
        listen(gateway, receive_buffer=4096) as slow,
        listen(gateway, types="request") as fast,
    ):
        start = slow.next()["seq"]
        fast.next()
        # More than the kernel's buffers, one chunk and the backlog hold together.
        for _ in range(60):
            batch = [called("x" * 1000, id) for id in range(50)]
            assert send(client.url, "POST", encoded(batch), client.headers()).status == 200
            for _ in range(50):
                fast.next()
        client.call("health_check")
        last = fast.until("request", tool_name="health_check")[-1]["seq"]

        frames = slow.until("resync")
    assert_no_gap(frames, start)
    assert frames[-1]["seq"] == last, "what it missed is gone, and it goes on from now"
    assert frames[-1]["data"]["sessions"][0]["session_id"] == client.session
    assert "resync" not in [frame["type"] for frame in fast.frames]
    assert len([f for f in fast.frames if f["type"] == "request"]) == 60 * 50 + 1


def called(tool: str, id: int) -> dict[str, Any]:
    """A call that fails, and says its long name twice."""
    return message("tools/call", {"name": tool, "arguments": {}}, id)


def test_what_a_listener_says_is_ignored(start_archon):
    gateway = start_archon()
    with listen(gateway) as listener:
        listener.next()
        listener.connection.send("hello" * 1000)
        listener.connection.send(b"\0" * 60_000)
        assert listener.connection.ping("are you there").wait(timeout=30)
        LegacyClient.connect(gateway.url)
        assert listener.until("session_created")


def test_a_listener_that_says_too_much_is_closed(start_archon):
    gateway = start_archon()
    with listen(gateway) as listener:
        listener.next()
        with contextlib.suppress(ConnectionClosed):
            # Noise, for anything else would be compressed.
            listener.connection.send(os.urandom(70_000))
        assert closed_with(listener) == 1009


def test_a_listener_that_does_not_answer_is_dropped(start_archon, config):
    gateway = start_archon(*config(websocket={"ping_seconds": 0.5}))
    api = urlsplit(gateway.api_url)
    request = [f"GET /ws/sessions HTTP/1.1\r\nhost: {api.netloc}\r\n"]
    request += [f"{name}: {value}\r\n" for name, value in HANDSHAKE.items()]
    with listen(gateway) as answering, socket.create_connection((api.hostname, api.port)) as dumb:
        answering.next()
        dumb.settimeout(30)
        dumb.sendall("".join([*request, "\r\n"]).encode())
        read = b""
        with contextlib.suppress(ConnectionResetError):
            while more := dumb.recv(65_536):
                read += more
        # Two pings without an answer; nobody is told anything more then.
        assert read.count(b"\x89\x00") == 2
        LegacyClient.connect(gateway.url)
        assert answering.until("session_created"), "who answers, stays"


def test_a_stop_tells_listeners_to_come_back(start_archon):
    gateway = start_archon()
    with listen(gateway) as listener:
        listener.next()
        assert gateway.is_running
        subprocess.run(["kill", f"-{signal.SIGTERM.value}", str(gateway.pid)], check=True)
        assert closed_with(listener) == 1001
    assert gateway.stop() == 0


def test_after_an_upgrade_listeners_are_at_the_new_process(start_archon):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url)
    with listen(gateway) as listener:
        known = listener.next()["seq"]
        command = [str(archon_bin()), "upgrade", "--db", str(gateway.db)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        assert closed_with(listener) == 1001
        with listen(gateway, since=known) as again:
            frame = again.next()
            assert frame["type"] == "resync"
            assert [s["session_id"] for s in frame["data"]["sessions"]] == [client.session]
            client.call("health_check")
            assert again.until("request")


def test_a_listener_hears_nothing_of_before_it_came(start_archon):
    gateway = start_archon()
    gone = LegacyClient.connect(gateway.url)
    gone.end()
    with listen(gateway) as listener:
        snapshot = listener.next()
        client = LegacyClient.connect(gateway.url, name=f"client {uuid.uuid4()}")
        created = events(listener.until("session_created"))
    assert snapshot["data"]["sessions"] == []
    assert [frame["session_id"] for frame in created] == [client.session]
