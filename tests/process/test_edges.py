"""What bad input gets: an error in the form its protocol expects, and no effect on anyone else."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest

import rows
from harness import Processes
from wire import (
    JSON_HEADERS,
    Answer,
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

# A row of each kind; `protocol/envelope.rs` has the table. How -32700 (no JSON, or JSON that two readers could read in
# two ways) and -32600 (no message of JSON-RPC 2.0) are told apart is the specification's (JSON-RPC 2.0, 5.1). An error
# carries the id where it can be read.
BAD_BODIES: dict[str, tuple[int, int | None, bytes]] = {
    "empty": (-32700, None, b""),
    "cut off": (-32700, 1, b'{"jsonrpc":"2.0","id":1,"method":"tools/li'),
    "invalid UTF-8": (-32700, 1, b'{"jsonrpc":"2.0","id":1,"method":"\xff\xfe"}'),
    "nested objects": (
        -32700,
        1,
        b'{"jsonrpc":"2.0","id":1,"method":"x","params":' + b'{"a":' * 10_000,
    ),
    "nested lists": (-32700, None, b"[" * 10_000 + b"]" * 10_000),
    "an id twice": (-32700, None, b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}'),
    "a null id": (-32600, None, b'{"jsonrpc":"2.0","id":null,"method":"ping"}'),
    "a huge text as id": (
        -32600,
        None,
        b'{"jsonrpc":"2.0","id":"%s","method":"ping"}' % (b"x" * 100_000),
    ),
    "a list as params": (-32600, 1, b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}'),
    "a batch of today": (-32600, None, b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]'),
}


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


@pytest.mark.parametrize("kind", BAD_BODIES)
def test_a_bad_body_is_refused_in_the_protocols_own_form(healthy, kind):
    code, id, body = BAD_BODIES[kind]
    client = LegacyClient.connect(healthy.url)
    answer = send(healthy.url, "POST", body, client.headers())
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/json"
    assert (answer.message["jsonrpc"], answer.message["id"]) == ("2.0", id)
    assert answer.error["code"] == code
    assert 0 < len(answer.error["message"]) < 500


def test_two_readers_of_a_meta_cannot_differ(healthy):
    client = ModernClient(healthy.url)
    version = b'"io.modelcontextprotocol/protocolVersion"'
    body = client.body("tools/list").replace(version, version + b':"2025-11-25",' + version)
    answer = send(healthy.url, "POST", body, client.headers("tools/list"))
    assert (answer.status, answer.error["code"]) == (400, -32700)


@pytest.mark.parametrize("id", [0, -1, 2**62, "", "a", 'ü\n"\\', "x" * 200])
def test_an_id_comes_back_as_it_was(healthy, id):
    client = LegacyClient.connect(healthy.url)
    body = encoded(message("tools/call", {"name": "echo", "arguments": {"text": "x"}}, id))
    answer = send(healthy.url, "POST", body, client.headers())
    assert (answer.message["id"], answer.text) == (id, "x")
    assert LegacyClient.connect(healthy.url).call("session_info").result


@pytest.mark.parametrize(
    "text", ["\x00", "a\x00b", "🎉" * 1000, "\u2028\u202e", "</script>", "'; --"]
)
def test_any_text_passes_and_is_written(healthy, text):
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


HOSTS = [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:80",
    "",
    "[::1",
    "0.0.0.0",
]
ORIGINS = ["http://evil.example", "https://127.0.0.1.evil.example", "null", "", "file://"]


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize(
    "header",
    [("host", host) for host in HOSTS] + [("origin", origin) for origin in ORIGINS],
    ids=lambda header: "=".join(header),
)
def test_a_foreign_host_or_origin_is_forbidden(healthy, era, header):
    foreign = dict([header])
    if era == "legacy":
        client = LegacyClient.connect(healthy.url)
        answers = [
            client.call("echo", {"text": "x"}, foreign),
            send(healthy.url, "POST", encoded(initialize()), {**JSON_HEADERS, **foreign}),
            send(healthy.url, "GET", b"", client.headers(foreign)),
            send(healthy.url, "DELETE", b"", client.headers(foreign)),
        ]
    else:
        modern = ModernClient(healthy.url)
        answers = [
            modern.request("server/discover", headers=foreign),
            modern.call("echo", {"text": "x"}, foreign),
        ]
    for answer in answers:
        assert answer.status == 403
        assert answer.error["message"]
        assert (answer.session, answer.handle, answer.cookie) == (None, None, None)


@pytest.mark.parametrize("path", ["/health", "/nothing", "/mcp/nothing"])
@pytest.mark.parametrize("port", ["mcp", "api"])
def test_a_foreign_page_learns_nothing_on_any_path(healthy, path, port):
    base = healthy.url.removesuffix("/mcp") if port == "mcp" else healthy.api_url
    for foreign in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
        answer = send(base + path, "GET", b"", foreign)
        assert answer.status == 403
        assert b"fixture" not in answer.body and b"uptime" not in answer.body


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8051"])
def test_our_own_names_are_let_in(healthy, host):
    answer = ModernClient(healthy.url).call(
        "echo", {"text": "x"}, {"host": host, "origin": "http://localhost:5173"}
    )
    assert answer.text == "x"


def test_other_names_are_let_in_where_the_operator_says_so(start_archon):
    gateway = start_archon("--allowed-host", "mcp.example")
    client = ModernClient(gateway.url)
    assert client.call("find_projects", headers={"host": "mcp.example:8443"}).result
    assert client.call("find_projects", headers={"host": "evil.example"}).status == 403


def test_two_hosts_are_one_too_many(healthy):
    host = urlsplit(healthy.url).netloc
    client = ModernClient(healthy.url)
    body = client.body("server/discover")
    for hosts in ((host, "evil.example"), ("evil.example", host)):
        lines = ["POST /mcp HTTP/1.1", "connection: close", f"content-length: {len(body)}"]
        lines += [f"host: {host}" for host in hosts]
        lines += [f"{name}: {value}" for name, value in client.headers("server/discover").items()]
        got = exchange(healthy.url, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        assert got.split()[1] in (b"400", b"403"), got


def test_a_request_without_a_host_is_forbidden(healthy):
    got = exchange(healthy.url, b"POST /mcp HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}")
    assert got.split()[1] in (b"400", b"403"), got


@pytest.mark.parametrize("method", ["PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"])
def test_another_method_is_not_allowed(healthy, method):
    answer = send(healthy.url, method)
    assert answer.status == 405
    assert answer.headers["allow"] == "POST, GET, DELETE"


@pytest.mark.parametrize("path", ["/", "/mcpx", "/mcp/no/such", "/mcp/..", "/mcp/%2e%2e", "/MCP"])
def test_an_unknown_path_says_where_to_go(healthy, path):
    url = healthy.url.removesuffix("/mcp") + path
    answer = send(url, "POST", encoded(initialize()), JSON_HEADERS)
    assert answer.status == 404
    assert "/mcp" in answer.error["message"]


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


def test_a_body_of_unknown_length_is_held_to_the_same_limit(healthy):
    client = LegacyClient.connect(healthy.url)
    body = oversized(4 * MIB + 1)
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(chunk), chunk)
        for chunk in (body[at : at + 65536] for at in range(0, len(body), 65536))
    )
    refused = post_by_hand(healthy.url, client.headers(), chunks + b"0\r\n\r\n", "transfer-encoding: chunked")
    assert refused.status == 413


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
