"""What bad input gets: an error in the form its protocol expects, and no effect on anyone else."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
from urllib.parse import urlsplit

import pytest

import rows
from harness import Processes
from wire import (
    JSON_HEADERS,
    LegacyClient,
    ModernClient,
    encoded,
    get_json,
    initialize,
    message,
    post_by_hand,
    send,
)

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One gateway for the tests of this file that leave no trace on it."""
    with Processes(tmp_path_factory.mktemp("edges")) as processes:
        upstream = processes.start_fixture()
        yield processes.start_archon(upstream=upstream)


@pytest.fixture
def healthy(shared):
    """The shared gateway, which must be as healthy after the test as it was before."""
    client = LegacyClient.connect(shared.url)
    yield shared
    assert client.text("echo", text="still here") == "still here"
    assert get_json(shared.url.removesuffix("/mcp") + "/health")[1]["status"] == "healthy"
    assert "panicked" not in shared.log()


def exchange(url: str, request: bytes, timeout_s: float = 30) -> bytes:
    """Sends bytes as they are, and returns what came back until the connection was closed."""
    parts = urlsplit(url)
    received = b""
    with socket.create_connection((parts.hostname, parts.port), timeout_s) as connection:
        connection.sendall(request)
        with contextlib.suppress(ConnectionResetError):
            while data := connection.recv(65536):
                received += data
    return received


# Rust has the tables of which these are rows: `layer/refused.rs` and `layer/forms.rs` among the library's tests, and
# what stands beside `layer/edge.rs`.


def test_a_bad_body_is_refused_in_the_protocols_own_form(healthy):
    client = LegacyClient.connect(healthy.url)
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/li'
    answer = send(healthy.url, "POST", body, client.headers())
    assert (answer.status, answer.message["id"], answer.error["code"]) == (400, 1, -32700)


def test_an_id_comes_back_as_it_was(healthy):
    id = 'ü\n"\\'
    client = LegacyClient.connect(healthy.url)
    body = encoded(message("tools/call", {"name": "echo", "arguments": {"text": "x"}}, id))
    answer = send(healthy.url, "POST", body, client.headers())
    assert (answer.message["id"], answer.text) == (id, "x")
    assert LegacyClient.connect(healthy.url).call("session_info").result


def test_any_text_passes_and_is_written(healthy):
    # The name of the client takes the first twenty characters.
    text = "\x00a\x00b🎉\u2028\u202e</script>'; --" + "🎉" * 1000
    client = LegacyClient.connect(healthy.url, name="odd " + text[:20])
    assert client.text("echo", text=text) == text
    refused = client.call(f"no such tool {text[:50]}")
    assert refused.error["message"]
    rows.expect_requests(
        healthy.db,
        [("initialize", "success"), ("tools/call", "success"), ("tools/call", "error")],
        "method, status",
        client.session,
    )


@pytest.mark.parametrize("kind", ["knows batches", "knows none"])
def test_a_client_of_2025_03_26_may_batch(start_everything, start_fixture, start_archon, kind):
    knows = kind == "knows batches"
    gateway = start_archon(upstream=start_everything() if knows else start_fixture())
    client = LegacyClient.connect(gateway.url, version="2025-03-26")
    assert client.version == "2025-03-26"
    arguments = {"message": "hello"} if knows else {"text": "hello"}
    batch = [
        message("ping", None, 1),
        message("notifications/x", None, None),
        message("tools/call", {"name": "echo", "arguments": arguments}, "two"),
        message("tools/call", {"name": "heartbeat", "arguments": {}}, 3),
    ]
    answer = send(gateway.url, "POST", encoded(batch), client.headers())
    assert answer.status == 200
    assert {m["id"] for m in answer.messages if "result" in m} == {1, "two", 3}
    rows.expect(
        gateway.db,
        [("ping", None), ("tools/call", "echo"), ("tools/call", "heartbeat")],
        "SELECT method, tool_name FROM archon_mcp_requests WHERE method <> 'initialize' ORDER BY 2",
    )
    assert send(gateway.url, "POST", encoded(batch[1:2]), client.headers()).status == 202

    handshake = encoded([*batch, initialize()])
    refused = send(gateway.url, "POST", handshake, client.headers())
    assert (refused.status, refused.error["code"]) == (400, -32600)


def test_a_foreign_host_or_origin_is_forbidden(healthy):
    client, modern = LegacyClient.connect(healthy.url), ModernClient(healthy.url)
    for answer in (
        client.call("echo", {"text": "x"}, {"host": "evil.example"}),
        modern.call("echo", {"text": "x"}, {"origin": "http://evil.example"}),
    ):
        assert answer.status == 403
        assert (answer.session, answer.handle, answer.cookie) == (None, None, None)


def test_a_foreign_page_learns_nothing_on_any_path(healthy):
    bases = (healthy.url.removesuffix("/mcp"), healthy.api_url)
    paths = ("/health", "/nothing", "/mcp/nothing")
    foreign = ({"host": "evil.example"}, {"origin": "http://evil.example"})
    for base, path, header in itertools.product(bases, paths, foreign):
        answer = send(base + path, "GET", b"", header)
        assert answer.status == 403
        assert b"fixture" not in answer.body and b"uptime" not in answer.body


def test_our_own_names_are_let_in(healthy):
    names = {"host": "[::1]:8051", "origin": "http://localhost:5173"}
    answer = ModernClient(healthy.url).call("echo", {"text": "x"}, names)
    assert answer.text == "x"


def test_other_names_are_let_in_where_the_operator_says_so(start_archon):
    gateway = start_archon("--allowed-host", "mcp.example")
    client = ModernClient(gateway.url)
    assert client.call("find_projects", headers={"host": "mcp.example:8443"}).result
    assert client.call("find_projects", headers={"host": "evil.example"}).status == 403


def test_a_request_without_a_host_is_forbidden(healthy):
    got = exchange(healthy.url, b"POST /mcp HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}")
    assert got.split()[1] in (b"400", b"403"), got


def test_another_method_is_not_allowed(healthy):
    answer = send(healthy.url, "OPTIONS")
    assert answer.status == 405
    assert answer.headers["allow"] == "POST, GET, DELETE"


def test_an_unknown_path_says_where_to_go(healthy):
    for path in ("/", "/mcpx", "/mcp/no/such", "/mcp/..", "/mcp/%2e%2e", "/MCP"):
        url = healthy.url.removesuffix("/mcp") + path
        answer = send(url, "POST", encoded(initialize()), JSON_HEADERS)
        assert answer.status == 404, path
        assert "/mcp" in answer.error["message"], path


def oversized(size: int) -> bytes:
    """A message of this many bytes."""
    call = message("tools/call", {"name": "echo", "arguments": {"text": ""}}, 1)
    return encoded(call)[:-4] + b"x" * (size - len(encoded(call))) + encoded(call)[-4:]


def test_a_body_may_have_four_mebibytes_and_no_more(healthy):
    client = LegacyClient.connect(healthy.url)
    body = oversized(4 * MIB)
    json.loads(body)
    accepted = send(healthy.url, "POST", body, client.headers())
    assert len(accepted.text) > 4 * MIB - 200

    refused = post_by_hand(healthy.url, client.headers(), oversized(4 * MIB + 1))
    assert refused.status == 413
    assert "4194304 bytes" in refused.error["message"]


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_large_answer_streams_through_whole(healthy, era):
    url = healthy.url
    client = LegacyClient.connect(url) if era == "legacy" else ModernClient(url, name="large")
    answer = client.call("big", {"bytes": 10 * MIB})
    assert answer.text == "x" * (10 * MIB)
    rows.expect(
        healthy.db,
        [("success", 1)],
        "SELECT status, response_bytes > 10485760 FROM archon_mcp_requests"
        " WHERE tool_name = 'big' AND session_id = ?",
        answer.session,
    )


def test_an_answer_of_the_wrong_shape_from_a_client_is_harmless(healthy):
    client = LegacyClient.connect(healthy.url)
    for answer in ({"result": {}}, {"error": {"code": 1, "message": "x"}}, {"result": 7}):
        body = encoded({"jsonrpc": "2.0", "id": 99, **answer})
        assert send(healthy.url, "POST", body, client.headers()).status in (202, 400)


def test_a_wrong_version_header_is_refused(healthy):
    client = LegacyClient.connect(healthy.url)
    answer = client.call("echo", {"text": "x"}, {"mcp-protocol-version": "1999-01-01"})
    assert answer.status == 400
    absent = {name: value for name, value in client.headers().items() if "version" not in name}
    body = client.body("tools/call", {"name": "echo", "arguments": {"text": "x"}})
    assert send(healthy.url, "POST", body, absent).text == "x"
