"""Legacy clients in front of servers that speak only the modern era."""

from __future__ import annotations

import json
import threading

import pytest

import rows
from clients import ELICITED, LIBRARIES, SAMPLED, connect, run
from harness import fixture_command, wait_for
from wire import (
    JSON_HEADERS,
    LEGACY,
    LegacyClient,
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

HANDSHAKES = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]
# How long to wait for an event on a stream.
EVENT_S = 20

libraries = pytest.mark.parametrize("library", LIBRARIES)


@pytest.fixture(params=["http", "stdio"])
def gateway(request, start_fixture, start_archon):
    """A gateway in front of a server of the modern era, over each transport."""
    if request.param == "http":
        return start_archon(upstream=start_fixture("--modern-only"))
    return start_archon(upstream=fixture_command("--modern-only"))


@pytest.fixture
def upstream(start_fixture):
    return start_fixture("--modern-only")


@pytest.fixture
def over_http(start_archon, upstream):
    return start_archon(upstream=upstream)


@libraries
def test_a_legacy_library_does_all_that_it_can(gateway, library):
    async def use():
        async with connect(library, gateway.url, "legacy") as client:
            assert await client.version() == LEGACY
            assert {"echo", "big", "session_info"} <= await client.tools()
            assert await client.text("echo", text="grüße 🎉") == "grüße 🎉"
            assert SAMPLED in await client.text("test_sampling", prompt="say something")
            assert ELICITED["email"] in await client.text("test_elicitation", message="who")
            assert await client.text("progress", steps=4, ms=10) == "4 steps"
            await client.client.set_logging_level("warning")
            await client.call("log", text="too low", level="info")
            await client.call("log", text="heard", level="error")
            return client.progress, await client.logged.get()

    assert run(use()) == ([(step, 4) for step in (1, 2, 3, 4)], "heard")
    rows.expect(
        gateway.db,
        [("legacy", LEGACY, "client_disconnect")],
        "SELECT era, protocol_version, disconnect_reason FROM archon_mcp_sessions",
    )
    # The client asked once, whatever that took at the upstream.
    counts = {"echo": 1, "test_sampling": 1, "test_elicitation": 1, "progress": 1, "log": 2}
    rows.expect_counts(gateway.db, counts, "tool_name")
    rows.expect(gateway.db, [("success",)], "SELECT DISTINCT status FROM archon_mcp_requests")


@pytest.mark.parametrize("version", HANDSHAKES)
def test_a_handshake_is_answered_in_the_clients_version(over_http, version):
    client = LegacyClient.connect(over_http.url, version=version)
    assert client.version == version
    assert client.request("ping").result == {}
    assert client.text("echo", text="x") == "x"
    rows.expect_session(over_http.db, client.session, era="legacy", protocol_version=version)


def test_a_handshake_that_no_server_would_take_is_refused(gateway):
    # The second finds the server known as one without handshakes.
    for params in ({"protocolVersion": 7}, {}):
        refused = send(gateway.url, "POST", encoded(message("initialize", params, 1)), JSON_HEADERS)
        assert refused.error and refused.handle is None and refused.session is None
        LegacyClient.connect(gateway.url)


def test_a_server_introduces_itself(gateway):
    answer = LegacyClient.connect(gateway.url)
    hello = send(
        gateway.url,
        "POST",
        encoded(message("initialize", {"protocolVersion": LEGACY, "capabilities": {}}, 7)),
        {k: v for k, v in answer.headers().items() if k != "mcp-session-id"},
    )
    assert hello.message["id"] == 7
    assert hello.result["serverInfo"]["name"] == "archon-fixture"
    assert hello.result["instructions"] == "A server to test against"
    capabilities = hello.result["capabilities"]
    assert capabilities["tools"] == {"listChanged": True}
    assert capabilities["resources"]["subscribe"] is True
    assert not {"extensions", "tasks"} & set(capabilities)


def test_results_hold_nothing_of_the_modern_era(gateway):
    client = LegacyClient.connect(gateway.url)
    listed = {
        "tools/list": "tools",
        "prompts/list": "prompts",
        "resources/list": "resources",
        "resources/templates/list": "resourceTemplates",
    }
    for method, key in listed.items():
        assert set(client.request(method).result) == {key}
    read = client.request("resources/read", {"uri": "test://static-text"}).result
    assert set(read) == {"contents"}
    called = client.call("fail", {"message": "as asked"}).result
    assert called["isError"] and set(called) == {"content", "isError"}
    prompt = client.request("prompts/get", {"name": "test_simple_prompt"}).result
    assert "resultType" not in prompt and prompt["messages"]


def test_errors_are_those_of_the_legacy_era(gateway):
    client = LegacyClient.connect(gateway.url)
    gone = client.request("resources/read", {"uri": "test://none"})
    # Other statuses would say that the session is unknown.
    assert gone.status == 200
    assert (gone.error["code"], gone.error["data"]) == (-32002, {"uri": "test://none"})
    assert client.request("no/such").error["code"] == -32601
    assert client.request("tasks/list").error["code"] == -32601
    assert client.call("no such tool").error["code"] == -32602
    assert client.request("logging/setLevel", {"level": "loud"}).error["code"] == -32602
    # A client that cannot be asked is told so.
    assert client.call("test_sampling", {"prompt": "x"}).error["code"] == -32021
    assert client.text("echo", text="x") == "x"


def test_arguments_are_mirrored_as_the_tools_schema_wants(over_http):
    client = LegacyClient.connect(over_http.url)
    arguments = {"region": "grüß dich", "priority": 7}
    seen = client.call("test_header_param", arguments)
    assert json.loads(seen.text) == arguments


def test_an_upstream_is_sent_nothing_of_the_legacy_era(over_http):
    client = LegacyClient.connect(over_http.url)
    seen = client.call("headers", headers={"x-request-id": "7"}).result["structuredContent"]
    assert seen["mcp-protocol-version"] == ["2026-07-28"]
    assert seen["mcp-method"] == ["tools/call"] and seen["mcp-name"] == ["headers"]
    assert seen["x-request-id"] == ["7"]
    assert "mcp-session-id" not in seen


def test_a_batch_is_taken_apart(over_http):
    client = LegacyClient.connect(over_http.url, version="2025-03-26")
    batch = [
        message("tools/call", {"name": "echo", "arguments": {"text": text}}, text)
        for text in ("a", "b")
    ]
    answers = send(over_http.url, "POST", encoded(batch), client.headers()).messages
    texts = {answer["id"]: answer["result"]["content"][0]["text"] for answer in answers}
    assert texts == {"a": "a", "b": "b"}


def test_what_changes_is_told_on_the_open_stream(gateway):
    client = LegacyClient.connect(gateway.url)
    watched = {"uri": "test://watched-resource"}
    with opened(gateway.url, "GET", b"", client.headers(), EVENT_S) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert client.request("resources/subscribe", watched).result == {}
        client.text("update_resource", **watched)
        told = json.loads(next_message(stream)[1])
        assert told == {
            "jsonrpc": "2.0",
            "method": "notifications/resources/updated",
            "params": watched,
        }
        client.text("test_trigger_tool_change")
        assert "notifications/tools/list_changed" in next_message(stream)[1]
        assert client.request("resources/unsubscribe", watched).result == {}
        client.text("update_resource", **watched)
        client.text("test_trigger_prompt_change")
        told = [json.loads(next_message(stream)[1])["method"]]
        # The end of a subscription may overtake what was said before it.
        if told[-1] == "notifications/resources/updated":
            told.append(json.loads(next_message(stream)[1])["method"])
        assert told[-1] == "notifications/prompts/list_changed"


class Asked:
    """A legacy call whose server asks something: its stream, and the question."""

    def __init__(self, client: LegacyClient, stream):
        self.client, self.stream = client, stream
        self.question = json.loads(next_message(stream)[1])

    def answer(self, **said) -> None:
        answer = {"jsonrpc": "2.0", "id": self.question["id"], **said}
        sent = send(self.client.url, "POST", encoded(answer), self.client.headers())
        assert sent.status == 202

    def next(self) -> dict:
        return json.loads(next_message(self.stream)[1])


def asking(gateway) -> LegacyClient:
    """A client that can be asked anything."""
    able = {"elicitation": {}, "sampling": {}, "roots": {}}
    hello = message(
        "initialize",
        {
            "protocolVersion": LEGACY,
            "capabilities": able,
            "clientInfo": {"name": "asked", "version": "1"},
        },
        0,
    )
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    answer = send(gateway.url, "POST", encoded(hello), headers)
    assert answer.handle and answer.session
    return LegacyClient(gateway.url, answer.handle, answer.session)


def called(client: LegacyClient, tool: str):
    """Calls a tool; the block has its open stream."""
    body = client.body("tools/call", {"name": tool, "arguments": {}})
    return opened(client.url, "POST", body, client.headers(), EVENT_S)


def test_a_dialogue_goes_round_after_round(gateway):
    client = asking(gateway)
    with called(client, "test_input_required_result_multi_round") as stream:
        first = Asked(client, stream)
        assert first.question["method"] == "elicitation/create"
        first.answer(result={"action": "accept", "content": {"name": "Ada"}})
        second = Asked(client, stream)
        assert "color" in second.question["params"]["message"]
        second.answer(result={"action": "accept", "content": {"color": "green"}})
        assert second.next()["result"]["content"][0]["text"] == "Ada likes green"


def test_several_questions_are_asked_at_once(gateway):
    client = asking(gateway)
    with called(client, "test_input_required_result_multiple_inputs") as stream:
        asked = {a.question["method"]: a for a in (Asked(client, stream) for _ in range(3))}
        content = {"type": "text", "text": "Hi"}
        asked["sampling/createMessage"].answer(
            result={"role": "assistant", "model": "m", "content": content}
        )
        asked["roots/list"].answer(result={"roots": [{"uri": "file:///a"}]})
        asked["elicitation/create"].answer(result={"action": "accept", "content": {"name": "Ada"}})
        last = asked["roots/list"].next()
        assert last["result"]["content"][0]["text"] == 'Hi Ada [{"uri":"file:///a"}]'


def test_a_question_that_is_refused_ends_the_call(gateway):
    client = asking(gateway)
    with called(client, "test_input_required_result_elicitation") as stream:
        asked = Asked(client, stream)
        asked.answer(error={"code": -32000, "message": "not today"})
        assert asked.next()["error"] == {"code": -32000, "message": "not today"}
    assert client.text("echo", text="x") == "x"


def test_a_cancelled_call_is_cancelled_at_the_upstream(gateway):
    client = LegacyClient.connect(gateway.url)
    id = "to be cancelled"
    params = {"name": "sleep", "arguments": {"ms": 600_000, "key": "slept"}}
    call = encoded(message("tools/call", params, id))
    answers = []
    caller = threading.Thread(
        target=lambda: answers.append(send(gateway.url, "POST", call, client.headers()))
    )
    caller.start()

    def counted(event: str) -> bool:
        return client.text("count", key=f"slept.{event}", add=0) == "1"

    wait_for("the call runs", lambda: counted("started"))
    note = encoded(message("notifications/cancelled", {"requestId": id}, None))
    assert send(gateway.url, "POST", note, client.headers()).status == 202
    wait_for("the upstream knows", lambda: counted("cancelled"))
    caller.join()
    # What was cancelled is not answered (MCP 2025-11-25, Cancellation).
    assert answers[0].messages == []


def test_a_client_goes_on_after_a_restart_of_the_gateway(gateway):
    client = LegacyClient.connect(gateway.url)
    watched = {"uri": "test://watched-resource"}
    client.request("logging/setLevel", {"level": "error"})
    client.request("resources/subscribe", watched)
    kept = "SELECT count(*) FROM archon_mcp_connections WHERE setup LIKE ?"
    rows.expect(gateway.db, [(1,)], kept, f"%{watched['uri']}%")
    gateway.kill()
    gateway.restart()

    assert client.text("echo", text="x") == "x"
    # What it had set up is set up again.
    with opened(gateway.url, "GET", b"", client.headers(), EVENT_S) as stream:
        client.request("resources/subscribe", {"uri": "test://static-text"})
        client.text("update_resource", **watched)
        assert watched["uri"] in next_message(stream)[1]
    said = client.call("log", {"level": "warning", "text": "too low"})
    assert [m for m in said.messages if "method" in m] == []
    rows.expect(gateway.db, [(1,)], "SELECT count(*) FROM archon_mcp_sessions")


def test_a_client_goes_on_after_a_restart_of_the_upstream(over_http, upstream):
    client = LegacyClient.connect(over_http.url)
    with opened(over_http.url, "GET", b"", client.headers(), EVENT_S) as stream:
        # So that the stream is fed before the upstream goes.
        assert client.request("resources/subscribe", {"uri": "test://static-text"}).result == {}
        upstream.restart()
        assert client.text("echo", text="x") == "x"

        heard = threading.Event()

        def announce() -> None:
            while not heard.wait(0.2):
                ModernClient(upstream.url).text("test_trigger_tool_change")

        announcer = threading.Thread(target=announce)
        announcer.start()
        try:
            assert "list_changed" in next_message(stream)[1]
        finally:
            heard.set()
            announcer.join()


def test_a_call_that_is_lost_on_the_way_has_an_unknown_outcome(start_impatient, upstream):
    client = LegacyClient.connect(start_impatient(upstream).url)
    lost = client.call("count_and_cut", {"key": "k"})
    assert lost.error["code"] == -31002
    # It ran once.
    assert client.text("count", key="k", add=0) == "1"
    upstream.kill()
    assert client.call("echo", {"text": "x"}).error["code"] == -31001


def test_an_upstream_may_take_up_the_other_era(start_fixture, start_archon):
    upstream = start_fixture("--legacy-only")
    gateway = start_archon(upstream=upstream)
    client = LegacyClient.connect(gateway.url)
    assert client.text("echo", text="before") == "before"
    upstream.args = ("--modern-only",)
    upstream.restart()
    assert client.text("echo", text="modern") == "modern"
    upstream.args = ("--legacy-only",)
    upstream.restart()
    assert client.text("echo", text="legacy again") == "legacy again"


def test_the_end_of_a_connection_is_the_end_of_its_session(gateway):
    client = LegacyClient.connect(gateway.url)
    assert client.end().status == 200
    assert client.call("echo", {"text": "x"}).status == 404
    rows.expect_session(gateway.db, client.session, disconnect_reason="client_disconnect")
