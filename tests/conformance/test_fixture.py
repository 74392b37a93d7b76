"""The fixture does what the process tests rely on."""

import asyncio
import shlex

import httpx2
import pytest
from mcp import Client, StdioServerParameters

from harness import fixture_command, wait_for

ERAS = ["legacy", "2026-07-28"]
LEGACY = "2025-11-25"

pytestmark = pytest.mark.timeout(120)


def call(server, tool, arguments=None, mode="auto", **client):
    """Calls one tool on a connection of its own."""

    async def connect_and_call():
        async with Client(server, mode=mode, **client) as connection:
            return await connection.call_tool(tool, arguments or {})

    return asyncio.run(asyncio.wait_for(connect_and_call(), 60))


def text(result):
    return result.content[0].text


def counted(fixture, key):
    return int(text(call(fixture.url, "count", {"key": key, "add": 0})))


def request(fixture, method, params, headers=None):
    """One request, as arguments for `httpx2.post`."""
    return {
        "url": fixture.url,
        "json": {"jsonrpc": "2.0", "id": 1, "method": method, "params": params},
        "headers": {"accept": "application/json, text/event-stream", **(headers or {})},
        "timeout": 60,
    }


def initialize(fixture):
    """Asks for a legacy session."""
    client = {"name": "test", "version": "1"}
    params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client}
    return httpx2.post(**request(fixture, "initialize", params))


def tool_call(fixture, era, tool, arguments):
    """A call of a tool, as arguments for `httpx2.post`."""
    params = {"name": tool, "arguments": arguments}
    if era == "legacy":
        session = initialize(fixture).headers["mcp-session-id"]
        headers = {"mcp-protocol-version": LEGACY, "mcp-session-id": session}
    else:
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": era,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        headers = {"mcp-protocol-version": era, "mcp-method": "tools/call", "mcp-name": tool}
    return request(fixture, "tools/call", params, headers)


async def disconnect_once(happened, call):
    """Sends a call, and drops its connection as soon as `happened`."""
    async with httpx2.AsyncClient() as client:
        sent = asyncio.create_task(client.post(**call))
        await asyncio.to_thread(wait_for, "the call has begun", happened)
        sent.cancel()


@pytest.mark.parametrize("mode", ERAS)
def test_both_eras_share_one_endpoint(start_fixture, mode):
    fixture = start_fixture()
    assert text(call(fixture.url, "echo", {"text": "hello"}, mode)) == "hello"
    assert len(text(call(fixture.url, "big", {"bytes": 100_000}, mode))) == 100_000
    assert call(fixture.url, "fail", {"message": "no"}, mode).is_error

    seen = call(fixture.url, "headers", mode=mode).structured_content
    assert ("mcp-session-id" in seen) == (mode == "legacy")


def test_the_legacy_fixture_serves_only_the_legacy_era(start_fixture):
    fixture = start_fixture("--legacy-only")
    assert "mcp-session-id" in call(fixture.url, "headers").structured_content

    refusal = httpx2.post(**tool_call(fixture, "2026-07-28", "echo", {"text": "hello"}))
    assert refusal.status_code == 400
    error = refusal.json()["error"]
    assert error["code"] == -32022
    assert error["data"]["supported"][-1] == LEGACY


def test_the_modern_fixture_refuses_initialize(start_fixture):
    fixture = start_fixture("--modern-only")
    assert "mcp-session-id" not in call(fixture.url, "headers").structured_content

    refusal = initialize(fixture)
    assert "mcp-session-id" not in refusal.headers
    assert "-32022" in refusal.text


@pytest.mark.parametrize("mode", ERAS)
def test_stdio_serves_the_same_tools(mode):
    program, *args = shlex.split(fixture_command())
    server = StdioServerParameters(command=program, args=args)
    assert text(call(server, "echo", {"text": "hello"}, mode)) == "hello"
    assert call(server, "headers", mode=mode).structured_content == {}


def test_counters_are_shared_and_end_with_the_process(start_fixture):
    fixture = start_fixture()
    assert [text(call(fixture.url, "count", {"key": "k"}, m)) for m in ERAS] == ["1", "2"]

    url = fixture.url
    fixture.kill()
    fixture.restart()

    assert fixture.url == url
    assert counted(fixture, "k") == 0


@pytest.mark.parametrize("era", ERAS)
def test_a_cut_response_loses_the_answer_and_not_the_count(start_fixture, era):
    fixture = start_fixture()
    with pytest.raises(httpx2.RemoteProtocolError):
        httpx2.post(**tool_call(fixture, era, "count_and_cut", {"key": "cut"}))
    assert counted(fixture, "cut") == 1


@pytest.mark.parametrize(("era", "end"), [("legacy", "finished"), ("2026-07-28", "cancelled")])
def test_only_a_modern_disconnect_cancels(start_fixture, era, end):
    fixture = start_fixture()
    # The legacy call must outlive its connection; the modern one must not need to end by itself.
    sleep = {"ms": 2_000 if era == "legacy" else 600_000, "key": "nap"}

    asyncio.run(
        disconnect_once(
            lambda: counted(fixture, "nap.started"), tool_call(fixture, era, "sleep", sleep)
        )
    )

    wait_for(f"the call has {end}", lambda: counted(fixture, f"nap.{end}"))
    assert counted(fixture, "nap.finished") + counted(fixture, "nap.cancelled") == 1


def test_a_modern_client_gets_log_messages_only_if_it_asks(start_fixture):
    fixture = start_fixture()
    logged = []

    async def remember(params):
        logged.append(params.data)

    client = {"mode": "2026-07-28", "logging_callback": remember}
    call(fixture.url, "log", {"text": "unwanted"}, **client)
    call(fixture.url, "log", {"text": "too low"}, log_level="error", **client)
    call(fixture.url, "log", {"text": "wanted", "level": "error"}, log_level="error", **client)
    assert logged == ["wanted"]


@pytest.mark.filterwarnings("ignore:resources/subscribe is removed")
def test_a_legacy_client_hears_of_logs_and_of_what_it_watches(start_fixture):
    fixture = start_fixture()
    uri = "test://watched-resource"
    heard = asyncio.Queue()

    async def hear(message):
        await heard.put(message)

    async def listen():
        async with Client(fixture.url, mode="legacy", message_handler=hear) as client:
            await client.subscribe_resource(uri)
            await client.call_tool("update_resource", {"uri": "test://unwatched"})
            await client.call_tool("update_resource", {"uri": uri})
            await client.call_tool("log", {"text": "done"})
            return [await heard.get(), await heard.get()]

    messages = asyncio.run(asyncio.wait_for(listen(), 60))
    assert {message.method for message in messages} == {
        "notifications/resources/updated",
        "notifications/message",
    }
    assert heard.empty()
