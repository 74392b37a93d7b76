"""Modern clients in front of servers that speak only the legacy era."""

from __future__ import annotations

import http.client
import json
import threading
from urllib.parse import urlsplit

import pytest

import lines
import rows
from api import Api
from clients import ELICITED, LIBRARIES, SAMPLED, connect, run
from harness import fixture_command, wait_for
from inspector import inspect
from wire import (
    JSON_HEADERS,
    LEGACY,
    MODERN,
    Answer,
    KeepingClient,
    ModernClient,
    encoded,
    message,
    next_message,
    opened,
    send,
)

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:The logging capability is deprecated"),
]

# How long to wait for an event on a stream.
EVENT_S = 20

libraries = pytest.mark.parametrize("library", LIBRARIES)


@pytest.fixture(params=["http", "stdio"])
def legacy(request, start_fixture, start_archon):
    """A gateway in front of a server of the legacy era, over each transport."""
    if request.param == "http":
        return start_archon(upstream=start_fixture("--legacy-only"))
    return start_archon(upstream=fixture_command("--legacy-only"))


@pytest.fixture
def legacy_upstream(start_fixture):
    return start_fixture("--legacy-only")


@pytest.fixture
def legacy_over_http(start_archon, legacy_upstream):
    return start_archon(upstream=legacy_upstream)


@pytest.fixture
def start_crossed(config, start_archon):
    """Starts a gateway with a setting of `bridge` for its upstream, a process or a command."""

    def start(upstream, bridge):
        where = "command" if isinstance(upstream, str) else "url"
        settings = {where: getattr(upstream, "url", upstream), "bridge": bridge}
        return start_archon(*config(**{"upstreams.fixture": settings}))

    return start


@libraries
def test_a_library_of_both_eras_falls_back_to_the_servers(legacy, library):
    async def use():
        async with connect(library, legacy.url, "auto") as client:
            assert await client.version() == LEGACY
            assert await client.text("echo", text="grüße 🎉") == "grüße 🎉"

    run(use())
    # It keeps what it has at the server, and `server/discover` left nothing.
    rows.expect(
        legacy.db, [("legacy", LEGACY)], "SELECT era, protocol_version FROM archon_mcp_sessions"
    )


@pytest.mark.parametrize("transport", ["http", "stdio"])
def test_how_a_legacy_server_is_discovered_is_a_setting(start_fixture, start_crossed, transport):
    is_http = transport == "http"
    upstream = start_fixture("--legacy-only") if is_http else fixture_command("--legacy-only")
    for bridge in ("auto", "never"):
        client = ModernClient(start_crossed(upstream, bridge).url)
        for _ in range(2):
            refused = client.request("server/discover")
            assert (refused.status, refused.error["code"]) == (404, -32601)
            assert LEGACY in refused.error["data"]["supported"]
            assert refused.session is None
        called = client.call("echo", {"text": "x"})
        if bridge == "auto":
            assert called.text == "x"
        else:
            assert (called.status, called.error["code"]) == (400, -32022)
            assert LEGACY in called.error["data"]["supported"]


def test_a_modern_server_may_be_left_to_refuse_handshakes(start_fixture, start_crossed):
    hello = encoded(message("initialize", {"protocolVersion": LEGACY, "capabilities": {}}, 1))
    for upstream in (start_fixture("--modern-only"), fixture_command("--modern-only")):
        gateway = start_crossed(upstream, "never")
        refused = send(gateway.url, "POST", hello, JSON_HEADERS)
        assert refused.error and refused.handle is None
        assert ModernClient(gateway.url).text("echo", text="x") == "x"


def test_calls_without_the_state_of_those_before_are_told_of(legacy):
    client = ModernClient(legacy.url)
    session = client.call("echo", {"text": "first"}).session
    assert Api(legacy.api_url).get(f"/sessions/{session}")["loses_state"] is False
    for _ in range(2):
        assert client.call("echo", {"text": "x"}).session == session
    assert Api(legacy.api_url).get(f"/sessions/{session}")["loses_state"] is True
    assert legacy.log().count("without the state of those before") == 1


@libraries
def test_a_modern_library_does_all_that_it_can(legacy, library):
    async def use():
        async with connect(library, legacy.url, MODERN) as client:
            assert await client.version() == MODERN
            assert {"echo", "big", "session_info"} <= await client.tools()
            assert await client.text("echo", text="grüße 🎉") == "grüße 🎉"
            assert SAMPLED in await client.text("test_sampling", prompt="say something")
            assert ELICITED["email"] in await client.text("test_elicitation", message="who")
            assert await client.text("progress", steps=4, ms=10) == "4 steps"
            return client.progress

    assert run(use()) == [(step, 4) for step in (1, 2, 3, 4)]
    rows.expect(
        legacy.db, [("modern", MODERN)], "SELECT era, protocol_version FROM archon_mcp_sessions"
    )
    # A modern client answers a server's question by calling again: that is two requests.
    counts = {"echo": 1, "test_sampling": 2, "test_elicitation": 2, "progress": 1}
    rows.expect_counts(legacy.db, counts, "tool_name")
    rows.expect(legacy.db, [("success",)], "SELECT DISTINCT status FROM archon_mcp_requests")


def test_a_modern_client_hears_the_logs_that_it_asks_for(legacy):
    async def use():
        async with connect("mcp", legacy.url, MODERN, log_level="warning") as client:
            # On the GET stream, where some servers log, a message may come after its call's answer.
            while client.logged.empty():
                await client.call("log", text="too low", level="info")
                await client.call("log", text="heard", level="error")
            return await client.logged.get()

    assert run(use()) == "heard"
    # One that asks for none gets none.
    said = ModernClient(legacy.url).call("log", {"text": "x", "level": "error"})
    assert [m for m in said.messages if "method" in m] == []


def test_a_legacy_server_is_discovered(start_crossed):
    gateway = start_crossed(fixture_command("--legacy-only"), "always")
    found = ModernClient(gateway.url).request("server/discover").result
    assert found["supportedVersions"] == [MODERN]
    assert found["instructions"] == "A server to test against"
    assert found["capabilities"]["tools"] == {"listChanged": True}
    assert found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "archon-fixture"
    assert (found["resultType"], found["ttlMs"], found["cacheScope"]) == ("complete", 0, "private")


def test_results_say_all_that_the_modern_era_requires(legacy):
    client = KeepingClient(legacy.url)
    for method in ("tools/list", "prompts/list", "resources/list", "resources/templates/list"):
        listed = client.request(method).result
        assert (listed["resultType"], listed["ttlMs"]) == ("complete", 0)
    read = client.request("resources/read", {"uri": "test://static-text"}).result
    assert (read["resultType"], read["cacheScope"]) == ("complete", "private")
    called = client.call("fail", {"message": "as asked"}).result
    assert (called["resultType"], called["isError"]) == ("complete", True)
    assert called["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "archon-fixture"


def test_errors_are_those_of_the_modern_era(legacy):
    client = KeepingClient(legacy.url)
    gone = client.request("resources/read", {"uri": "test://none"})
    assert (gone.status, gone.error["code"]) == (200, -32602)
    assert gone.error["data"] == {"uri": "test://none"}
    for method in ("no/such", "ping", "resources/subscribe", "tasks/get"):
        refused = client.request(method, {"uri": "test://x"} if "resources" in method else {})
        assert (refused.status, refused.error["code"]) == (404, -32601), method
    assert client.call("no such tool").error["code"] == -32602
    refused = client.call("test_sampling", {"prompt": "x"})
    assert (refused.status, refused.error["code"]) == (400, -32021)
    assert "sampling" in refused.error["data"]["requiredCapabilities"]


def test_headers_that_mirror_arguments_are_checked(legacy):
    client = KeepingClient(legacy.url)
    arguments = {"region": "eu", "priority": 7}
    mirrored = {"mcp-param-region": "eu", "mcp-param-priority": "7"}
    called = client.call("test_header_param", arguments, mirrored)
    assert json.loads(called.text) == arguments
    for wrong in ({}, {**mirrored, "mcp-param-region": "us"}):
        refused = client.call("test_header_param", arguments, wrong)
        assert (refused.status, refused.error["code"]) == (400, -32020)


def test_a_session_has_one_session_at_the_upstream(legacy_over_http):
    client = KeepingClient(legacy_over_http.url)

    def seen(by: ModernClient) -> str:
        return by.call("headers").result["structuredContent"]["mcp-session-id"][0]

    # The first answer brought the cookie that proves the session.
    assert len({seen(client) for _ in range(3)}) == 1
    # Who proves nothing shares nothing.
    stranger = ModernClient(legacy_over_http.url)
    assert len({seen(stranger) for _ in range(3)} | {seen(client)}) == 4
    found = client.call("headers").result["structuredContent"]
    assert found["mcp-protocol-version"] == [LEGACY]
    assert not {"mcp-method", "mcp-name", "cookie"} & set(found)


def test_ids_and_progress_tokens_of_clients_do_not_meet(legacy):
    client = KeepingClient(legacy.url)
    client.call("echo", {"text": "x"})
    answers = []

    def call(steps: int) -> None:
        params = {"name": "progress", "arguments": {"steps": steps, "ms": 50}}
        meta = client.meta(progressToken="t")
        body = encoded(message("tools/call", {**params, "_meta": meta}, "same"))
        headers = client.headers("tools/call", "progress", {"cookie": client.cookie})
        answers.append(send(legacy.url, "POST", body, headers))

    callers = [threading.Thread(target=call, args=(steps,)) for steps in (3, 4, 5)]
    [caller.start() for caller in callers]
    [caller.join() for caller in callers]
    for answer in answers:
        assert answer.message["id"] == "same"
        told = [m["params"] for m in answer.messages if m.get("method") == "notifications/progress"]
        steps = int(answer.text.split()[0])
        assert [t["progress"] for t in told] == list(range(1, steps + 1))
        assert {t["progressToken"] for t in told} == {"t"}
    assert sorted(a.text for a in answers) == ["3 steps", "4 steps", "5 steps"]


ABLE = {"elicitation": {}, "sampling": {}, "roots": {}}
NAMED = {"question": {"action": "accept", "content": {"name": "Ada"}}}


def retry(client: ModernClient, tool: str, state: str, responses: dict) -> Answer:
    """Calls again with answers, as a client does that was asked something."""
    params = {"name": tool, "arguments": {}}
    more = {"requestState": state, "inputResponses": responses}
    return client.request("tools/call", {**params, **more})


def test_a_dialogue_of_a_legacy_server_is_many_calls(legacy):
    client = ModernClient(legacy.url, capabilities=ABLE)
    tool = "test_input_required_result_multi_round"
    asked = client.call(tool).result
    assert asked["resultType"] == "input_required"
    assert asked["inputRequests"]["question"]["method"] == "elicitation/create"
    asked = retry(client, tool, asked["requestState"], NAMED).result
    assert "color" in asked["inputRequests"]["question"]["params"]["message"]
    color = {"question": {"action": "accept", "content": {"color": "green"}}}
    done = retry(client, tool, asked["requestState"], color)
    assert (done.text, done.result["resultType"]) == ("Ada likes green", "complete")


def test_a_state_is_good_for_its_own_call_once(legacy):
    client = ModernClient(legacy.url, capabilities=ABLE)
    tool = "test_input_required_result_elicitation"
    state = client.call(tool).result["requestState"]
    # Not for another call, and not for one that was made up.
    assert retry(client, "test_elicitation", state, NAMED).error["code"] == -32602
    assert retry(client, tool, "archon.made-up", NAMED).error["code"] == -32602
    # Without an answer the question stands.
    again = retry(client, tool, state, {}).result
    assert again["resultType"] == "input_required"
    state = again["requestState"]
    assert retry(client, tool, state, NAMED).text == "Hello, Ada!"
    assert retry(client, tool, state, NAMED).error["code"] == -31002


def test_what_a_session_has_at_a_legacy_server_outlasts_its_silence(
    start_fixture, config, start_archon
):
    sessions = {"idle_timeout_seconds": 1, "reap_every_seconds": 0.1}
    fixture = {"url": start_fixture("--legacy-only").url}
    gateway = start_archon(*config(sessions=sessions, **{"upstreams.fixture": fixture}))

    def seen(by: KeepingClient) -> tuple[str | None, str]:
        answer = by.call("headers")
        return answer.session, answer.result["structuredContent"]["mcp-session-id"][0]

    silent = KeepingClient(gateway.url, name="silent")
    session, at_upstream = seen(silent)
    # A question is not over, so that its session is not either.
    asked = KeepingClient(gateway.url, name="asked", capabilities=ABLE)
    asked.call("echo", {"text": "x"})
    tool = "test_input_required_result_elicitation"
    question = asked.call(tool)
    rows.expect_session(gateway.db, session, disconnect_reason="timeout_no_activity")

    params = {"name": tool, "arguments": {}, "inputResponses": NAMED}
    state = {"requestState": question.result["requestState"]}
    done = asked.request("tools/call", {**params, **state}, {"cookie": asked.cookie})
    assert (done.text, done.session) == ("Hello, Ada!", question.session)
    # The session that goes on from the silent one has what that had.
    again, still_at_upstream = seen(silent)
    assert again != session and still_at_upstream == at_upstream


def test_a_parked_call_does_not_outlive_the_gateway(legacy):
    client = ModernClient(legacy.url, capabilities=ABLE)
    tool = "test_input_required_result_elicitation"
    state = client.call(tool).result["requestState"]
    legacy.kill()
    legacy.restart()
    lost = retry(client, tool, state, NAMED)
    assert lost.error["code"] == -31002 and "may have run" in lost.error["message"]
    assert client.call("echo", {"text": "x"}).text == "x"


def test_a_closed_stream_cancels_at_a_legacy_server(legacy):
    client = KeepingClient(legacy.url)
    client.call("echo", {"text": "x"})
    params = {"name": "sleep", "arguments": {"ms": 600_000, "key": "slept"}}

    def counted(event: str) -> bool:
        return client.text("count", key=f"slept.{event}", add=0) == "1"

    body = client.body("tools/call", params)
    headers = client.headers("tools/call", "sleep", {"cookie": client.cookie})
    parts = urlsplit(legacy.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    connection.request("POST", parts.path, body, headers)
    wait_for("the call runs", lambda: counted("started"))
    connection.close()
    wait_for("the upstream knows", lambda: counted("cancelled"))


def test_changes_are_told_to_those_who_subscribed(legacy):
    client = KeepingClient(legacy.url)
    client.call("echo", {"text": "x"})
    watched = "test://watched-resource"
    asked = {"toolsListChanged": True, "resourceSubscriptions": [watched], "taskIds": ["t"]}
    body = client.body("subscriptions/listen", {"notifications": asked})
    id = json.loads(body)["id"]
    headers = client.headers("subscriptions/listen", None, {"cookie": client.cookie})
    with opened(legacy.url, "POST", body, headers, EVENT_S) as stream:
        first = json.loads(next_message(stream)[1])
        assert first["method"] == "notifications/subscriptions/acknowledged"
        accepted = {"toolsListChanged": True, "resourceSubscriptions": [watched]}
        assert first["params"]["notifications"] == accepted
        client.call("test_trigger_prompt_change")
        client.call("update_resource", {"uri": watched})
        told = json.loads(next_message(stream)[1])
        assert told["method"] == "notifications/resources/updated"
        assert told["params"]["uri"] == watched
        assert told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == id
        client.call("test_trigger_tool_change")
        told = json.loads(next_message(stream)[1])
        assert told["method"] == "notifications/tools/list_changed"


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_modern_client_goes_on_after_restarts(legacy_over_http, legacy_upstream, how):
    client = KeepingClient(legacy_over_http.url)
    assert client.text("echo", text="x") == "x"
    for process in (legacy_upstream, legacy_over_http):
        getattr(process, how)()
        process.restart()
        assert client.text("echo", text="again") == "again"
    rows.expect(legacy_over_http.db, [(1,)], "SELECT count(*) FROM archon_mcp_sessions")


def test_a_lost_call_at_a_legacy_server_has_an_unknown_outcome(start_impatient, legacy_upstream):
    client = KeepingClient(start_impatient(legacy_upstream).url)
    lost = client.call("count_and_cut", {"key": "k"})
    assert lost.error["code"] == -31002
    assert client.text("count", key="k", add=0) == "1"
    legacy_upstream.kill()
    assert client.call("echo", {"text": "x"}).error["code"] == -31001


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_server_that_we_did_not_write_serves_modern_clients(
    start_everything, start_archon, library
):
    gateway = start_archon(upstream=start_everything())

    async def use():
        async with connect(library, gateway.url, MODERN) as client:
            assert {"echo", "get-sum"} <= await client.tools()
            assert "hello" in await client.text("echo", message="hello")
            assert SAMPLED in await client.text("trigger-sampling-request", prompt="x")
            assert "provided" in await client.text("trigger-elicitation-request")
            done = await client.text("trigger-long-running-operation", duration=0.2, steps=2)
            assert "completed" in done
            return client.progress

    assert run(use()) == [(1, 2), (2, 2)]


@pytest.mark.parametrize(("era", "server"), [("legacy", "modern"), ("modern", "legacy")])
def test_the_inspector_crosses(start_fixture, start_crossed, tmp_path, era, server):
    # It begins with `server/discover` where it speaks the modern era alone.
    gateway = start_crossed(start_fixture(f"--{server}-only"), "always")
    listed = inspect(gateway.url, tmp_path, "tools/list", era=era)
    assert {"echo", "session_info"} <= {tool["name"] for tool in listed["tools"]}
    args = ("--tool-name", "echo", "--tool-arg", "text=hello")
    called = inspect(gateway.url, tmp_path, "tools/call", *args, era=era)
    assert called["content"][0]["text"] == "hello"
    rows.expect(gateway.db, [(era,)], "SELECT DISTINCT era FROM archon_mcp_sessions")


def test_a_modern_client_uses_the_plainest_command(start_archon):
    client = KeepingClient(start_archon(upstream=lines.command()).url)
    assert client.text("echo", text="x") == "x"
    pids = {client.text("pid") for _ in range(3)}
    assert len(pids) == 1


def test_a_session_at_the_upstream_ends_with_its_own(start_everything, start_archon):
    upstream = start_everything()
    gateway = start_archon(upstream=upstream)
    # Without roots: this server asks for them by itself, during a call or not.
    client = KeepingClient(gateway.url, capabilities={"elicitation": {}, "sampling": {}})
    assert client.text("echo", message="x") == client.text("echo", message="x")

    def begun_and_ended() -> tuple[int, int]:
        log = upstream.log()
        return log.count("Session initialized"), log.count("session termination request")

    assert begun_and_ended() == (1, 0)
    session = client.call("echo", {"message": "x"}).session
    assert Api(gateway.api_url).ask("DELETE", f"/sessions/{session}").status == 200
    wait_for("it ended at the upstream", lambda: begun_and_ended() == (1, 1))

    # One that is only guessed has none for longer than its request; the first proves itself by
    # being new.
    stranger = ModernClient(gateway.url, name="stranger")
    for _ in range(3):
        stranger.call("echo", {"message": "x"})
    wait_for("two of four are over", lambda: begun_and_ended() == (4, 3))
    assert gateway.stop() == 0
    wait_for("all are over", lambda: begun_and_ended() == (4, 4))
