"""Playwright MCP behind the gateway: the best-known server that keeps state, as the README sets one up."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

import rows
from browser import GREETING, Page, playwright_mcp
from harness import wait_for
from sdk import CLIENTS

pytestmark = pytest.mark.timeout(180)

clients = pytest.mark.parametrize("kind", CLIENTS, ids=str)

SESSIONS = "SELECT count(*), sum(status = 'active') FROM archon_mcp_sessions"


@pytest.fixture
def page():
    with Page() as page:
        yield page


@pytest.fixture
def gateway(start_archon):
    return start_archon("--durability", "strict", upstream={"browser": playwright_mcp()})


def shown(client) -> str:
    """What the browser shows."""
    return client.call("browser_snapshot")


@clients
def test_what_the_browser_shows_is_kept(gateway, connect, page, kind):
    client = connect(kind, gateway.url)
    assert "browser_navigate" in client.ask("list")["names"]
    client.call("browser_navigate", url=page.url)
    assert GREETING in shown(client)
    rows.expect(gateway.db, [(1, 1)], SESSIONS)


def test_two_windows_of_one_agent_have_a_browser_each(gateway, connect, page):
    one, other = (connect(CLIENTS[-1], gateway.url) for _ in range(2))
    one.call("browser_navigate", url=page.url)
    assert GREETING not in shown(other)
    assert GREETING in shown(one)


@clients
def test_a_client_outlives_the_gateway_and_its_browser(gateway, connect, page, kind):
    client = connect(kind, gateway.url)
    client.call("browser_navigate", url=page.url)
    gateway.kill()
    gateway.restart()
    # Its browser ended with the gateway, and it gets another one.
    assert GREETING not in shown(client)
    client.call("browser_navigate", url=page.url)
    assert GREETING in shown(client)
    rows.expect(gateway.db, [(1, 1)], SESSIONS)


def test_a_client_outlives_its_server(gateway, connect, page):
    client = connect(CLIENTS[-1], gateway.url)
    client.call("browser_navigate", url=page.url)
    [server] = servers_of(gateway.pid)
    os.kill(server, signal.SIGKILL)
    # A call that reaches a dying server may have run, so that it is not made again.
    wait_for("the gateway knows", lambda: "signal 9" in gateway.log())
    assert GREETING not in shown(client)
    client.call("browser_navigate", url=page.url)
    assert GREETING in shown(client)
    rows.expect(gateway.db, [(1, 1)], SESSIONS)


def servers_of(gateway: int) -> list[int]:
    """The processes of Playwright MCP below the gateway."""
    found = []
    for pid in descendants(gateway):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            program = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
            # Not the supervisor, whose command line has the same words further on.
            if Path(os.fsdecode(program)).name == "node":
                found.append(pid)
    return found


def descendants(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *descendants(int(child))]
    return found
