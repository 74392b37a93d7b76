"""The TypeScript SDK, both releases of it, as client and as server, with the gateway between them."""

from __future__ import annotations

import time

import pytest

import rows
from drivers import ANSWER_S, Failed
from harness import Archon, Processes, wait_for
from sdk import CLIENTS, Kind, stdio_server

pytestmark = pytest.mark.timeout(120)

# By release and how the server is built.
SERVERS = [
    *["1-stateful", "1-resumable", "1-json", "1-stateless", "1-stdio"],
    *["2-stateful", "2-resumable", "2-json", "2-stateless", "2-stdio"],
]
# These keep something for a client between two calls.
STATEFUL = [server for server in SERVERS if "stateless" not in server]
# And these speak by themselves, too.
STREAMING = [server for server in STATEFUL if "json" not in server]

clients = pytest.mark.parametrize("kind", CLIENTS, ids=str)

# Only these two meet in the modern era, which has no sessions: a client that keeps neither cookie nor key has no
# process of its own there, and its state is not kept.
MODERN = (Kind("2", "auto"), "2-stdio")
WITH_A_SESSION = [
    pytest.param(kind, server, id=f"{kind}-{server}")
    for kind in CLIENTS
    for server in STATEFUL
    if (kind, server) != MODERN
]


@pytest.fixture(scope="module")
def gateway(sdk_clients, tmp_path_factory):
    """One gateway in front of them all, for tests that stop nothing."""
    with Processes(tmp_path_factory.mktemp("sdk")) as processes:
        upstreams = {}
        for server in SERVERS:
            release, kind = server.split("-")
            if kind == "stdio":
                upstreams[server] = stdio_server(release)
            else:
                upstreams[server] = processes.start_sdk_server(release, kind)
        yield processes.start_archon(upstream=upstreams)


def at(gateway: Archon, server: str) -> str:
    return f"{gateway.url}/{server}"


@pytest.mark.parametrize("server", SERVERS)
@clients
def test_a_client_works(gateway, connect, kind, server):
    client = connect(kind, at(gateway, server))
    assert {"remember", "recall", "heartbeat"} <= set(client.ask("list")["names"])
    assert client.call("steps", count=3) == "3 steps"
    with pytest.raises(Failed, match="refused"):
        client.call("refuse")
    assert client.call("test_image_content") == "image"
    read = client.ask("request", method="resources/read", params={"uri": "test://static-text"})
    assert read["contents"][0]["text"].startswith("This is the content")
    steps = [] if "json" in server else [1, 2, 3]
    wait_for("the progress", lambda: client.seen()["progress"] == steps, ANSWER_S)


@pytest.mark.parametrize(("kind", "server"), WITH_A_SESSION)
def test_a_session_keeps_its_state(gateway, connect, kind, server):
    client = connect(kind, at(gateway, server))
    for text in ["a", "b", "c"]:
        client.call("remember", text=text)
    assert client.call("recall") == "a b c"


@pytest.mark.parametrize("server", STREAMING)
@clients
def test_a_server_asks_and_speaks_by_itself(gateway, connect, kind, server):
    client = connect(kind, at(gateway, server))
    assert client.call("ask") == 'accept {"username":"ada","email":"ada@example.com"}'
    assert client.call("think") == "thought"
    assert client.seen()["questions"] == ["Who is there?", "Think"]
    if (kind, server) != MODERN:  # where nobody listens unasked
        client.call("announce")
        wait_for("what it says", lambda: client.seen()["messages"] == ["announced"], ANSWER_S)


@pytest.mark.parametrize("server", STREAMING)
@clients
def test_a_cancelled_call_is_cancelled_at_the_server(gateway, connect, kind, server):
    client = connect(kind, at(gateway, server))
    before = client.call("journal").count("aborted")
    call = client.begin("call", name="hang", label="it")
    wait_for("the call runs", lambda: client.call("journal").split()[-1:] == ["hang"], ANSWER_S)
    client.ask("cancel", label="it")
    with pytest.raises(Failed, match="enough"):
        call.result(ANSWER_S)
    wait_for("it is aborted", lambda: client.call("journal").count("aborted") > before, ANSWER_S)


@pytest.mark.parametrize("server", ["1-resumable", "2-resumable"])
@clients
def test_a_stream_that_the_server_closes_is_resumed(gateway, connect, kind, server):
    client = connect(kind, at(gateway, server))
    assert client.call("hang_up") == "answered after the stream was closed"


# How an event gets its number: from us, from the server, and from us for a server that has no streams at all.
@pytest.mark.parametrize("server", ["1-stateful", "2-resumable", "1-stdio"])
@clients
def test_a_client_comes_back_for_nothing_that_was_answered(gateway, connect, kind, server):
    # As quick as it can, so that a loop is one.
    client = connect(kind, at(gateway, server), reconnect_ms=10)
    for _ in range(3):
        client.call("steps", count=2)
        with pytest.raises(Failed, match="refused"):
            client.call("refuse")
    # Not more than once for each answer.
    wait_for_rest(lambda: len(client.came_back()), most=6)
    client.ask("list")
    assert not [error for error in client.seen()["errors"] if "restarted" in error]


def wait_for_rest(count, most):
    """Waits until a number has not changed for a second, and never lets it pass a limit."""
    value, since = -1, 0.0
    while time.monotonic() - since < 1:
        time.sleep(0.05)
        if (now := count()) != value:
            value, since = now, time.monotonic()
        assert value <= most


@pytest.mark.parametrize("server", ["1-stateful", "2-resumable"])
@clients
def test_clients_outlive_server_and_gateway(start_sdk_server, start_archon, connect, kind, server):
    upstream = start_sdk_server(*server.split("-"))
    gateway = start_archon("--durability", "strict", upstream=upstream)
    client = connect(kind, gateway.url)
    client.call("remember", text="before")

    gateway.kill()
    gateway.restart()
    assert client.call("recall") == "before"
    # What this server says while there is no stream is lost, gateway or not.
    wait_for("its stream is back", lambda: client.call("announce") and client.seen()["messages"], ANSWER_S)

    upstream.kill()
    upstream.restart()
    assert client.call("recall") == "", "the server's state is gone, its client is not"
    client.call("remember", text="after")

    gateway.kill()
    upstream.kill()
    upstream.restart()
    gateway.restart()
    client.call("remember", text="again")
    assert client.call("recall") == "again"
    rows.expect(gateway.db, [(1,)], "SELECT count(*) FROM archon_mcp_sessions")


@clients
def test_clients_outlive_a_gateway_with_its_children(start_archon, connect, kind):
    gateway = start_archon("--durability", "strict", upstream=stdio_server("1"))
    client = connect(kind, gateway.url)
    client.call("remember", text="before")
    assert client.call("recall") == "before"

    gateway.kill()
    gateway.restart()
    client.call("remember", text="after")
    assert client.call("recall") == "after"
    rows.expect(gateway.db, [(1,)], "SELECT count(*) FROM archon_mcp_sessions")


# The release for 2025-06-18 expects no id before an answer; it has nothing to come back with, and waits until it gives up.
@pytest.mark.parametrize("kind", [kind for kind in CLIENTS if kind.release != "1.23"], ids=str)
def test_a_call_that_a_crash_interrupts_is_told_so_and_not_made_again(
    start_sdk_server, start_archon, connect, kind
):
    gateway = start_archon("--durability", "strict", upstream=start_sdk_server("1", "resumable"))
    client = connect(kind, gateway.url)
    call = client.begin("call", name="sleep", arguments={"ms": 1500})
    wait_for("the call runs", lambda: "sleep" in client.call("journal"), ANSWER_S)
    gateway.kill()
    gateway.restart()
    # Where it was killed before it sent anything, its client has a broken connection.
    with pytest.raises(Failed, match="it may have run|fetch failed"):
        call.result(ANSWER_S)
    wait_for("it has ended", lambda: "awake" in client.call("journal"), ANSWER_S)
    assert client.call("journal").count("sleep") == 1
