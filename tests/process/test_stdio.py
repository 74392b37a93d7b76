"""Servers on standard input and output, as clients see them: as if they were reached over HTTP.

What the client libraries see of them is in test_python_clients.py, beside what they see of servers over HTTP.
"""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import lines
import rows
from clients import run
from harness import fixture_command, wait_for
from wire import (
    KeepingClient,
    LegacyClient,
    ModernClient,
    encoded,
    message,
    next_message,
    opened,
    send,
)

pytestmark = pytest.mark.timeout(120)

SHARED = {"command": fixture_command(), "shared": True}


@pytest.mark.parametrize("kind", [LegacyClient.connect, KeepingClient], ids=["legacy", "modern"])
def test_each_client_has_a_child_of_its_own(start_archon, kind):
    gateway = start_archon(upstream=fixture_command())
    one, other = kind(gateway.url), kind(gateway.url)
    if kind is KeepingClient:
        other.name, other.agent = "another client", "other/1.0"
    assert [one.text("count", key="k"), one.text("count", key="k")] == ["1", "2"]
    assert other.text("count", key="k") == "1"
    assert lines.children(gateway) == 2


@pytest.mark.parametrize("kind", [LegacyClient.connect, KeepingClient], ids=["legacy", "modern"])
def test_a_shared_child_is_one_for_all(start_archon, config, kind):
    gateway = start_archon(*config(**{"upstreams.fixture": SHARED}))
    one, other = kind(gateway.url), kind(gateway.url)
    assert [c.text("count", key="k") for c in (one, other, one)] == ["1", "2", "3"]
    assert lines.children(gateway) == 1


def test_a_guessed_session_never_reaches_another_clients_child(start_archon):
    gateway = start_archon(upstream=fixture_command())
    first = ModernClient(gateway.url)
    answer = first.call("count", {"key": "k"})
    twin = ModernClient(gateway.url)
    guessed = twin.call("count", {"key": "k"})
    assert guessed.session == answer.session, "the same by all that is seen of it"
    assert guessed.text == "1"
    # Anybody may have seen the session's id: it names the session, and opens nothing.
    named = twin.call("count", {"key": "k"}, {"x-archon-session-id": answer.session})
    assert named.session == answer.session
    # Who shows no proof shares a child with all others who do not: the owner's has counted once.
    own = first.call("count", {"key": "k"}, {"cookie": answer.cookie})
    assert (own.session, own.text) == (answer.session, "2")


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("shared", [False, True], ids=["own child", "shared child"])
def test_calls_of_the_same_ids_do_not_meet(start_archon, config, era, shared):
    gateway = start_archon(
        *config(**{"upstreams.fixture": {"command": fixture_command(), "shared": shared}})
    )
    kind = LegacyClient.connect if era == "legacy" else ModernClient
    clients = [kind(gateway.url) for _ in range(6)]

    def ask(client: Any, n: int) -> bool:
        params = {"name": "progress", "arguments": {"steps": n, "ms": 5}}
        answer = client.request("tools/call", {**params, "_meta": {"progressToken": "t"}})
        told = [m["params"] for m in answer.messages if "method" in m]
        assert answer.text == f"{n} steps"
        assert [(t["progressToken"], t["progress"]) for t in told] == [
            ("t", step + 1) for step in range(n)
        ]
        return True

    with ThreadPoolExecutor(len(clients)) as pool:
        asked = [pool.submit(ask, client, 5 + n) for n, client in enumerate(clients)]
        assert all(one.result() for one in asked)


@pytest.mark.parametrize("shared", [False, True], ids=["own child", "shared child"])
def test_two_calls_may_have_the_same_id_and_token(start_archon, config, shared):
    gateway = start_archon(
        *config(**{"upstreams.fixture": {"command": fixture_command(), "shared": shared}})
    )
    client = LegacyClient.connect(gateway.url)

    def ask(steps: int) -> bool:
        params = {"name": "progress", "arguments": {"steps": steps, "ms": 20}}
        call = message("tools/call", {**params, "_meta": {"progressToken": 7}}, 7)
        answer = send(client.url, "POST", encoded(call), client.headers())
        told = [m["params"]["progressToken"] for m in answer.messages if "method" in m]
        return answer.message["id"] == 7 and answer.text == f"{steps} steps" and set(told) == {7}

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(ask, [10, 12]))


def test_a_second_stream_takes_over_from_the_first(start_archon):
    gateway = start_archon(upstream=fixture_command())
    client = LegacyClient.connect(gateway.url)
    headers = client.headers({"accept": "text/event-stream"})
    with opened(client.url, "GET", b"", headers) as first:
        client.call("test_trigger_tool_change")
        assert json.loads(next_message(first)[1])["method"].endswith("tools/list_changed")
        with opened(client.url, "GET", b"", headers) as second:
            assert second.status == 200
            assert next_message(first) == ("", ""), "the older one ends"
            client.call("test_trigger_prompt_change")
            said = json.loads(next_message(second)[1])
            assert said["method"] == "notifications/prompts/list_changed"


def test_a_cancelled_call_is_over_at_once(start_archon):
    gateway = start_archon(upstream=lines.command())
    client = LegacyClient.connect(gateway.url)
    hang = message("tools/call", {"name": "hang", "arguments": {}}, "h")
    with opened(client.url, "POST", encoded(hang), client.headers()) as stream:
        assert stream.status == 200
        cancel = {"method": "notifications/cancelled", "params": {"requestId": "h"}}
        told = json.dumps({"jsonrpc": "2.0", **cancel}).encode()
        assert send(client.url, "POST", told, client.headers()).status == 202
        rest = stream.read().decode()
    assert "result" not in rest and "error" not in rest, "it wants no answer"
    [heard] = json.loads(client.text("replies"))
    assert heard["params"]["requestId"] == "h"
    assert client.text("late") == "", "what comes for it now is dropped"


ANSWERS = [
    ('{"jsonrpc":"2.0","id":$ID,"result":null}', {"result": {}}),
    ('{"jsonrpc":"2.0","id":"$ID","result":{"content":[NaN,]}}', {"result": {"content": [None]}}),
    ('{"jsonrpc":"2.0","id":$ID.0,"error":"no"}', {"error": {"code": -32603, "message": "no"}}),
    ('{\n "jsonrpc":"2.0",\n "id":$ID,\n "result":{"a":"$BYTE\x01"}\n}', {"result": {"a": "\ufffd\x01"}}),
]


@pytest.mark.parametrize("kind", [LegacyClient.connect, ModernClient], ids=["legacy", "modern"])
def test_odd_answers_reach_their_clients(start_archon, kind):
    client = kind(start_archon(upstream=lines.command()).url)
    for said, meant in ANSWERS:
        # The bridge's own ids are texts, which a server does not quote twice.
        said = said if kind is LegacyClient.connect else said.replace('"$ID"', "$ID").replace(".0,", ",")
        answer = client.call("answer", {"text": said + "\n"}).message
        assert {k: v for k, v in answer.items() if k in meant}.keys() == meant.keys(), said
        if kind is LegacyClient.connect:
            assert {k: answer[k] for k in meant} == meant, said
    for cut in ('{"jsonrpc":"2.0","id":$ID,"result":{"content":[{"te', '{"result": None, "jsonrpc"'):
        error = client.call("answer", {"text": cut + "\n"}).error
        assert error["data"]["ran"] in ("yes", "unknown"), error


def test_a_large_handshake_answer_makes_a_session(start_archon):
    gateway = start_archon(upstream=lines.command("--icon-bytes", "200000"))
    client = LegacyClient.connect(gateway.url)
    assert client.text("echo", text="x") == "x"


def test_a_question_that_nobody_takes_is_answered(start_archon):
    gateway = start_archon(upstream=lines.command("--ask"))
    silent = LegacyClient.connect(gateway.url)

    def replies() -> list[dict[str, Any]]:
        return json.loads(silent.text("replies"))

    # Its first call could take the question, so that it is made only once the wait is over.
    listening = LegacyClient.connect(gateway.url)
    headers = listening.headers({"accept": "text/event-stream"})
    with opened(listening.url, "GET", b"", headers) as stream:
        assert json.loads(next_message(stream)[1])["method"] == "roots/list"
    time.sleep(3.5)
    [reply] = replies()
    assert reply["id"] == "at-start" and "no client can be asked" in reply["error"]["message"]


@pytest.mark.parametrize("shared", [False, True], ids=["own child", "shared child"])
def test_a_subscription_lasts_until_its_client_closes_it(start_archon, config, shared):
    gateway = start_archon(
        *config(**{"upstreams.fixture": {"command": fixture_command(), "shared": shared}})
    )
    client = KeepingClient(gateway.url)
    client.text("echo", text="x")
    cookie = {"cookie": client.cookie}
    params = {"notifications": {"toolsListChanged": True}}
    body = client.body("subscriptions/listen", params)
    id = json.loads(body)["id"]
    headers = client.headers("subscriptions/listen", None, cookie)
    with opened(client.url, "POST", body, headers) as stream:
        first = json.loads(next_message(stream)[1])
        assert first["method"] == "notifications/subscriptions/acknowledged"
        client.call("test_trigger_tool_change")
        second = json.loads(next_message(stream)[1])
        assert second["method"] == "notifications/tools/list_changed"
        for said in (first, second):
            assert str(said["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"]) == str(id)
    assert client.text("echo", text="x") == "x"


@pytest.mark.parametrize("shared", [False, True], ids=["own child", "shared child"])
def test_closing_a_modern_stream_cancels_the_call(start_archon, config, shared):
    gateway = start_archon(
        *config(**{"upstreams.fixture": {"command": fixture_command(), "shared": shared}})
    )
    client = KeepingClient(gateway.url)
    client.text("count", key="k.cancelled", add=0)

    async def leave() -> None:
        body = client.body("tools/call", {"name": "sleep", "arguments": {"ms": 60_000, "key": "k"}})
        headers = client.headers("tools/call", "sleep", {"cookie": client.cookie})
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        fields = {**headers, "host": "127.0.0.1", "content-length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + body)
        started = asyncio.to_thread(
            wait_for, "it runs", lambda: client.text("count", key="k.started", add=0) == "1"
        )
        await started
        writer.close()

    run(leave())
    wait_for(
        "the child was told", lambda: client.text("count", key="k.cancelled", add=0) == "1"
    )


def test_leaving_does_not_cancel_a_legacy_call(start_archon):
    gateway = start_archon(upstream=fixture_command())
    client = LegacyClient.connect(gateway.url)
    body = client.body("tools/call", {"name": "sleep", "arguments": {"ms": 500, "key": "k"}})
    with opened(client.url, "POST", body, client.headers()) as stream:
        assert stream.status == 200
    wait_for(
        "it ran to its end", lambda: client.text("count", key="k.finished", add=0) == "1"
    )
    rows.expect(
        gateway.db,
        [("success",)],
        "SELECT status FROM archon_mcp_requests WHERE tool_name = 'sleep'",
    )


@pytest.mark.parametrize("kind", [LegacyClient.connect, ModernClient], ids=["legacy", "modern"])
def test_large_answers_pass(start_archon, kind):
    client = kind(start_archon(upstream=fixture_command()).url)
    assert len(client.text("big", bytes=5 * 1024 * 1024)) == 5 * 1024 * 1024


def test_a_line_over_the_limit_fails_its_call_only(start_archon, config):
    upstream = {"command": lines.command(), "message_bytes_max": 100_000}
    gateway = start_archon(*config(**{"upstreams.lines": upstream}))
    client = LegacyClient.connect(gateway.url)
    assert "larger" in client.call("big", {"bytes": 300_000}).error["message"]
    assert len(client.text("big", bytes=90_000)) == 90_000
    assert "message_bytes_max" in gateway.log()


def test_what_is_no_message_is_skipped(start_archon):
    gateway = start_archon(upstream=lines.command())
    client = LegacyClient.connect(gateway.url)
    for text in ("listening on nothing", "[1, 2", '{"a": 1}', "\x1b[31mred"):
        client.call("say", {"text": text})
    assert client.text("echo", text="x") == "x"
    assert gateway.log().count("not a message on standard output") == 4
    assert "listening on nothing" not in gateway.log()


def test_standard_error_is_logged_with_whose_it_is(start_archon):
    gateway = start_archon("--log-format", "json", upstream=lines.command())
    client = LegacyClient.connect(gateway.url)
    client.call("say", {"text": "\x1b[31mone thing\r", "on": "stderr"})
    client.call("say", {"text": "y" * 10_000, "on": "stderr"})
    client.call("say", {"text": "again", "on": "stderr", "times": 500})
    client.end()

    def logged() -> list[dict[str, Any]]:
        return [json.loads(line) for line in gateway.log().splitlines() if line.startswith("{")]

    dropped = wait_for(
        "the rest is counted", lambda: [x for x in logged() if "were dropped" in x["message"]]
    )
    said = [x for x in logged() if "one thing" in x["message"]]
    assert [(x["upstream"], x["session_id"]) for x in said] == [("fixture", client.session)]
    assert "\x1b" not in said[0]["message"] and "\\u{1b}[31mone thing" in said[0]["message"]
    assert str(said[0]["pid"]) in said[0]["message"]
    assert max(len(x["message"]) for x in logged()) < 5000
    shown = [x for x in logged() if x["message"].endswith("again")]
    assert len(shown) < 200 and dropped


def test_headers_that_mirror_arguments_are_checked(start_archon):
    client = ModernClient(start_archon(upstream=fixture_command()).url)
    arguments = {"region": "eu", "priority": 7}
    right = {"mcp-param-region": "eu", "mcp-param-priority": "7"}
    for wrong in ({}, {**right, "mcp-param-region": "us"}, {**right, "mcp-param-dryrun": "true"}):
        refused = client.call("test_header_param", arguments, wrong)
        assert (refused.status, refused.error["code"]) == (400, -32020)
    assert client.call("test_header_param", arguments, right).status == 200
