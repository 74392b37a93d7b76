"""A call that is made while no gateway runs is answered by the next one, and its client notices nothing."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import rows
from clients import LIBRARIES, MODES, run
from clients import connect as connect_python
from drivers import ANSWER_S
from harness import Archon, wait_for
from sdk import CLIENTS

pytestmark = pytest.mark.timeout(120)

# Of `tcp_states.h`, as `/proc/net/tcp` shows it.
LISTENS = "0A"

both_ends = pytest.mark.parametrize("end", ["stop", "kill"])


@pytest.fixture
def gateway(start_fixture, start_archon):
    """A gateway on ports that are known, as people configure it."""
    return start_archon("--durability", "strict", upstream=start_fixture(), has_fixed_ports=True)


def away(gateway: Archon, end: str) -> None:
    """Ends it, in an orderly way or as a crash would."""
    if end == "stop":
        assert gateway.stop() == 0
    else:
        gateway.kill()


def waiting(port: int) -> int:
    """How many connections nobody has accepted yet, on a port that is listened on."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    mine = [f for f in fields if f[1].endswith(f":{port:04X}") and f[3] == LISTENS]
    # A listening socket shows its backlog in the place of received bytes.
    return sum(int(f[4].partition(":")[2], 16) for f in mine)


def expect_one_session(gateway: Archon) -> None:
    """The client went on in its session, and no other was begun."""
    rows.expect(gateway.db, [(1,)], "SELECT count(*) FROM archon_mcp_sessions")
    calls = "SELECT count(*) FROM archon_mcp_requests WHERE tool_name = 'count' AND status = 'success'"
    rows.expect(gateway.db, [(3,)], calls)


@both_ends
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("mode", MODES)
def test_a_python_client_waits_for_the_next_gateway(gateway, library, mode, end):
    async def use() -> None:
        async with connect_python(library, gateway.url, mode) as client:
            assert await client.text("count", key="k") == "1"
            await asyncio.to_thread(away, gateway, end)

            call = asyncio.create_task(client.text("count", key="k"))
            while not call.done() and not waiting(gateway.port):
                await asyncio.sleep(0.02)
            assert not call.done(), call.exception()
            await asyncio.to_thread(gateway.restart)

            assert await call == "2", "it ran once"
            assert await client.text("count", key="k", add=0) == "2"

    run(use())
    expect_one_session(gateway)


@both_ends
@pytest.mark.parametrize("kind", CLIENTS, ids=str)
def test_a_typescript_client_waits_for_the_next_gateway(gateway, connect, kind, end):
    client = connect(kind, gateway.url)
    assert client.call("count", key="k") == "1"
    away(gateway, end)

    call = client.begin("call", name="count", arguments={"key": "k"})
    wait_for("the call waits", lambda: call.done() or waiting(gateway.port))
    assert not call.done(), call.exception()
    gateway.restart()

    assert call.result(ANSWER_S)["text"] == "2", "it ran once"
    assert client.call("count", key="k", add=0) == "2"
    expect_one_session(gateway)


@pytest.mark.parametrize("kind", CLIENTS, ids=str)
def test_a_client_that_begins_while_no_gateway_runs_is_answered(gateway, connect, kind):
    away(gateway, "kill")
    with ThreadPoolExecutor(1) as pool:
        connecting = pool.submit(connect, kind, gateway.url)
        wait_for("it waits", lambda: connecting.done() or waiting(gateway.port))
        assert not connecting.done(), connecting.exception()
        gateway.restart()
        client = connecting.result(ANSWER_S)
    assert client.call("count", key="k") == "1"
