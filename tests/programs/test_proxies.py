"""mcp-remote and supergateway, in front of the gateway and behind it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import rows
from drivers import Failed
from harness import SDK, Process, free_port, tool
from sdk import CLIENTS, Kind, stdio_server

pytestmark = pytest.mark.timeout(120)

# By name: the command that makes a server on stdio of an endpoint.
PROXIES = {
    "mcp-remote": lambda url: [str(tool("mcp-remote")), url, "--allow-http"],
    "supergateway": lambda url: [
        *[str(tool("supergateway")), "--streamableHttp", url, "--outputTransport", "stdio"],
        *["--logLevel", "none"],
    ],
}

proxies = pytest.mark.parametrize("proxy", PROXIES)

SESSIONS = "SELECT count(*) FROM archon_mcp_sessions"

# What most hosts of such proxies speak.
HOST = Kind("1")


@pytest.fixture
def start_host(connect, tmp_path):
    """Connects a client through a proxy that it starts; the file names each HTTP request that the proxy makes."""

    def start(proxy, url):
        traced = tmp_path / "requests"
        env = {
            **{"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TRACE": str(traced)},
            "NODE_OPTIONS": f"--import {SDK / 'trace.mjs'}",
        }
        return connect(HOST, PROXIES[proxy](url), env=env), traced

    return start


@proxies
def test_a_host_keeps_its_session_through_a_proxy(start_sdk_server, start_archon, start_host, proxy):
    upstream = start_sdk_server("1", "stateful")
    gateway = start_archon("--durability", "strict", upstream=upstream)
    host, _ = start_host(proxy, gateway.url)
    host.call("remember", text="before")
    # mcp-remote begins with one session more, to find out which transport there is.
    before = rows.query(gateway.db, SESSIONS)

    gateway.kill()
    gateway.restart()
    assert host.call("recall") == "before"

    upstream.kill()
    upstream.restart()
    host.call("remember", text="after")
    assert host.call("recall") == "after"
    assert rows.query(gateway.db, SESSIONS) == before


@proxies
def test_a_proxy_comes_back_for_nothing_that_was_answered(start_sdk_server, start_archon, start_host, proxy):
    gateway = start_archon(upstream=start_sdk_server("1", "stateful"))
    host, traced = start_host(proxy, gateway.url)
    for _ in range(3):
        host.call("steps", count=2)
        with pytest.raises(Failed, match="refused"):
            host.call("refuse")
    wait_for_rest(lambda: requests(traced).count("GET"), most=7)


def requests(traced: Path) -> list[str]:
    return traced.read_text().split()


def wait_for_rest(count, most):
    """Waits until a number has not changed for three seconds, and never lets it pass a limit."""
    value, since = -1, 0.0
    while time.monotonic() - since < 3:
        time.sleep(0.05)
        if (now := count()) != value:
            value, since = now, time.monotonic()
        assert value <= most


class Supergateway(Process):
    """supergateway in front of a command, with an endpoint of one transport."""

    name = "supergateway"

    def __init__(self, directory: Path, command: str, transport: str):
        self._arguments = ["--stdio", command, "--outputTransport", transport, "--stateful"]
        self._path = "/sse" if transport == "sse" else "/mcp"
        self._port = free_port()
        super().__init__(directory)

    def command(self) -> list[str]:
        return [str(tool("supergateway")), *self._arguments, "--port", str(self._port)]

    def find_url(self, output: str) -> str | None:
        return f"http://127.0.0.1:{self._port}{self._path}" if "Listening on port" in output else None


@pytest.fixture
def start_supergateway(processes):
    def start(transport):
        directory = processes.directory / f"supergateway-{len(processes.started)}"
        process = Supergateway(directory, stdio_server("1"), transport)
        processes.started.append(process)
        return process

    return start


@pytest.mark.parametrize("kind", CLIENTS, ids=str)
@pytest.mark.parametrize("transport", ["streamableHttp", "sse"])
def test_a_server_behind_supergateway_keeps_state(start_supergateway, start_archon, connect, transport, kind):
    upstream = start_supergateway(transport)
    gateway = start_archon("--durability", "strict", upstream=upstream)
    client = connect(kind, gateway.url)
    client.call("remember", text="before")
    assert client.call("recall") == "before"
    assert client.call("think") == "thought"

    upstream.end()
    upstream.restart()
    client.call("remember", text="after")
    assert client.call("recall") == "after"
    rows.expect(gateway.db, [(1,)], SESSIONS)
