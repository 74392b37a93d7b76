"""Real clients that stay as they are while the gateway is replaced ten times under them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rows
from activated import listening
from clients import LIBRARIES, MODES, connect, run
from harness import fixture_command, tool

pytestmark = pytest.mark.timeout(300)

RESTARTS = 10


@pytest.fixture
def sockets():
    with listening() as mcp, listening() as api:
        yield mcp, api


@pytest.fixture(params=["http", "stdio"])
def gateway(request, sockets, start_activated, start_fixture):
    """On sockets that outlive it, in front of either kind of upstream."""
    upstream = start_fixture() if request.param == "http" else fixture_command()
    return start_activated(*sockets, upstream=upstream)


def replace(gateway, n):
    """Restarts the gateway: killed, or told to stop, in turn."""
    if n % 2:
        gateway.stop()
    else:
        gateway.kill()
    gateway.start()




def expect_echoes(gateway, count):
    """Waits for the rows of so many calls: those of the last moment may go down with a crash."""
    sql = "SELECT status, count(*) FROM archon_mcp_requests WHERE tool_name = 'echo' GROUP BY 1"
    rows.expect(gateway.db, [("success", count)], sql)


def expect_one_session(gateway):
    rows.expect(gateway.db, [(1,)], "SELECT count(*) FROM archon_mcp_sessions")


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("mode", MODES)
def test_python_clients_keep_working(gateway, library, mode):
    async def use():
        async with connect(library, gateway.url, mode) as client:
            for n in range(RESTARTS):
                assert await client.text("echo", text=f"before {n}") == f"before {n}"
                expect_echoes(gateway, 2 * n + 1)
                replace(gateway, n)
                assert await client.text("echo", text=f"after {n}") == f"after {n}"
                expect_echoes(gateway, 2 * n + 2)

    run(use())
    expect_one_session(gateway)


class Mcpdo:
    """The Inspector's command line that keeps a connection from one command to the next."""

    def __init__(self, home: Path):
        self.env = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "MCP_INSPECTOR_DAEMON_DIR": str(home),
            "MCP_INSPECTOR_DAEMON_TOKEN": secrets.token_urlsafe(16),
        }

    def __call__(self, *args: str) -> Any:
        command = [str(tool("mcpdo")), "--format", "json", "--connection", "one", *args]
        done = subprocess.run(command, capture_output=True, text=True, env=self.env, timeout=60)
        assert done.returncode == 0, f"{args}: {done.stderr}{done.stdout}"
        return json.loads(done.stdout)


@pytest.fixture
def mcpdo() -> Iterator[Mcpdo]:
    # A socket's path is short, so its folder is too.
    with tempfile.TemporaryDirectory(prefix="mcpdo") as home:
        command = Mcpdo(Path(home))
        try:
            yield command
        finally:
            with contextlib.suppress(AssertionError, ValueError):
                command("daemon", "stop")


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_mcpdo_keeps_its_connection(gateway, mcpdo, era):
    mcpdo("connect", gateway.url, "--transport", "http", "--era", era)
    for n in range(RESTARTS):
        replace(gateway, n)
        called = mcpdo("tools/call", "echo", f"text:=after {n}")
        assert called["content"][0]["text"] == f"after {n}"
        expect_echoes(gateway, n + 1)
    expect_one_session(gateway)
