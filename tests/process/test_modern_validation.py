"""What a modern request must say of itself, and the specification's errors where it does not."""

from __future__ import annotations

import base64

import pytest

import rows
from harness import Processes
from wire import MODERN, LegacyClient, ModernClient, encoded, send

META = "io.modelcontextprotocol/"


@pytest.fixture(scope="module", params=["demo", "fixture"])
def gateway(request, tmp_path_factory):
    """One gateway for all tests of this file, in front of each kind of upstream."""
    with Processes(tmp_path_factory.mktemp("modern")) as processes:
        upstream = processes.start_fixture() if request.param == "fixture" else None
        yield processes.start_archon(upstream=upstream)


@pytest.fixture
def client(gateway):
    return ModernClient(gateway.url)


@pytest.fixture
def call(gateway, client):
    """Headers and body of a good call, to be spoilt."""
    name, arguments = ("find_projects", {})
    if "fixture" in gateway.upstreams:
        name, arguments = ("echo", {"text": "x"})
    params = {"name": name, "arguments": arguments, "_meta": client.meta()}
    body = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": params}
    return client.headers("tools/call", name), body


def test_a_good_call_is_answered(gateway, call):
    headers, body = call
    answer = send(gateway.url, "POST", encoded(body), headers)
    assert answer.message["id"] == 5
    assert answer.result.get("resultType", "complete") == "complete"
    assert answer.handle is None


WRONG_HEADERS = {
    "mcp-protocol-version": ["2025-11-25", "2027-01-01", "", "x"],
    "mcp-method": [None, "tools/list", "TOOLS/CALL", "", "=?base64?!?="],
    "mcp-name": [None, "other", "", "=?base64?b3RoZXI=?="],
}


@pytest.mark.parametrize(
    ("header", "value"),
    [(header, value) for header, values in WRONG_HEADERS.items() for value in values],
)
def test_a_header_that_is_missing_or_unlike_the_body_is_refused(gateway, call, header, value):
    headers, body = call
    del headers[header]
    if value is not None:
        headers[header] = value
    answer = send(gateway.url, "POST", encoded(body), headers)
    assert (answer.status, answer.error["code"]) == (400, -32020)
    assert answer.message["id"] == 5
    assert header in answer.error["message"].lower()
    assert (answer.session, answer.cookie) == (None, None)


def test_a_missing_version_header_is_refused(gateway, call):
    headers, body = call
    del headers["mcp-protocol-version"]
    answer = send(gateway.url, "POST", encoded(body), headers)
    assert (answer.status, answer.error["code"]) == (400, -32020)


@pytest.mark.parametrize("key", ["protocolVersion", "clientCapabilities"])
def test_required_meta_that_is_missing_is_refused(gateway, call, key):
    headers, body = call
    del body["params"]["_meta"][META + key]
    answer = send(gateway.url, "POST", encoded(body), headers)
    assert (answer.status, answer.error["code"]) == (400, -32602)
    assert META + key in answer.error["message"]
    assert answer.message["id"] == 5


@pytest.mark.parametrize("meta", [None, {}])
def test_no_meta_at_all_is_refused(gateway, call, meta):
    headers, body = call
    del body["params"]["_meta"]
    if meta is not None:
        body["params"]["_meta"] = meta
    answer = send(gateway.url, "POST", encoded(body), headers)
    assert (answer.status, answer.error["code"]) == (400, -32602)


def test_optional_meta_may_be_missing(gateway, call):
    headers, body = call
    del body["params"]["_meta"][META + "clientInfo"]
    answer = send(gateway.url, "POST", encoded(body), headers)
    assert answer.result
    rows.expect_session(gateway.db, answer.session, client_type="unknown-client")


@pytest.mark.parametrize("version", ["2026-12-24", "2099-01-01"])
def test_a_version_that_nobody_speaks_is_refused_with_those_that_are(gateway, call, version):
    headers, body = call
    headers["mcp-protocol-version"] = body["params"]["_meta"][META + "protocolVersion"] = version
    answer = send(gateway.url, "POST", encoded(body), headers)
    assert (answer.status, answer.error["code"]) == (400, -32022)
    assert answer.error["data"]["requested"] == version
    assert MODERN in answer.error["data"]["supported"]


@pytest.mark.parametrize(
    "method",
    ["no/such/method", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"],
)
def test_a_method_that_is_unknown_or_removed_is_not_found(start_archon, method):
    # What another server makes of a removed method is its own affair; this is the demo server.
    gateway = start_archon()
    params = {"logging/setLevel": {"level": "info"}}.get(method, {"uri": "test://x"})
    answer = ModernClient(gateway.url).request(method, params if "/" in method else {})
    assert (answer.status, answer.error["code"]) == (404, -32601)
    rows.expect(gateway.db, [(method, "error")], "SELECT method, status FROM archon_mcp_requests")


def test_a_handshake_in_modern_dress_is_not_found(gateway, client):
    # It would pass by the limit on handshakes, and leave a session upstream that nobody can use.
    info = {"name": "x", "version": "1"}
    params = {"protocolVersion": MODERN, "capabilities": {}, "clientInfo": info}
    answer = client.request("initialize", params)
    assert (answer.status, answer.error["code"]) == (404, -32601)
    assert answer.handle is None


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_there_is_nothing_to_get_or_delete(gateway, client, method):
    answer = send(gateway.url, method, b"", client.headers("x"))
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"


def test_there_are_no_batches(gateway, call):
    headers, body = call
    answer = send(gateway.url, "POST", encoded([body]), headers)
    assert (answer.status, answer.error["code"]) == (400, -32600)


def test_a_name_may_be_encoded(gateway, call):
    headers, body = call
    name = base64.b64encode(headers["mcp-name"].encode()).decode()
    headers["mcp-name"] = f"=?base64?{name}?="
    assert send(gateway.url, "POST", encoded(body), headers).result


def test_a_name_that_needs_encoding_reaches_the_upstream(gateway, client):
    name = "größe 🎉"
    encoded_name = f"=?base64?{base64.b64encode(name.encode()).decode()}?="
    params = {"name": name, "arguments": {}, "_meta": client.meta()}
    body = encoded({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    answer = send(gateway.url, "POST", body, client.headers("tools/call", encoded_name))
    assert "nknown tool" in answer.error["message"]
    rows.expect(
        gateway.db,
        [("error",)],
        "SELECT DISTINCT status FROM archon_mcp_requests WHERE tool_name = ?",
        name,
    )


def test_legacy_ids_mean_nothing(gateway, call):
    headers, body = call
    legacy = LegacyClient.connect(gateway.url)
    for handle in (legacy.handle, "no-such-handle"):
        headers |= {"mcp-session-id": handle, "last-event-id": "0/0"}
        answer = send(gateway.url, "POST", encoded(body), headers)
        assert answer.result
        assert answer.session != legacy.session
        assert answer.handle is None


def test_a_client_that_accepts_only_json_gets_json(gateway, call):
    headers, body = call
    answer = send(gateway.url, "POST", encoded(body), {**headers, "accept": "application/json"})
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.result


def test_a_body_must_say_that_it_is_json(gateway, call):
    headers, body = call
    answer = send(gateway.url, "POST", encoded(body), {**headers, "content-type": "text/plain"})
    assert answer.status in (400, 415)


def test_a_capability_that_was_not_declared_is_asked_for(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    answer = ModernClient(gateway.url).call("test_missing_capability")
    assert (answer.status, answer.error["code"]) == (400, -32021)
    assert "sampling" in answer.error["data"]["requiredCapabilities"]


def test_a_mirrored_argument_must_match(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    client = ModernClient(gateway.url)
    arguments = {"region": "north", "priority": 7, "dryRun": True}
    mirrored = {"mcp-param-region": "north", "mcp-param-priority": "7", "mcp-param-dryrun": "true"}
    assert client.call("test_header_param", arguments, mirrored).result
    for spoilt in ({"mcp-param-region": "south"}, {"mcp-param-priority": "8"}):
        answer = client.call("test_header_param", arguments, {**mirrored, **spoilt})
        assert (answer.status, answer.error["code"]) == (400, -32020)
