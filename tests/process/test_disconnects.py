"""A client that leaves in the middle of a call: legacy calls go on, modern ones are cancelled."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

import rows
from harness import Archon, wait_for
from wire import LegacyClient, ModernClient, opened

Client = LegacyClient | ModernClient


# Longer than any test: a call of this length ends only by being cancelled.
FOR_EVER_MS = 600_000
NAP_MS = 1_500


def counted(watcher: Client, key: str) -> int:
    """What the upstream has counted under a key."""
    return int(watcher.text("count", key=key, add=0))


def leave_in_call(client: Client, watcher: Client, ms: int) -> None:
    """Calls `sleep`, and closes the connection once the call has begun upstream.

    The bytes are sent by hand, since a library would wait for the answer's headers first.
    """
    arguments = {"name": "sleep", "arguments": {"ms": ms, "key": "nap"}}
    body = client.body("tools/call", arguments)
    headers = (
        client.headers()
        if isinstance(client, LegacyClient)
        else client.headers("tools/call", "sleep")
    )
    parts = urlsplit(client.url)
    lines = [f"POST {parts.path} HTTP/1.1", f"host: {parts.netloc}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        wait_for("the call has begun", lambda: counted(watcher, "nap.started"))


def expect_nap(gateway: Archon, status: str, error: str | None) -> None:
    """Waits for the row of the call that was left."""
    where = "FROM archon_mcp_requests WHERE tool_name = 'sleep'"
    rows.expect(gateway.db, [(1,)], f"SELECT count(*) {where}")
    assert rows.query(gateway.db, f"SELECT status, error_message {where}") == [(status, error)]


@pytest.mark.parametrize(
    "upstream_args",
    [(), ("--legacy-only",), ("--modern-only",)],
    ids=["both", "legacy-only", "modern-only"],
)
def test_a_legacy_call_goes_on_without_its_client(start_fixture, start_archon, upstream_args):
    gateway = start_archon(upstream=start_fixture(*upstream_args))
    client, watcher = LegacyClient.connect(gateway.url), LegacyClient.connect(gateway.url)

    leave_in_call(client, watcher, NAP_MS)

    wait_for("the call has finished", lambda: counted(watcher, "nap.finished"))
    assert counted(watcher, "nap.cancelled") == 0
    expect_nap(gateway, "success", None)
    [(duration,)] = rows.query(
        gateway.db, "SELECT duration_ms FROM archon_mcp_requests WHERE tool_name = 'sleep'"
    )
    assert duration >= NAP_MS
    assert client.text("echo", text="back") == "back"


def test_a_legacy_call_goes_on_where_the_answer_is_one_json_text(start_fixture, start_archon):
    # Such an upstream sends nothing until it answers, so the client leaves while we wait for it.
    gateway = start_archon(upstream=start_fixture("--json-response"))
    client, watcher = LegacyClient.connect(gateway.url), LegacyClient.connect(gateway.url)

    leave_in_call(client, watcher, NAP_MS)

    wait_for("the call has finished", lambda: counted(watcher, "nap.finished"))
    expect_nap(gateway, "success", None)


@pytest.mark.parametrize("upstream_args", [(), ("--json-response",)], ids=["events", "json"])
def test_a_modern_call_is_cancelled_with_its_client(start_fixture, start_archon, upstream_args):
    gateway = start_archon(upstream=start_fixture(*upstream_args))
    client = ModernClient(gateway.url)
    watcher = ModernClient(gateway.url, name="watcher")

    leave_in_call(client, watcher, FOR_EVER_MS)

    wait_for("the call was cancelled", lambda: counted(watcher, "nap.cancelled"))
    expect_nap(gateway, "error", "cancelled by its client")


def test_a_modern_call_is_cancelled_once_its_answer_has_begun(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    client = ModernClient(gateway.url)
    params = {"name": "progress", "arguments": {"steps": 100_000, "ms": 50}}
    body = client.body("tools/call", {**params, "_meta": {"progressToken": 1}})
    with opened(gateway.url, "POST", body, client.headers("tools/call", "progress")) as answer:
        assert b"notifications/progress" in next(x for x in answer if x.startswith(b"data:"))
    rows.expect(
        gateway.db,
        [("error", "cancelled by its client")],
        "SELECT status, error_message FROM archon_mcp_requests WHERE tool_name = 'progress'",
    )


def test_a_legacy_client_cancels_by_saying_so(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    client, watcher = LegacyClient.connect(gateway.url), LegacyClient.connect(gateway.url)
    call = {"name": "sleep", "arguments": {"ms": FOR_EVER_MS, "key": "nap"}}
    with opened(gateway.url, "POST", client.body("tools/call", call), client.headers()):
        wait_for("the call has begun", lambda: counted(watcher, "nap.started"))
        cancelled = {"requestId": 1, "reason": "changed my mind"}
        note = b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":%s}'
        body = note % str(cancelled).replace("'", '"').encode()
        with opened(gateway.url, "POST", body, client.headers()) as accepted:
            assert accepted.status == 202
        wait_for("the call was cancelled", lambda: counted(watcher, "nap.cancelled"))


def test_a_gateway_that_stops_waits_for_a_call_whose_client_has_left(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    client, watcher = LegacyClient.connect(gateway.url), LegacyClient.connect(gateway.url)
    leave_in_call(client, watcher, NAP_MS)
    assert gateway.stop() == 0
    expect_nap(gateway, "success", None)


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_timeout_is_told_and_written(start_fixture, start_archon, config, era):
    upstream = start_fixture()
    gateway = start_archon(*config(sessions={"call_timeout_seconds": 1}), upstream=upstream)
    client = LegacyClient.connect(gateway.url) if era == "legacy" else ModernClient(gateway.url)
    answer = client.call("sleep", {"ms": FOR_EVER_MS})
    assert answer.error["code"] == -31003
    assert "the call may still run" in answer.error["message"]
    expect_nap(gateway, "timeout", answer.error["message"])


def test_progress_is_a_sign_of_life(start_fixture, start_archon, config):
    settings = config(sessions={"call_timeout_seconds": 1})
    gateway = start_archon(*settings, upstream=start_fixture())
    client = LegacyClient.connect(gateway.url)
    arguments = {"name": "progress", "arguments": {"steps": 6, "ms": 400}}
    answer = client.request("tools/call", {**arguments, "_meta": {"progressToken": "p"}})
    assert answer.text == "6 steps"


def test_keeping_a_stream_open_is_no_sign_of_an_answer(start_small, start_archon, config):
    # Most servers send a comment every few seconds; a call that is stuck would never time out.
    settings = config(sessions={"call_timeout_seconds": 1})
    gateway = start_archon(*settings, upstream=start_small())
    client = LegacyClient.connect(gateway.url)
    call = {"name": "hang", "arguments": {}}
    with opened(gateway.url, "POST", client.body("tools/call", call), client.headers()) as answer:
        for line in answer:
            if line.startswith(b"data: {"):
                assert b"-31003" in line
                break
    rows.expect(
        gateway.db,
        [("timeout",)],
        "SELECT status FROM archon_mcp_requests WHERE tool_name = 'hang'",
    )
