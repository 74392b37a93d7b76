"""Servers of the HTTP+SSE transport of 2024-11-05 behind the gateway."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from old_sse import PythonSse, TypeScriptSse
from wire import LegacyClient, ModernClient


@pytest.fixture
def start_sse(processes):
    """Starts one of the servers of old_sse.py."""

    def start(kind):
        server = kind(processes.directory / f"sse-{len(processes.started)}")
        processes.started.append(server)
        return server

    return start


@pytest.mark.parametrize(("kind", "tool"), [(PythonSse, "count"), (TypeScriptSse, "echo")])
def test_both_eras_are_served_and_a_restart_costs_nothing_but_state(
    start_sse, start_archon, kind, tool
):
    server = start_sse(kind)
    gateway = start_archon(upstream=server)
    arguments = {"message": "x"} if tool == "echo" else {}
    client = LegacyClient.connect(gateway.url)
    assert tool in {one["name"] for one in client.request("tools/list").result["tools"]}
    for _ in range(3):
        assert not client.call(tool, arguments).result.get("isError")
    assert not ModernClient(gateway.url).call(tool, arguments).result.get("isError")

    server.kill()
    server.restart()
    assert not client.call(tool, arguments).result.get("isError")
    gateway.kill()
    gateway.restart()
    assert not client.call(tool, arguments).result.get("isError")
    assert client.end().status == 200
    assert "HTTP+SSE transport" in gateway.log()


def test_each_connection_has_a_session_of_its_own(start_sse, start_archon):
    gateway = start_archon(upstream=start_sse(PythonSse))
    one, other = LegacyClient.connect(gateway.url), LegacyClient.connect(gateway.url)
    assert [one.text("count"), one.text("count"), other.text("count")] == ["1", "2", "1"]
    with ThreadPoolExecutor(8) as pool:
        counted = list(pool.map(lambda _: one.text("count"), range(20)))
    assert sorted(map(int, counted)) == list(range(3, 23))
