"""What our clients make of servers that do what the specification does not say, or forbids.

One table for both clients, against a server that is scripted byte by byte; docs/compatibility.md lists what it shows.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers import ANSWER_S, Driver, Failed, Nursery, start_rust
from peer import EVENTS, JSON, Peer, Reply, Script, Seen, as_events, as_json, event, text

LARGE = "ü" * 3_000_000


@pytest.fixture(scope="module", params=["python", "rust"])
def client(
    request: pytest.FixtureRequest, nursery: Nursery, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Driver]:
    """One process of each client; each test connects it anew."""
    log = tmp_path_factory.mktemp(request.param) / "client.txt"
    driver = Driver(nursery.start if request.param == "python" else start_rust, Path(log))
    yield driver
    driver.kill()
    assert "panicked at" not in driver.log()
    assert "Traceback" not in driver.log()


def calls(reply: Callable[[Seen], Reply | None]) -> Script:
    """A server that answers each call of a tool so."""
    return lambda seen, _: reply(seen) if seen.kind == "tools/call" else None


def first(reply: Callable[[Seen], Reply]) -> Script:
    """A server that answers the first call of a tool so, and others as usual."""
    return lambda seen, before: reply(seen) if seen.kind == "tools/call" and not before else None


def raw(body: str | bytes, kind: str = "application/json") -> Reply:
    """An answer as it is written here."""
    return Reply(200, {"content-type": kind} if kind else {}, body if isinstance(body, bytes) else body.encode())


def done(seen: Seen, said: str = "done", id: Any = ...) -> dict[str, Any]:
    """The answer to a call."""
    return seen.answer(text(said), id)


def written(seen: Seen, said: str = "done") -> str:
    """The same as text."""
    return json.dumps(done(seen, said))


def stream(written: str | bytes) -> Reply:
    """A stream as it is written here, in small pieces so that nothing depends on where they end."""
    data = written if isinstance(written, bytes) else written.encode()
    return Reply(200, EVENTS, [data[at : at + 7] for at in range(0, len(data), 7)])


NOTE = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}

# What a server answers to a call that has run: the client's caller gets "done", after one call.
ANSWERS: dict[str, Callable[[Seen], Reply]] = {
    "the id as text": lambda seen: as_json(done(seen, id=str(seen.message["id"]))),
    "the id as a float": lambda seen: as_json(done(seen, id=float(seen.message["id"]))),
    "the id as the text of a float": lambda seen: as_json(done(seen, id=f"{seen.message['id']}.0")),
    "the id is null": lambda seen: as_json(done(seen, id=None)),
    "an error of null beside the result": lambda seen: as_json({**done(seen), "error": None}),
    "a byte order mark": lambda seen: raw("\ufeff" + written(seen)),
    "blank lines around": lambda seen: raw("\n \r\n" + written(seen) + "\n"),
    "a batch of one": lambda seen: as_json([done(seen)]),
    "a batch with a notification": lambda seen: as_json([NOTE, done(seen)]),
    "no content type": lambda seen: raw(written(seen), ""),
    "another content type": lambda seen: raw(written(seen), "text/plain; charset=utf-8"),
    "a charset": lambda seen: raw(written(seen), "application/json; charset=utf-8"),
    "a content type in capitals": lambda seen: raw(written(seen), "Application/JSON"),
    "unknown members": lambda seen: as_json({**done(seen), "x": 1, "jsonrpc": "2.0"}),
    "202 with the answer": lambda seen: as_json(done(seen), 202),
    "an event": lambda seen: as_events(event(done(seen))),
    "CR line ends": lambda seen: stream(f"id: 1\rdata: {written(seen)}\r\r"),
    "CRLF line ends": lambda seen: stream(f"id: 1\r\ndata: {written(seen)}\r\n\r\n"),
    "several data lines": lambda seen: stream(
        "data: {\ndata:" + written(seen)[1:-1] + "\ndata\ndata: }\n\n"
    ),
    "a byte order mark before events": lambda seen: stream(f"\ufeffdata: {written(seen)}\n\n"),
    "comments": lambda seen: stream(f": hello\n\n:\n\n: more\ndata: {written(seen)}\n\n"),
    "a retry": lambda seen: stream(f"retry: 10\n\nretry: x\ndata: {written(seen)}\n\n"),
    "an empty event first": lambda seen: stream(f"id: 1\ndata:\n\ndata: {written(seen)}\n\n"),
    "no empty line at the end": lambda seen: stream(f"data: {written(seen)}\n"),
    "no end of line at the end": lambda seen: stream(f"data: {written(seen)}"),
    "events of another type": lambda seen: stream(
        f"event: ping\ndata: {{}}\n\nevent: message\ndata: {written(seen)}\n\n"
    ),
    "an event that is not JSON": lambda seen: stream(f"data: hello\n\ndata: {written(seen)}\n\n"),
    "an event that is neither call nor answer": lambda seen: as_events(
        event({"jsonrpc": "2.0"}), event({"jsonrpc": "2.0", "id": seen.message["id"]}), event(done(seen))
    ),
    "a notification first": lambda seen: as_events(event(NOTE), event(done(seen))),
    "another answer first": lambda seen: as_events(event(done(seen, "no", 1)), event(done(seen))),
    "a batch in an event": lambda seen: as_events(event([NOTE, done(seen)])),
    "the type of a stream with a charset": lambda seen: Reply(
        200, {"content-type": "text/event-stream;charset=UTF-8"}, [event(done(seen))]
    ),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_can_be_read_is_the_answer(client: Driver, answer: str):
    with Peer(calls(ANSWERS[answer])) as peer:
        client.connect(peer.url, era="legacy")
        assert client.text("any") == "done"
        assert (peer.count("tools/call"), peer.count("initialize")) == (1, 1)


# What is in a text that a server wrote badly, and what of it arrives.
TEXTS: dict[str, tuple[Callable[[Seen], Reply], str]] = {
    "a byte that is not UTF-8": (
        lambda seen: raw(written(seen, "a?b").encode().replace(b"?", b"\xff")),
        "a\ufffdb",
    ),
    "the same in an event": (
        lambda seen: stream(f"data: {written(seen, 'a?b')}\n\n".encode().replace(b"?", b"\xff")),
        "a\ufffdb",
    ),
    "characters cut between pieces": (
        lambda seen: stream(f"data: {json.dumps(done(seen, 'üöä€🎉'), ensure_ascii=False)}\n\n"),
        "üöä€🎉",
    ),
    "a large answer": (lambda seen: as_json(done(seen, LARGE)), LARGE),
    "a large event": (lambda seen: as_events(event(done(seen, LARGE))), LARGE),
}


@pytest.mark.parametrize("answer", TEXTS)
def test_what_can_be_read_of_a_text_arrives(client: Driver, answer: str):
    reply, expected = TEXTS[answer]
    with Peer(calls(reply)) as peer:
        client.connect(peer.url, era="legacy")
        assert client.text("any") == expected
        assert peer.count("tools/call") == 1


def test_a_tool_that_returns_nothing_has_run(client: Driver):
    for result in (None, {}, {"content": None}, {"structuredContent": {"a": 1}}):
        with Peer(calls(lambda seen, result=result: as_json(seen.answer(result)))) as peer:
            client.connect(peer.url, era="legacy")
            assert client.ask("call_tool", name="any", arguments={})["text"] is None
            assert peer.count("tools/call") == 1


# What a server answers instead of a result, and the error that the caller gets, after one call.
ERRORS: dict[str, tuple[Callable[[Seen], Reply | None], str]] = {
    "an error as text": (lambda seen: as_json({**seen.answer(None), "error": "boom"}), "ToolError"),
    "an error without a code": (
        lambda seen: as_json({"jsonrpc": "2.0", "id": seen.message["id"], "error": {"message": "boom"}}),
        "ToolError",
    ),
    "an error whose code is text": (lambda seen: as_json(seen.error("E_BOOM", "boom")), "ToolError"),
    "an error whose code is too large": (lambda seen: as_json(seen.error(1e30, "boom")), "ToolError"),
    "an error with the id null": (lambda seen: as_json(seen.error(-32603, "boom", None)), "ToolError"),
    "an error with 500": (lambda seen: as_json(seen.error(-32603, "boom"), 500), "ToolError"),
    "404 for the request's own id": (lambda seen: as_json(seen.error(-32000, "boom"), 404), "ToolError"),
    "404 for a method": (lambda seen: as_json(seen.error(-32601, "boom", None), 404), "ToolError"),
    "a tool's error about a session": (
        lambda seen: as_json(seen.error(-32602, "boom: browser session not found: 7")),
        "ToolError",
    ),
    "a tool's error about what is not initialized": (
        lambda seen: as_json(seen.error(-32000, "boom: database connection not initialized")),
        "ToolError",
    ),
    "401": (lambda _: Reply(401, {"www-authenticate": "Bearer"}), "ConnectionError"),
    "403 with a page": (lambda _: Reply(403, {"content-type": "text/html"}, b"<p>session</p>"), "ConnectionError"),
    "403 to come back later": (lambda _: Reply(403, {"retry-after": "0"}), "ConnectionError"),
    "429 to come back much later": (lambda _: Reply(429, {"retry-after": "3600"}), "ConnectionError"),
    "413": (lambda _: Reply(413), "ConnectionError"),
    "another origin": (lambda _: Reply(307, {"location": "http://127.0.0.2:9/mcp"}), "ConnectionError"),
    "a redirect without the body": (lambda _: Reply(302, {"location": "/other"}), "ConnectionError"),
    "202 and nothing else": (lambda _: Reply(202), "OutcomeUnknown"),
    "200 and nothing else": (lambda _: Reply(200, JSON), "OutcomeUnknown"),
    "204": (lambda _: Reply(204), "OutcomeUnknown"),
    "a page": (lambda _: raw("<html>", "text/html"), "OutcomeUnknown"),
    "an array without messages": (lambda _: raw("[1, null]"), "OutcomeUnknown"),
    "an answer that is cut off": (lambda seen: raw(written(seen)[:-20]), "OutcomeUnknown"),
    "an event that is cut off": (lambda seen: stream(f"data: {written(seen)[:-20]}"), "OutcomeUnknown"),
    "an answer to another request only": (lambda seen: as_json(done(seen, id=1)), "OutcomeUnknown"),
    "a stream without an answer": (lambda _: as_events(event(NOTE)), "OutcomeUnknown"),
}


@pytest.mark.parametrize("answer", ERRORS)
def test_an_error_says_whether_the_call_may_have_run(client: Driver, answer: str):
    reply, expected = ERRORS[answer]
    with Peer(calls(reply)) as peer:
        client.connect(peer.url, era="legacy")
        with pytest.raises(Failed) as failed:
            client.text("any")
        assert failed.value.type == expected, failed.value
        assert "127.0.0.2" not in failed.value.message
        if expected == "ToolError":
            assert "boom" in failed.value.message
        assert (peer.count("tools/call"), peer.count("initialize")) == (1, 1)


# What a server says that forgot the session: the client shakes hands again and calls again, once.
FORGOTTEN: dict[str, Callable[[Seen], Reply]] = {
    "404": lambda _: Reply(404),
    "404 with an error": lambda seen: as_json(seen.error(-32001, "Session not found", None), 404),
    "404 that repeats the id": lambda seen: as_json(seen.error(-32001, "Session not found"), 404),
    "404 as text": lambda _: Reply(404, {"content-type": "text/plain"}, b"Session not found"),
    "410": lambda _: Reply(410),
    "400 not initialized": lambda seen: as_json(
        seen.error(-32000, "Bad Request: Server not initialized", None), 400
    ),
    "400 as text": lambda _: Reply(400, {"content-type": "text/plain"}, b"Invalid session ID"),
    "400 no valid session": lambda seen: as_json(
        seen.error(-32000, "Bad Request: No valid session ID provided", None), 400
    ),
    "401 session not found": lambda _: Reply(401, {"content-type": "text/plain"}, b"Unauthorized: Session not found"),
    "503 session": lambda seen: as_json(seen.error(-32000, "Session expired", None), 503),
    "200 not initialized": lambda seen: as_json(seen.error(-32000, "Bad Request: Server not initialized", None)),
    "200 not initialized, to the request": lambda seen: as_json(seen.error(-32002, "Server not initialized")),
    "200 before initialization": lambda seen: as_json(
        seen.error(-32602, "Received request before initialization was complete")
    ),
    "200 session not found": lambda seen: as_json(seen.error(-32001, "Session not found")),
    "200 session not found, as an event": lambda seen: as_events(event(seen.error(-32600, "Session terminated"))),
}


@pytest.mark.parametrize("answer", FORGOTTEN)
def test_a_forgotten_session_is_begun_again(client: Driver, answer: str):
    with Peer(first(FORGOTTEN[answer])) as peer:
        client.connect(peer.url, era="legacy")
        assert client.text("any") == "done"
        assert (peer.count("tools/call"), peer.count("initialize")) == (2, 2)
        assert [call.headers["mcp-session-id"] for call in peer.of("tools/call")] == ["h1", "h2"]


@pytest.mark.parametrize("answer", FORGOTTEN)
def test_a_session_that_is_forgotten_at_once_is_not_begun_for_ever(client: Driver, answer: str):
    with Peer(calls(FORGOTTEN[answer])) as peer:
        client.connect(peer.url, era="legacy")
        with pytest.raises(Failed) as failed:
            client.text("any")
        expected = "ToolError" if answer.startswith("200") else "SessionError"
        assert failed.value.type == expected, failed.value
        assert (peer.count("tools/call"), peer.count("initialize")) == (2, 2)


def test_a_401_for_every_one_is_a_matter_of_credentials(client: Driver):
    def script(seen: Seen, before: int) -> Reply | None:
        if seen.kind == "tools/call" or (seen.kind == "initialize" and before):
            return Reply(401, {"content-type": "text/plain"}, b"Unauthorized: Session not found")
        return None

    with Peer(script) as peer:
        client.connect(peer.url, era="legacy")
        with pytest.raises(Failed) as failed:
            client.text("any")
        assert failed.value.type == "ConnectionError", failed.value
        assert (peer.count("tools/call"), peer.count("initialize")) == (1, 2)


def test_a_server_without_handles_can_forget_too(client: Driver):
    def script(seen: Seen, before: int) -> Reply | None:
        if seen.kind == "initialize":
            reply = as_json(seen.answer({"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"}}))
            return reply
        if seen.kind == "tools/call" and not before:
            return as_json(seen.error(-32000, "Bad Request: Server not initialized", None), 400)
        return None

    with Peer(script) as peer:
        client.connect(peer.url, era="legacy")
        assert client.text("any") == "done"
        assert (peer.count("tools/call"), peer.count("initialize")) == (2, 2)


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_on_the_same_origin_is_followed_with_the_call(client: Driver, status: int):
    def script(seen: Seen, before: int) -> Reply | None:
        return Reply(status, {"location": "/elsewhere"}) if seen.path == "/mcp" else None

    with Peer(script) as peer:
        client.connect(peer.url, era="legacy")
        assert client.text("any") == "done"
        assert {call.path for call in peer.of("tools/call")} == {"/elsewhere"}


# What comes to who comes back for an answer whose stream ended early.
RESUMED: dict[str, tuple[Callable[[Seen, Seen, int], Reply], str | None]] = {
    "an event": (lambda _, call, __: as_events(event(done(call, "late"), "2")), "late"),
    "a document": (lambda _, call, __: as_json(done(call, "late")), "late"),
    "an event without an end": (lambda _, call, __: stream(f"data: {written(call, 'late')}"), "late"),
    "nothing at first": (
        lambda _, call, before: as_events() if before < 2 else as_events(event(done(call, "late"))),
        "late",
    ),
    "503 at first": (
        lambda _, call, before: Reply(503, {"retry-after": "0"}) if not before else as_events(event(done(call, "late"))),
        "late",
    ),
    "404": (lambda *_: Reply(404), None),
    "405": (lambda *_: Reply(405), None),
}


@pytest.mark.parametrize("answer", RESUMED)
def test_a_stream_that_ends_early_is_come_back_to_when_the_server_says(client: Driver, answer: str):
    resumed, expected = RESUMED[answer]
    called: list[Seen] = []

    def script(seen: Seen, before: int) -> Reply | None:
        if seen.kind == "tools/call":
            called.append(seen)
            return stream("id: one\nretry: 20\ndata:\n\n")
        return resumed(seen, called[0], before) if seen.kind == "GET" else None

    with Peer(script) as peer:
        client.connect(peer.url, era="legacy")
        if expected is None:
            with pytest.raises(Failed) as failed:
                client.text("any")
            assert failed.value.type == "OutcomeUnknown", failed.value
        else:
            assert client.text("any") == expected
        assert {get.headers["last-event-id"] for get in peer.of("GET")} == {"one"}
        assert (peer.count("tools/call"), peer.count("initialize")) == (1, 1)


def pages(cursors: list[Any]) -> Script:
    """A list of tools in pages: page `n` says that `cursors[n]` comes next, the last one for ever."""

    def script(seen: Seen, before: int) -> Reply | None:
        if seen.kind != "tools/list":
            return None
        at = min(before, len(cursors) - 1)
        tools = [{"name": f"tool-{at}", "inputSchema": {"type": "object"}}]
        result = {"tools": tools, "nextCursor": cursors[at]}
        return as_json(seen.answer(result))

    return script


@pytest.mark.parametrize(
    ("cursors", "names"),
    [
        (["a", None], 2),
        (["a", ""], 2),
        (["a", "a"], 2),
        (["a", "b", "a"], 3),
        ([1, 2.5, None], 3),
        (["a", {}], 2),
    ],
)
def test_a_list_ends_where_its_cursors_do(client: Driver, cursors: list[Any], names: int):
    with Peer(pages(cursors)) as peer:
        client.connect(peer.url, era="legacy")
        listed = client.ask("list_tools")["names"]
        assert listed == [f"tool-{at}" for at in range(names)]
        assert peer.count("tools/list") == names


def test_a_list_without_an_end_is_an_error(client: Driver):
    def script(seen: Seen, before: int) -> Reply | None:
        if seen.kind != "tools/list":
            return None
        return as_json(seen.answer({"tools": [], "nextCursor": f"c{before}"}))

    with Peer(script) as peer:
        client.connect(peer.url, era="legacy")
        with pytest.raises(Failed) as failed:
            client.begin("list_tools").result(ANSWER_S)
        assert failed.value.type == "ToolError", failed.value
        assert peer.count("tools/list") == 100


def test_an_odd_tool_does_not_hide_the_others(client: Driver):
    tools = [{"name": "odd"}, 7, None, {"inputSchema": {}}, {"name": "any", "inputSchema": {"type": "object"}}]

    def script(seen: Seen, _: int) -> Reply | None:
        return as_json(seen.answer({"tools": tools})) if seen.kind == "tools/list" else None

    with Peer(script) as peer:
        client.connect(peer.url, era="legacy")
        assert client.ask("list_tools")["names"] == ["any"]


def test_calls_are_answered_in_any_order(client: Driver):
    last = threading.Event()

    def script(seen: Seen, before: int) -> Reply | None:
        if seen.kind != "tools/call":
            return None
        if before == 0:
            last.wait(30)
        else:
            last.set()
        return as_json(done(seen, seen.message["params"]["arguments"]["n"]))

    with Peer(script) as peer:
        client.connect(peer.url, era="legacy")
        one = client.call("any", n="one")
        peer.until(lambda peer: peer.count("tools/call") == 1)
        assert client.text("any", n="two") == "two"
        assert one.result(ANSWER_S)["text"] == "one"


@pytest.mark.parametrize("status", [200, 202, 204, 400, 404, 405, 500])
def test_a_goodbye_is_said_whatever_the_server_thinks_of_it(client: Driver, status: int):
    def script(seen: Seen, _: int) -> Reply | None:
        return Reply(status) if seen.kind == "DELETE" else None

    with Peer(script) as peer:
        client.connect(peer.url, era="legacy")
        client.ask("close")
        assert peer.count("DELETE") == 1


# What servers of the legacy era say to a method that they do not know.
UNKNOWN_METHODS: dict[str, Callable[[Seen], Reply]] = {
    "400": lambda _: Reply(400),
    "404": lambda _: Reply(404),
    "405": lambda _: Reply(405),
    "406": lambda _: Reply(406),
    "410": lambda _: Reply(410),
    "500": lambda _: Reply(500),
    "400 not initialized": lambda seen: as_json(
        seen.error(-32000, "Bad Request: Server not initialized", None), 400
    ),
    "200 with an error": lambda seen: as_json(seen.error(-32601, "Method not found")),
    "an error as an event": lambda seen: as_events(event(seen.error(-32602, "Invalid request parameters"))),
    "a page": lambda _: raw("<html>", "text/html"),
    "202": lambda _: Reply(202),
}


@pytest.mark.parametrize("answer", UNKNOWN_METHODS)
def test_a_legacy_server_is_known_by_any_refusal(client: Driver, answer: str):
    def script(seen: Seen, _: int) -> Reply | None:
        return UNKNOWN_METHODS[answer](seen) if seen.kind == "server/discover" else None

    with Peer(script) as peer:
        client.connect(peer.url, era="auto", retry_delay_ms=1)
        assert client.text("any") == "done"
        assert client.session()["era"] == "legacy"
