"""Our clients without a gateway: plain MCP clients of servers on three SDKs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers import Driver
from harness import Process, Processes
from plain import Plain

# Which server, which argument its echo wants, and the era that `auto` finds.
SERVERS = {
    "rust": ("text", "modern"),
    "rust-legacy": ("text", "legacy"),
    "typescript": ("message", "legacy"),
    "python": ("message", "modern"),
}


@pytest.fixture(params=SERVERS)
def sdk(request: pytest.FixtureRequest) -> str:
    """Whose server."""
    return request.param


@pytest.fixture
def plain(sdk: str, processes: Processes) -> Process:
    """A server of this SDK, reached directly."""
    match sdk:
        case "rust":
            return processes.start_fixture()
        case "rust-legacy":
            return processes.start_fixture("--legacy-only")
        case "typescript":
            return processes.start_everything()
        case _:
            process = Plain(processes.directory / "plain")
            processes.started.append(process)
            return process


def echo(client: Driver, sdk: str, text: str) -> None:
    """Has the server say something back."""
    assert text in client.text("echo", **{SERVERS[sdk][0]: text})


def test_a_plain_server_is_served_without_a_session_and_over_a_restart(
    start_client: Callable[..., Driver], plain: Process, sdk: str
):
    client = start_client(plain.url, heartbeat_ms=50)
    echo(client, sdk, "hello")
    assert "echo" in client.ask("list_tools")["names"]
    assert client.ask("health_check")["status"] == "healthy"
    before = client.session()
    assert (before["session_id"], before["era"]) == (None, SERVERS[sdk][1])

    plain.kill()
    plain.restart()

    echo(client, sdk, "hello again")
    after = client.session()
    assert (after["session_id"], after["era"]) == (None, SERVERS[sdk][1])
    # A handle that the server forgot was replaced; where there is none, nothing was.
    had_handle = before["mcp_session_id"] is not None
    assert (after["mcp_session_id"] != before["mcp_session_id"]) == had_handle
    client.ask("close")
