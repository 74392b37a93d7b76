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


def test_peers_that_do_not_finish_their_headers_are_cut_off(start_archon, config):
    gateway = start_archon(*config(limits={"header_seconds_max": SHORT_S}))
    # Before anything is sent: the gateway's time cannot have begun earlier.
    began = time.monotonic()
    peers = {what: connection_to(gateway) for what in STARTS}
    for what, slow in peers.items():
        slow.sendall(STARTS[what])
    for what, slow in peers.items():
        with slow:
            try:
                rest = slow.recv(65536)
            except ConnectionResetError:
                rest = b""
            except TimeoutError:
                pytest.fail(f"{what}: still connected after {NOTICED_S} s")
        assert rest == b"" or b" 408 " in rest, what
        assert time.monotonic() - began > SHORT_S / 2, what


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


def test_headers_are_counted_and_measured(start_archon):
    health = start_archon().url.removesuffix("/mcp") + "/health"
    for count, status in ((90, 200), (101, 431), (5_000, 431)):
        headers = {f"x-{n}": "v" for n in range(count)}
        assert send(health, "GET", b"", headers).status == status, count
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


# `layer/limits.rs`, among the library's tests, has what else a session may have at once, in both eras.


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
