"""Legacy clients that lost their stream and come back with the id of the last event they saw."""

from __future__ import annotations

import base64
import select

import pytest

import rows
from harness import wait_for
from wire import LegacyClient, events, next_message, opened, send

pytestmark = pytest.mark.timeout(120)

# How long to wait for an event that must not come.
QUIET_S = 3

# A call that takes longer than 50 ms gives its client an id before its answer.
SLOW_MS = 300

CRASHES = ["undisturbed", "gateway", "upstream"]


@pytest.fixture
def upstream(start_fixture):
    return start_fixture()


@pytest.fixture
def gateway(start_archon, upstream):
    return start_archon(upstream=upstream)


def crash(victim, gateway, upstream):
    """Kills and restarts one of the two, or neither."""
    if victim != "undisturbed":
        process = gateway if victim == "gateway" else upstream
        process.kill()
        process.restart()


def standing(client, last=None, timeout_s=30.0):
    """Opens the stream on which the server speaks by itself."""
    more = {"last-event-id": last} if last else {}
    return opened(client.url, "GET", b"", client.headers(more), timeout_s)


def begun(client, tool, **arguments):
    """Sends a call, leaves as soon as its stream has an id, and returns that and the call."""
    body = client.body("tools/call", {"name": tool, "arguments": arguments})
    with opened(client.url, "POST", body, client.headers()) as stream:
        id, _ = next(events(stream))
    return id, body


def resumed(client, last):
    """Comes back to a stream that ends, and returns the messages that were missed."""
    answer = send(client.url, "GET", b"", client.headers({"last-event-id": last}))
    assert answer.status == 200
    return answer


def stored_events(gateway, text):
    sql = "SELECT count(*) FROM archon_mcp_events WHERE event LIKE ?"
    return rows.query(gateway.db, sql, f"%{text}%")[0][0]


@pytest.mark.parametrize("victim", CRASHES)
def test_a_resumed_stream_does_not_repeat_what_was_read(gateway, upstream, victim):
    client = LegacyClient.connect(gateway.url)
    with standing(client) as stream:
        client.text("log", text="first")
        id, data = next_message(stream)
        assert "first" in data
    crash(victim, gateway, upstream)
    with standing(client, id, QUIET_S) as stream:
        client.text("log", text="second")
        messages = [data for _, data in events(stream) if data]
    assert len(messages) == 1 and "second" in messages[0]


@pytest.mark.parametrize("victim", CRASHES)
def test_a_resumed_stream_brings_what_was_missed_and_goes_on(gateway, upstream, victim):
    client = LegacyClient.connect(gateway.url)
    with standing(client) as stream:
        client.text("log", text="first")
        id, _ = next_message(stream)
    client.text("log", text="missed")
    wait_for("the event is stored", lambda: stored_events(gateway, "missed"))
    crash(victim, gateway, upstream)
    with standing(client, id) as stream:
        assert "missed" in next_message(stream)[1]
        client.text("log", text="live")
        assert "live" in next_message(stream)[1]


def test_who_comes_back_without_an_id_misses_nothing_either(gateway):
    client = LegacyClient.connect(gateway.url)
    with standing(client) as stream:
        client.text("log", text="first")
        assert "first" in next_message(stream)[1]
    client.text("log", text="missed")
    with standing(client) as stream:
        assert "missed" in next_message(stream)[1]


def test_an_open_stream_outlives_the_upstream(gateway, upstream):
    client = LegacyClient.connect(gateway.url)
    with standing(client) as stream:
        client.text("log", text="before")
        assert "before" in next_message(stream)[1]
        for n in range(2):
            upstream.kill()
            upstream.restart()

            # The stream at the upstream is opened again a moment later; what is said before is lost
            # there, as it would be without us.
            def said(text=f"after {n}"):
                client.text("log", text=text)
                return select.select([stream.fp.raw], [], [], 0.5)[0] and text in next_message(stream)[1]

            wait_for("the stream goes on", said)


def test_the_answer_waits_for_a_client_that_left(gateway):
    client = LegacyClient.connect(gateway.url)
    id, _ = begun(client, "sleep", ms=300, key="k")
    assert "result" in resumed(client, id).message
    rows.expect(
        gateway.db,
        [("success", 1)],
        "SELECT status, count(*) FROM archon_mcp_requests WHERE tool_name = 'sleep' GROUP BY 1",
    )


@pytest.mark.parametrize("durability", ["relaxed", "strict"])
def test_a_finished_answer_waits_also_over_a_crash(start_archon, upstream, config, durability):
    gateway = start_archon(*config(store={"durability": durability}), upstream=upstream)
    client = LegacyClient.connect(gateway.url)
    id, _ = begun(client, "echo", text="kept", ms=SLOW_MS)
    wait_for("the answer is stored", lambda: stored_events(gateway, "kept"))
    gateway.kill()
    gateway.restart()
    assert resumed(client, id).text == "kept"


@pytest.mark.parametrize("durability", ["relaxed", "strict"])
def test_a_call_that_a_crash_interrupted_has_an_unknown_outcome(
    start_archon, upstream, config, durability
):
    gateway = start_archon(*config(store={"durability": durability}), upstream=upstream)
    client = LegacyClient.connect(gateway.url)
    id, body = begun(client, "sleep", ms=5000, key="k")
    wait_for("the ledger", lambda: rows.query(gateway.db, "SELECT 1 FROM archon_mcp_calls"))
    gateway.kill()
    gateway.restart()

    for _ in range(2):
        error = resumed(client, id).error
        assert error["code"] == -31002 and "may have run" in error["message"]
    again = send(client.url, "POST", body, client.headers())
    assert again.error["code"] == -31002, "the same call is not run again"
    assert "result" in client.call("sleep", {"ms": 1, "key": "k"}).message
    rows.expect(
        gateway.db,
        [("error", 2), ("success", 1)],
        "SELECT status, count(*) FROM archon_mcp_requests WHERE tool_name = 'sleep'"
        " GROUP BY 1 ORDER BY 1",
    )
    assert rows.query(gateway.db, "SELECT * FROM archon_mcp_calls") == []


def test_a_call_without_an_event_stream_is_known_again_after_a_crash(start_fixture, start_archon):
    upstream = start_fixture("--json-response")
    gateway = start_archon(upstream=upstream)
    client = LegacyClient.connect(gateway.url)
    body = client.body("tools/call", {"name": "sleep", "arguments": {"ms": 5000, "key": "k"}})
    with pytest.raises(OSError), opened(client.url, "POST", body, client.headers(), 0.5) as stream:
        stream.read()
    wait_for("the ledger", lambda: rows.query(gateway.db, "SELECT 1 FROM archon_mcp_calls"))
    gateway.kill()
    gateway.restart()
    assert send(client.url, "POST", body, client.headers()).error["code"] == -31002
    quick = body.replace(b"5000", b"1")
    assert "result" in send(client.url, "POST", quick, client.headers()).message


def test_who_waits_on_a_stream_that_is_not_known_is_told_so(gateway):
    client = LegacyClient.connect(gateway.url)
    id = f"ffff-0-r{base64.urlsafe_b64encode(b'77').decode().rstrip('=')}"
    answer = resumed(client, id)
    assert answer.error["code"] == -31002
    assert answer.message["id"] == 77


def test_the_events_of_another_client_are_not_found(gateway):
    client, other = LegacyClient.connect(gateway.url), LegacyClient.connect(gateway.url)
    id, _ = begun(client, "echo", text="secret", ms=SLOW_MS)
    wait_for("the answer is stored", lambda: stored_events(gateway, "secret"))
    # Nothing is known there of the stream, and the id says what it is to answer.
    assert resumed(other, id).error["code"] == -31002
    assert resumed(client, id).text == "secret"


def test_an_answer_that_is_too_large_to_keep_is_named_as_such(start_archon, upstream, config):
    settings = config(store={"events_bytes_per_client": 1000})
    gateway = start_archon(*settings, upstream=upstream)
    client = LegacyClient.connect(gateway.url)
    id, _ = begun(client, "big", bytes=100_000, ms=SLOW_MS)
    rows.expect_counts(gateway.db, {"big": 1}, "tool_name")
    error = resumed(client, id).error
    assert error["code"] == -31008 and "no longer kept" in error["message"]


def test_an_answer_is_kept_until_its_client_says_that_it_has_it(gateway):
    # Nothing else shows it: behind a proxy, the next request on a connection may be anybody's.
    client = LegacyClient.connect(gateway.url)
    for text in ["fast", "slow"]:
        client.text("echo", text=text, ms=SLOW_MS if text == "slow" else 0)
    body = client.body("tools/call", {"name": "echo", "arguments": {"text": "last", "ms": SLOW_MS}})
    with opened(client.url, "POST", body, client.headers()) as stream:
        (first, _), (answer, data) = [event for event in events(stream) if event[0]]
    assert "last" in data
    wait_for("the answers are stored", lambda: stored_events(gateway, "last"))
    assert stored_events(gateway, "slow") == 1
    assert stored_events(gateway, "fast") == 1, "its server begins each stream with an id"

    assert resumed(client, first).text == "last"
    for _ in range(2):
        again = send(client.url, "GET", b"", client.headers({"last-event-id": answer}))
        assert again.status == 405, "clients on the TypeScript SDK take that for the end"
    wait_for("the answer is forgotten", lambda: not stored_events(gateway, "last"))
    assert stored_events(gateway, "slow") == 1


def test_who_says_goodbye_does_not_come_back(gateway):
    client = LegacyClient.connect(gateway.url)
    begun(client, "echo", text="hello", ms=SLOW_MS)
    wait_for("the answer is stored", lambda: stored_events(gateway, "hello"))
    assert send(client.url, "DELETE", b"", client.headers()).status == 200
    rows.expect(gateway.db, [(0,)], "SELECT count(*) FROM archon_mcp_events")


def test_events_are_forgotten_when_they_are_old(start_archon, upstream, config):
    settings = config(store={"events_seconds_max": 1})
    gateway = start_archon(*settings, upstream=upstream)
    client = LegacyClient.connect(gateway.url)
    begun(client, "echo", text="old", ms=SLOW_MS)
    wait_for("the answer is stored", lambda: stored_events(gateway, "old"))
    rows.expect(gateway.db, [(0,)], "SELECT count(*) FROM archon_mcp_events")


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25"])
def test_a_stream_begins_with_an_id_for_clients_that_expect_it(start_small, start_archon, version):
    # Only since 2025-11-25 may a stream begin with an event without data; to older clients it would be
    # a message that is none.
    client = LegacyClient.connect(start_archon(upstream=start_small()).url, version)
    body = client.body("tools/call", {"name": "hang", "arguments": {}})
    with opened(client.url, "POST", body, client.headers()) as stream:
        lines = b"".join(stream.readline() for _ in range(10))
    assert (b"id: " in lines) == (version == "2025-11-25")
