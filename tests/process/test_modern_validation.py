"""What a modern request must say of itself, and the specification's errors where it does not."""

from __future__ import annotations

import base64

import pytest

import rows
from harness import Processes
from wire import MODERN, ModernClient, encoded, send

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


def test_a_header_that_is_unlike_the_body_is_refused(gateway, call):
    # A row of the table in `layer/refused.rs`, among the library's tests.
    headers, body = call
    answer = send(gateway.url, "POST", encoded(body), {**headers, "mcp-name": "other"})
    assert (answer.status, answer.message["id"], answer.error["code"]) == (400, 5, -32020)


@pytest.mark.parametrize("version", ["2026-12-24", "2099-01-01"])
def test_a_version_that_nobody_speaks_is_refused_with_those_that_are(gateway, call, version):
    headers, body = call
    headers["mcp-protocol-version"] = body["params"]["_meta"][META + "protocolVersion"] = version
    answer = send(gateway.url, "POST", encoded(body), headers)
    assert (answer.status, answer.error["code"]) == (400, -32022)
    assert answer.error["data"]["requested"] == version
    assert MODERN in answer.error["data"]["supported"]


def test_a_method_that_is_removed_is_not_found(start_archon):
    # What another server makes of a removed method is its own affair; this is the demo server, whose tests in Rust
    # have more of them.
    gateway, methods = start_archon(), ["resources/subscribe", "resources/unsubscribe"]
    for method in methods:
        answer = ModernClient(gateway.url).request(method, {"uri": "test://x"})
        assert (answer.status, answer.error["code"]) == (404, -32601)
    noted = [(method, "error") for method in methods]
    rows.expect(gateway.db, noted, "SELECT method, status FROM archon_mcp_requests ORDER BY 1")


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
