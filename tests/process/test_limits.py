"""Everything has a limit: connections, headers, bodies, handshakes, calls, streams, sessions."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

import rows
from harness import Archon, wait_for
from wire import (
    JSON_HEADERS,
    Answer,
    LegacyClient,
    ModernClient,
    encoded,
    get_json,
    initialize,
    opened,
    send,
)

# How long a peer is given in these tests, and how much later a loaded machine may notice.
SHORT_S = 0.5
NOTICED_S = 8

STARTS = {
    "nothing": b"",
    "half a line": b"POST /mcp HT",
    "half the headers": b"POST /mcp HTTP/1.1\r\nhost: localhost\r\nx-slow: ",
    "half of HTTP/2": b"PRI * HT",
}


def connection_to(gateway: Archon) -> socket.socket:
    """A bare connection to the MCP port."""
    parts = urlsplit(gateway.url)
    return socket.create_connection((parts.hostname, parts.port), NOTICED_S)


def is_refused_for_now(answer: Answer) -> bool:
    """Sees that an answer says so in the form that clients wait for."""
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.error["code"] == -31004
    assert "too many" in answer.error["message"]
    return True


@pytest.mark.parametrize("start", STARTS)
def test_a_peer_that_does_not_finish_its_headers_is_cut_off(start_archon, config, start):
    gateway = start_archon(*config(limits={"header_seconds_max": SHORT_S}))
    with connection_to(gateway) as slow:
        # Before it is sent: the gateway's time cannot have begun earlier.
        began = time.monotonic()
        slow.sendall(STARTS[start])
        try:
            rest = slow.recv(65536)
        except ConnectionResetError:
            rest = b""
        except TimeoutError:
            pytest.fail(f"still connected after {NOTICED_S} s")
        assert rest == b"" or b" 408 " in rest
        assert time.monotonic() - began > SHORT_S / 2


def test_headers_that_trickle_in_are_cut_off_too(start_archon, config):
    gateway = start_archon(*config(limits={"header_seconds_max": SHORT_S}))
    with connection_to(gateway) as slow, contextlib.suppress(OSError):
        slow.sendall(b"POST /mcp HTTP/1.1\r\nhost: localhost\r\nx-slow: ")
        slow.settimeout(0.1)
        deadline = time.monotonic() + NOTICED_S
        while time.monotonic() < deadline:
            slow.sendall(b"a")
            with contextlib.suppress(TimeoutError):
                if not slow.recv(1):
                    return
        pytest.fail(f"still connected after {NOTICED_S} s")


def test_a_body_that_does_not_arrive_is_given_up(start_archon, config):
    gateway = start_archon(*config(limits={"body_seconds_max": SHORT_S}))
    with connection_to(gateway) as slow:
        slow.sendall(b"POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{")
        response = http.client.HTTPResponse(slow)
        response.begin()
        answer = Answer(response.status, response.headers, response.read())
    assert answer.status == 408
    assert "in time" in answer.error["message"]


@pytest.mark.parametrize("count", [90, 101, 5_000])
def test_headers_are_counted(start_archon, count):
    gateway = start_archon()
    headers = {f"x-{n}": "v" for n in range(count)}
    status = send(gateway.url.removesuffix("/mcp") + "/health", "GET", b"", headers).status
    assert status == (200 if count < 100 else 431)


def test_headers_are_measured(start_archon):
    gateway = start_archon()
    health = gateway.url.removesuffix("/mcp") + "/health"
    assert send(health, "GET", b"", {"x-large": "v" * 30_000}).status == 200
    # What was read together is counted together, so the limit is between 64 KiB and twice that.
    assert send(health, "GET", b"", {"x-large": "v" * 200_000}).status == 431


def test_more_connections_wait_their_turn(start_archon, config):
    gateway = start_archon(*config(limits={"connections_max": 3, "header_seconds_max": 60}))
    holders = [connection_to(gateway) for _ in range(3)]
    health = gateway.url.removesuffix("/mcp") + "/health"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(get_json, health)
        # The API has places of its own.
        assert get_json(gateway.api_url + "/health")[0] == 200
        assert not waiting.done()
        holders.pop().close()
        assert waiting.result(NOTICED_S)[0] == 200
    for holder in holders:
        holder.close()


def test_silent_connections_do_not_shut_others_out(start_archon, config):
    limits = {"connections_max": 3, "header_seconds_max": SHORT_S}
    gateway = start_archon(*config(limits=limits))
    holders = [connection_to(gateway) for _ in range(3)]
    with opened(gateway.url, "POST", encoded(initialize()), JSON_HEADERS, NOTICED_S) as answer:
        assert answer.status == 200
    for holder in holders:
        holder.close()


def test_connections_of_one_address_are_limited(start_archon, config):
    limits = {"limit_loopback": True, "connections_max_per_address": 3, "header_seconds_max": 60}
    gateway = start_archon(*config(limits=limits))
    holders = [connection_to(gateway) for _ in range(3)]
    with connection_to(gateway) as refused:
        with contextlib.suppress(ConnectionResetError):
            assert refused.recv(1) == b"", "closed at once"
    holders.pop().close()
    health = gateway.url.removesuffix("/mcp") + "/health"
    wait_for("its place is free", lambda: is_served(health))
    for holder in holders:
        holder.close()


def is_served(url: str) -> bool:
    """Sees whether there is an answer."""
    try:
        return get_json(url)[0] == 200
    except OSError:
        return False


def test_new_sessions_are_limited_by_their_rate(start_archon, config):
    limits = {"limit_loopback": True, "new_sessions_per_second": 1, "new_sessions_burst": 2}
    gateway = start_archon(*config(limits=limits))
    body = encoded(initialize())
    answers = [send(gateway.url, "POST", body, JSON_HEADERS) for _ in range(6)]

    assert [answer.status for answer in answers[:2]] == [200, 200]
    refused = [answer for answer in answers if answer.status != 200]
    # A slow machine earns a handshake or two more while it sends these.
    assert len(refused) >= 2
    assert all(is_refused_for_now(answer) for answer in refused)
    assert refused[0].message["id"] == 0
    # Both eras are counted together: another name is another session.
    names = [f"invented-{number}" for number in range(20)]
    modern = [ModernClient(gateway.url, name=name).call("find_projects") for name in names]
    assert any(answer.status == 429 and is_refused_for_now(answer) for answer in modern)
    # A client that has a session goes on, and others do once they have waited.
    wait_for(
        "a handshake succeeds again",
        lambda: send(gateway.url, "POST", body, JSON_HEADERS).status == 200,
    )


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_calls_at_once_are_limited(start_fixture, start_archon, config, era):
    gateway = start_archon(*config(sessions={"calls_max": 2}), upstream=start_fixture())

    def client(name):
        if era == "legacy":
            return LegacyClient.connect(gateway.url, name=name)
        return ModernClient(gateway.url, name=name)

    busy, other = client("busy"), client("other")
    session = busy.call("echo", {"text": "x"}).session
    with ThreadPoolExecutor(2) as pool:
        sleeping = [pool.submit(busy.call, "sleep", {"ms": 2_000, "key": "nap"}) for _ in range(2)]
        wait_for("both sleep", lambda: other.text("count", key="nap.started", add=0) == "2")

        refused = busy.call("echo", {"text": "x"})
        assert is_refused_for_now(refused)
        # Another session has its own count.
        assert other.text("echo", text="x") == "x"
        assert [future.result().text for future in sleeping] == ["slept 2000 ms"] * 2

    again = wait_for("a place is free", lambda: answered(busy.call("echo", {"text": "x"})))
    assert (again.text, again.session) == ("x", session)


def answered(answer: Answer) -> Answer | None:
    """The answer, unless it was refused for now."""
    return answer if answer.status == 200 else None


def test_open_streams_are_limited(start_fixture, start_archon, config):
    gateway = start_archon(*config(sessions={"streams_max": 1}), upstream=start_fixture())
    one, two = LegacyClient.connect(gateway.url), LegacyClient.connect(gateway.url)
    with opened(gateway.url, "GET", b"", one.headers()) as stream:
        assert stream.status == 200
        assert is_refused_for_now(send(gateway.url, "GET", b"", one.headers()))
        with opened(gateway.url, "GET", b"", two.headers()) as other:
            assert other.status == 200
    wait_for("the place is free", lambda: stream_opens(gateway.url, one.headers()))


def test_open_subscriptions_are_limited(start_fixture, start_archon, config):
    gateway = start_archon(*config(sessions={"streams_max": 1}), upstream=start_fixture())
    client = ModernClient(gateway.url)
    cookie = {"cookie": client.call("echo", {"text": "x"}).cookie}
    listen = {"notifications": {"toolsListChanged": True}}
    headers = client.headers("subscriptions/listen", None, cookie)
    body = client.body("subscriptions/listen", listen)
    with opened(gateway.url, "POST", body, headers) as stream:
        assert stream.status == 200
        first = next(line for line in stream if line.startswith(b"data:") and len(line) > 8)
        assert b"acknowledged" in first
        again = client.request("subscriptions/listen", listen, cookie)
        assert is_refused_for_now(again)
        assert client.call("echo", {"text": "x"}, cookie).text == "x"
    # A subscription that its client closed ended as it should.
    rows.expect(
        gateway.db,
        [("success",)],
        "SELECT status FROM archon_mcp_requests WHERE method = 'subscriptions/listen'",
    )


def stream_opens(url: str, headers: dict[str, str]) -> bool:
    """Whether a GET stream is to be had."""
    with opened(url, "GET", b"", headers) as stream:
        return stream.status == 200


def test_sessions_are_limited(start_archon, config):
    idle = {"idle_timeout_seconds": 1, "reap_every_seconds": 0.2}
    gateway = start_archon(*config(sessions={**idle, "sessions_max": 2}))
    clients = [LegacyClient.connect(gateway.url) for _ in range(2)]
    legacy = send(gateway.url, "POST", encoded(initialize()), JSON_HEADERS)
    modern = ModernClient(gateway.url).call("find_projects")
    for refused in (legacy, modern):
        assert refused.status == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert "session limit reached" in refused.error["message"]
        assert (refused.session, refused.handle) == (None, None)
    assert clients[0].call("find_projects").result
    # Those that end make room.
    wait_for(
        "there is room",
        lambda: send(gateway.url, "POST", encoded(initialize()), JSON_HEADERS).status == 200,
    )


def test_connections_of_a_session_are_limited_and_the_oldest_goes(start_archon):
    gateway = start_archon()
    header = {"x-archon-client-key": "key-of-these-tests-1234567890"}
    first = LegacyClient.connect(gateway.url, headers=header)
    named = {"x-archon-session-id": first.session}
    later = [LegacyClient.connect(gateway.url, headers=header) for _ in range(64)]
    # What only names it takes the place of none.
    other = LegacyClient.connect(gateway.url, headers=named)
    assert other.session != first.session and later[0].call("find_projects").result
    assert first.call("find_projects").status == 404
    assert later[0].call("find_projects").session == later[-1].call("find_projects").session
    rows.expect(gateway.db, [(2,)], "SELECT count(*) FROM archon_mcp_sessions")


def test_the_params_of_a_handshake_are_limited(start_archon):
    gateway = start_archon()
    body = encoded(initialize(capabilities={"x": "y" * 100_000}))
    refused = send(gateway.url, "POST", body, JSON_HEADERS)
    assert 400 <= refused.status < 500
    assert refused.error["message"]
    # Waiting would not help, so the client is not told to.
    assert "wait" not in refused.error["message"]
    assert "retry-after" not in refused.headers
