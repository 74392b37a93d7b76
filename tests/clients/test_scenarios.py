"""What the caller of our clients sees when things go wrong, and that no tool ever runs twice unasked.

docs/clients.md has the table of these scenarios.
"""

from __future__ import annotations

import json
import urllib.request

import pytest

import rows
from drivers import ANSWER_S, Failed
from harness import free_port, wait_for


def expect_failure(pending, type):
    """Waits for the error that a call ends with."""
    with pytest.raises(Failed) as failed:
        pending.result(ANSWER_S)
    assert failed.value.type == type, failed.value
    return failed.value.message


def running(client, journal, **arguments):
    """Begins a call that takes a while, and returns once the server runs it."""
    before = journal.begun()
    call = client.call("count", key="k", **arguments)
    wait_for("the call is running", lambda: call.done() or journal.begun() > before)
    assert not call.done(), call.result()
    return call


def test_a_client_of_the_gateway_works(start_client, gateway, journal, era):
    client = start_client(gateway.url, era=era)
    assert client.text("echo", text="grüße 🎉") == "grüße 🎉"
    assert {"echo", "heartbeat"} <= set(client.ask("list_tools")["names"])
    assert client.ask("health_check")["status"] == "healthy"
    client.ask("heartbeat")
    assert "the disk is full" in expect_failure(
        client.call("fail", message="the disk is full"), "ToolError"
    )
    expect_failure(client.call("no_such_tool"), "ToolError")
    assert client.text("test_header_param", region="eu") == '{"region":"eu"}'
    session = client.session()
    assert session["era"] == era
    rows.expect_session(gateway.db, session["session_id"], status="active", client_type="scenario")
    beaten = "SELECT count(*) FROM archon_mcp_requests WHERE tool_name = 'heartbeat'"
    rows.expect(gateway.db, [(1,)], beaten)
    client.ask("close")
    ended = ("disconnected", "client_disconnect") if era == "legacy" else ("active", None)
    rows.expect_session(
        gateway.db, session["session_id"], status=ended[0], disconnect_reason=ended[1]
    )


def test_the_gateway_restarts_while_a_call_runs(start_client, gateway, journal, era):
    client = start_client(gateway.url, era=era)
    client.text("echo", text="there is a session")
    before = client.session()
    call = running(client, journal, ms=500)
    gateway.restart()

    # A stop waits for the calls that are under way.
    assert call.result(ANSWER_S)["text"] == "1"
    assert journal.begun() == 1
    assert client.text("echo", text="on it goes") == "on it goes"
    assert client.session() == before


def test_the_gateway_crashes_while_a_call_runs(start_client, gateway, journal, era):
    client = start_client(gateway.url, era=era)
    client.text("echo", text="there is a session")
    before = client.session()
    call = running(client, journal, ms=1000)
    gateway.kill()
    gateway.restart()

    assert "may have run" in expect_failure(call, "OutcomeUnknown")
    assert client.text("echo", text="on it goes") == "on it goes"
    assert client.session() == before
    assert journal.begun() == 1


def test_the_connection_breaks_while_a_call_runs(start_client, cable, journal, era):
    client = start_client(cable.url, era=era)
    said = len(cable.heard)
    call = running(client, journal, ms=1000)
    if era == "legacy":
        # From its first event on, a stream can be come back to.
        wait_for("the stream has begun", lambda: b"\nid:" in cable.heard[said:])
    cable.cut()

    if era == "legacy":
        # Its answer waits for who comes back for it.
        assert call.result(ANSWER_S)["text"] == "1"
    else:
        expect_failure(call, "OutcomeUnknown")
    assert client.text("echo", text="on it goes") == "on it goes"
    assert journal.begun() == 1


def test_connections_are_used_again(start_client, cable, era):
    client = start_client(cable.url, era=era)
    for call in range(30):
        assert client.text("echo", text=str(call)) == str(call)
    assert cable.accepted < 15


@pytest.mark.parametrize(("tool", "times"), [("count_read_only", 2), ("count", 1)])
def test_only_a_tool_whose_marks_are_trusted_runs_again(start_client, cable, journal, tool, times):
    client = start_client(cable.url, era="modern", trust_annotations=True)
    call = client.call(tool, key="k", ms=700)
    wait_for("the call is running", lambda: journal.begun() == 1)
    cable.cut()

    if times == 2:
        assert call.result(ANSWER_S)["text"].isdigit()
    else:
        expect_failure(call, "OutcomeUnknown")
    assert journal.begun() == times


def test_the_server_restarts_between_calls(start_client, gateway, upstream, era):
    client = start_client(gateway.url, era=era)
    client.text("echo", text="there is a session")
    before = client.session()
    upstream.kill()
    upstream.restart()
    assert client.text("echo", text="on it goes") == "on it goes"
    assert client.session() == before


def test_the_server_dies_while_a_call_runs(start_client, gateway, upstream, journal, era):
    client = start_client(gateway.url, era=era)
    call = running(client, journal, ms=1000)
    upstream.kill()
    upstream.restart()
    assert "may have run" in expect_failure(call, "OutcomeUnknown")
    assert client.text("echo", text="on it goes") == "on it goes"
    assert journal.begun() == 1


def test_the_server_stays_away(start_client, start_gateway, upstream, journal):
    gateway = start_gateway(**{"upstreams.fixture": {"restart_grace_seconds": 0.1}})
    client = start_client(gateway.url, max_retries=1)
    upstream.kill()
    expect_failure(client.call("count", key="k"), "ConnectionError")
    upstream.restart()
    assert client.text("count", key="k") == "1"
    assert journal.begun() == 1


def test_a_session_that_expired_is_continued(start_client, start_gateway, era):
    gateway = start_gateway(sessions={"idle_timeout_seconds": 1, "reap_every_seconds": 0.2})
    client = start_client(gateway.url, era=era)
    client.text("echo", text="there is a session")
    before = client.session()
    rows.expect_session(gateway.db, before["session_id"], disconnect_reason="timeout_no_activity")

    assert client.text("echo", text="on it goes") == "on it goes"

    after = client.session()
    assert after["mcp_session_id"] == before["mcp_session_id"]
    assert after["session_id"] != before["session_id"]
    rows.expect_session(gateway.db, after["session_id"], continues=before["session_id"])


@pytest.mark.parametrize("era", ["legacy"])
def test_heartbeats_keep_an_idle_session(start_client, start_gateway, era):
    gateway = start_gateway(sessions={"idle_timeout_seconds": 2, "reap_every_seconds": 0.2})
    client = start_client(gateway.url, era=era, heartbeat_ms=300)
    client.text("echo", text="there is a session")
    session = client.session()["session_id"]
    lasting = (
        "SELECT count(*) FROM archon_mcp_sessions WHERE session_id = ? AND"
        " (julianday(last_activity) - julianday(connected_at)) * 86400 > 3"
    )
    wait_for("longer than the timeout", lambda: rows.query(gateway.db, lasting, session) == [(1,)])
    rows.expect_session(gateway.db, session, status="active")
    assert client.session()["session_id"] == session


def test_a_session_that_an_operator_ended(start_client, gateway, journal, era):
    client = start_client(gateway.url, era=era)
    client.text("echo", text="there is a session")
    before = client.session()
    url = f"{gateway.api_url}/api/mcp/sessions/{before['session_id']}"
    urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=30).close()
    rows.expect_session(gateway.db, before["session_id"], disconnect_reason="operator")

    assert client.text("count", key="k") == "1"

    after = client.session()
    assert after["session_id"] != before["session_id"]
    if era == "legacy":
        assert after["mcp_session_id"] != before["mcp_session_id"]
    rows.expect_session(gateway.db, after["session_id"], status="active", continues=None)
    assert journal.begun() == 1


def test_a_reconnect_token_works_once(start_client, gateway, era):
    client = start_client(gateway.url, era=era)
    client.text("echo", text="there is a session")
    session = client.session()["session_id"]
    state = client.ask("save")

    client.ask("reconnect")

    assert client.session()["session_id"] == session
    assert client.session()["reconnect_count"] == 1
    rows.expect_session(gateway.db, session, status="active", reconnect_count=1)
    late = start_client(gateway.url, state=state)
    assert "token_mismatch" in expect_failure(late.begin("reconnect"), "SessionError")
    assert client.text("echo", text="on it goes") == "on it goes"
    assert client.session()["session_id"] == session


def test_another_process_goes_on_in_the_session(start_client, gateway, era):
    first = start_client(gateway.url, era=era)
    first.text("echo", text="there is a session")
    before = first.session()
    state = first.ask("save")
    first.kill()
    gateway.kill()
    gateway.restart()

    # Through a file, as it would be.
    second = start_client(gateway.url, state=json.loads(json.dumps(state)))

    assert second.text("echo", text="on it goes") == "on it goes"
    after = second.session()
    assert (after["session_id"], after["era"]) == (before["session_id"], era)
    rows.expect(gateway.db, [(1,)], "SELECT count(*) FROM archon_mcp_sessions")
    secrets = [state.get("reconnect_token"), before["mcp_session_id"]]
    logged = first.log() + second.log()
    assert not [secret for secret in secrets if secret and secret in logged]


def test_a_slow_server(start_client, gateway, journal, era):
    client = start_client(gateway.url, era=era, timeout_ms=2000)
    call = running(client, journal, ms=600_000)
    expect_failure(call, "OutcomeUnknown")
    assert client.text("echo", text="on it goes") == "on it goes"
    assert journal.begun() == 1


@pytest.mark.parametrize("era", ["modern"])
def test_a_server_that_the_gateway_waits_for_in_vain(start_client, start_gateway, journal, era):
    gateway = start_gateway(sessions={"call_timeout_seconds": 1})
    client = start_client(gateway.url, era=era)
    call = running(client, journal, ms=600_000)
    assert "may still run" in expect_failure(call, "OutcomeUnknown")
    assert journal.begun() == 1


def test_nobody_listens(start_client):
    client = start_client()
    url = f"http://127.0.0.1:{free_port()}/mcp"
    settings = {"timeout_ms": 5000, "max_retries": 2, "retry_delay_ms": 10}
    with pytest.raises(Failed) as failed:
        client.connect(url, **settings)
    assert failed.value.type == "ConnectionError"


def test_a_call_waits_for_a_gateway_that_comes_back(start_client, gateway, journal, era):
    client = start_client(gateway.url, era=era)
    client.text("echo", text="there is a session")
    before = client.session()
    gateway.stop()
    call = client.call("count", key="k")
    gateway.start()
    assert call.result(ANSWER_S)["text"] == "1"
    assert client.session() == before
    assert journal.begun() == 1


def test_too_many_calls_at_once(start_client, start_gateway, journal, era):
    gateway = start_gateway(sessions={"calls_max": 1})
    client = start_client(gateway.url, era=era)
    first = running(client, journal, ms=700)
    assert client.text("count", key="k") == "2"
    assert first.result(ANSWER_S)["text"] == "1"
    # The second was turned away until the first was over.
    assert journal.events() == ["started", "ended"] * 2


@pytest.mark.parametrize(
    ("status", "headers", "type", "calls"),
    [
        (429, {"retry-after": "0"}, None, 2),
        (503, {"retry-after": "0"}, None, 2),
        (429, {"retry-after": "3600"}, "ConnectionError", 1),
        (503, {}, "OutcomeUnknown", 1),
        (500, {}, "OutcomeUnknown", 1),
        (401, {}, "ConnectionError", 1),
    ],
)
def test_what_a_status_allows(start_client, stub, status, headers, type, calls):
    client = start_client(stub.url, era="legacy")
    stub.refusals = [(status, headers)]
    call = client.call("any")
    if type is None:
        assert call.result(ANSWER_S)["text"] == "done"
    else:
        expect_failure(call, type)
    assert stub.calls == calls
