"""What the Python client hears of a legacy server that speaks by itself, and what it does beside tools."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterator
from typing import Any

import mcp.types as types
import pytest

from archon_sessions import MCPClient, MCPToolError, SyncMCPClient
from peer import EVENTS, Peer, Reply, Seen, as_events, as_json, event, text

ELICIT = {
    "jsonrpc": "2.0",
    "id": "q1",
    "method": "elicitation/create",
    "params": {"message": "Who?", "requestedSchema": {"type": "object", "properties": {}}},
}
LOGGED = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "hello"}}


def run(work):
    """Runs what a client does, within a wide limit."""
    return asyncio.run(asyncio.wait_for(work, 60))


async def answer(context: object, params: object) -> types.ElicitResult:
    """Says who."""
    return types.ElicitResult(action="accept", content={"name": "ada"})


class Speaking:
    """A server whose standing stream says what a test puts into it, and that answers no call before `goes`."""

    def __init__(self, peer_status: int = 200):
        self.said: queue.Queue[bytes | None] = queue.Queue()
        self.opened = 0
        self.goes: queue.Queue[dict[str, Any]] = queue.Queue()
        self.status = peer_status

    def __call__(self, seen: Seen, before: int) -> Reply | None:
        if seen.kind == "GET":
            self.opened += 1
            return Reply(self.status, EVENTS, self.stream()) if self.status == 200 else Reply(self.status)
        if seen.kind == "POST" and "result" in seen.message:
            self.goes.put(seen.message)
        return None

    def stream(self) -> Iterator[bytes]:
        yield b": here\n\n"
        while (piece := self.said.get()) is not None:
            yield piece


def asking(speaking: Speaking):
    """A server whose tool asks on the standing stream, and answers once it was told."""

    def script(seen: Seen, before: int) -> Reply | None:
        if seen.kind != "tools/call":
            return speaking(seen, before)
        speaking.said.put(event(ELICIT))
        told = speaking.goes.get(timeout=30)
        return as_json(seen.answer(text(told["result"]["content"]["name"])))

    return script


def test_a_question_on_the_standing_stream_is_answered_while_the_call_waits():
    speaking = Speaking()

    async def use(url: str) -> str:
        async with MCPClient(url, era="legacy", elicitation_callback=answer) as client:
            return (await client.call_tool("any")).content[0].text

    with Peer(asking(speaking)) as peer:
        assert run(use(peer.url)) == "ada"
        speaking.said.put(None)
        opened = peer.of("GET")[0]
        assert opened.headers["mcp-session-id"] == "h1"
        assert opened.headers["accept"].split(", ")[-1] == "text/event-stream"


def test_the_blocking_client_answers_as_well():
    speaking = Speaking()
    with Peer(asking(speaking)) as peer:
        with SyncMCPClient(peer.url, era="legacy", elicitation_callback=answer) as client:
            assert client.call_tool("any").content[0].text == "ada"
        speaking.said.put(None)


def test_a_client_without_callbacks_opens_no_stream():
    async def use(url: str) -> None:
        async with MCPClient(url, era="legacy") as client:
            await client.call_tool("any")

    with Peer(Speaking()) as peer:
        run(use(peer.url))
        assert peer.count("GET") == 0


@pytest.mark.parametrize("status", [400, 401, 404, 405, 406, 501])
def test_a_server_without_a_stream_is_asked_once_and_keeps_its_session(status: int):
    async def use(url: str) -> None:
        async with MCPClient(url, era="legacy", elicitation_callback=answer, retry_delay=0) as client:
            for _ in range(3):
                await client.call_tool("any")

    with Peer(Speaking(status)) as peer:
        run(use(peer.url))
        assert (peer.count("GET"), peer.count("initialize"), peer.count("tools/call")) == (1, 1, 3)


@pytest.mark.parametrize("status", [409, 429, 503])
def test_a_server_that_is_busy_is_asked_again_for_its_stream(status: int):
    heard: list[str] = []

    async def hear(params: types.LoggingMessageNotificationParams) -> None:
        heard.append(str(params.data))

    async def use(url: str) -> None:
        async with MCPClient(url, era="legacy", logging_callback=hear, retry_delay=0):
            while not heard:
                await asyncio.sleep(0.01)

    def script(seen: Seen, before: int) -> Reply | None:
        if seen.kind != "GET":
            return None
        return Reply(status, {"retry-after": "0"}) if before < 2 else as_events(event(LOGGED))

    with Peer(script) as peer:
        run(use(peer.url))
        assert heard[0] == "hello"


def test_a_stream_that_breaks_goes_on_where_it_was():
    heard: list[str] = []

    async def hear(params: types.LoggingMessageNotificationParams) -> None:
        heard.append(str(params.data))

    async def use(url: str) -> None:
        async with MCPClient(url, era="legacy", logging_callback=hear, retry_delay=0):
            while len(heard) < 3:
                await asyncio.sleep(0.01)

    def script(seen: Seen, before: int) -> Reply | None:
        if seen.kind != "GET":
            return None
        if before == 3:
            # What it was to go on from is gone; the next try begins anew.
            return Reply(404)
        return as_events(event(LOGGED, f"e{before}"))

    with Peer(script) as peer:
        run(use(peer.url))
        assert [get.headers.get("last-event-id") for get in peer.of("GET")[:3]] == [None, "e0", "e1"]
        peer.until(lambda peer: peer.count("GET") > 2)


def test_a_stream_that_cannot_go_on_is_begun_anew():
    heard: list[str] = []

    async def hear(params: types.LoggingMessageNotificationParams) -> None:
        heard.append(str(params.data))

    async def use(url: str, peer: Peer) -> None:
        async with MCPClient(url, era="legacy", logging_callback=hear, retry_delay=0):
            while len(heard) < 2:
                await asyncio.sleep(0.01)

    def script(seen: Seen, before: int) -> Reply | None:
        if seen.kind != "GET":
            return None
        return Reply(404) if before == 1 else as_events(event(LOGGED, f"e{before}"))

    with Peer(script) as peer:
        run(use(peer.url, peer))
        assert [get.headers.get("last-event-id") for get in peer.of("GET")[:3]] == [None, "e0", None]


def test_the_stream_log_level_and_subscriptions_are_those_of_a_new_session_too():
    speaking = Speaking()

    async def use(url: str) -> None:
        async with MCPClient(
            url, era="legacy", elicitation_callback=answer, log_level="warning"
        ) as client:
            await client.subscribe_resource("demo://a")
            await client.subscribe_resource("demo://b")
            await client.unsubscribe_resource("demo://b")
            assert (await client.call_tool("any")).content[0].text == "done"

    def script(seen: Seen, before: int) -> Reply | None:
        if seen.kind == "tools/call" and not before:
            return as_json(seen.error(-32000, "Bad Request: Server not initialized", None), 400)
        return speaking(seen, before)

    with Peer(script) as peer:
        run(use(peer.url))
        speaking.said.put(None)
        speaking.said.put(None)
        handles = [seen.headers["mcp-session-id"] for seen in peer.of("GET")]
        assert handles == ["h1", "h2"]
        for kind in ("logging/setLevel", "resources/subscribe"):
            assert peer.of(kind)[-1].headers["mcp-session-id"] == "h2"
        assert [s.message["params"]["uri"] for s in peer.of("resources/subscribe")] == [
            "demo://a",
            "demo://b",
            "demo://a",
        ]


def test_an_answer_may_come_on_the_standing_stream():
    speaking = Speaking()
    heard: list[float] = []

    async def progress(at: float, total: float | None, message: str | None) -> None:
        heard.append(at)

    async def use(url: str) -> str:
        async with MCPClient(url, era="legacy", elicitation_callback=answer) as client:
            result = await client.call_tool("any", on_progress=progress)
            return result.content[0].text

    def script(seen: Seen, before: int) -> Reply | None:
        if seen.kind != "tools/call":
            return speaking(seen, before)
        params = {"progressToken": seen.message["id"], "progress": 1}
        note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
        speaking.said.put(event(note) + event(seen.answer(text("there"), str(seen.message["id"]))))
        return Reply(202)

    with Peer(script) as peer:
        assert run(use(peer.url)) == "there"
        speaking.said.put(None)
    assert heard == [1]


def test_a_handler_that_calls_and_finds_the_session_gone_does_not_stop_its_own_stream():
    speaking = Speaking()
    done: list[str] = []

    async def use(url: str) -> None:
        async def hear(message: object) -> None:
            if not done:
                done.append("begun")
                done.append((await client.call_tool("any")).content[0].text)

        async with MCPClient(url, era="legacy", message_handler=hear) as client:
            speaking.said.put(event(LOGGED))
            while len(done) < 2:
                await asyncio.sleep(0.01)

    def script(seen: Seen, before: int) -> Reply | None:
        if seen.kind == "tools/call" and not before:
            return Reply(404)
        return speaking(seen, before)

    with Peer(script) as peer:
        run(use(peer.url))
        speaking.said.put(None)
        speaking.said.put(None)
        assert (done, peer.count("initialize")) == (["begun", "done"], 2)


def test_resources_prompts_and_completions_of_a_real_server(gateway, era):
    async def use() -> None:
        async with MCPClient(gateway.url, era=era) as client:
            resources = await client.list_resources()
            assert resources
            templates = await client.list_resource_templates()
            assert templates
            read = await client.read_resource(str(resources[0].uri))
            assert read.contents
            prompts = {prompt.name: prompt for prompt in await client.list_prompts()}
            assert prompts
            name = next(name for name, prompt in prompts.items() if not prompt.arguments)
            assert (await client.get_prompt(name)).messages
            with pytest.raises(MCPToolError):
                await client.get_prompt("no such prompt")
            with pytest.raises(MCPToolError):
                await client.read_resource("demo://no-such-resource")
            if era == "modern":
                with pytest.raises(MCPToolError, match="modern"):
                    await client.set_logging_level("debug")
            else:
                await client.set_logging_level("debug")

    run(use())
    with SyncMCPClient(gateway.url, era=era) as client:
        assert client.list_resources()
        assert client.list_prompts()
        assert client.list_resource_templates()


def test_the_gateways_own_stream_brings_what_a_server_says_by_itself(gateway):
    async def use() -> None:
        async with MCPClient(gateway.url, era="legacy", elicitation_callback=answer) as client:
            assert client._connection.channel.standing.is_open
            result = await client.call_tool("test_elicitation", {"message": "Who?"})
            assert "ada" in result.content[0].text

    run(use())
