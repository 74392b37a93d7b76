"""The Python client libraries through the gateway, in both eras, against servers of three kinds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import mcp
import pytest

import rows
from clients import ELICITED, LIBRARIES, MODES, SAMPLED, connect, run
from harness import Archon, fixture_command, tool

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:The logging capability is deprecated"),
]

BUILT_IN = {
    "health_check",
    "heartbeat",
    "session_info",
    "get_reconnect_token",
    "reconnect_session",
}
CLIENTS_AT_ONCE = 12

libraries = pytest.mark.parametrize("library", LIBRARIES)
modes = pytest.mark.parametrize("mode", MODES)
# How the gateway reaches the server: it is the same to its clients.
reached = pytest.mark.parametrize("reached", ["http", "own child", "shared child"])
reached_alone = pytest.mark.parametrize("reached", ["http", "own child"])


@pytest.fixture
def start_before_fixture(start_fixture, start_archon, config) -> Callable[[str], Archon]:
    """Starts a gateway in front of the fixture."""

    def start(reached: str) -> Archon:
        if reached == "http":
            return start_archon(upstream=start_fixture())
        upstream = {"command": fixture_command(), "shared": reached == "shared child"}
        return start_archon(*config(**{"upstreams.fixture": upstream}))

    return start


@libraries
@modes
def test_the_demo_server_lists_and_runs_its_tools(start_archon, library, mode):
    gateway = start_archon()

    async def use():
        async with connect(library, gateway.url, mode) as client:
            tools = await client.tools()
            found = await client.text("find_projects", query="authentication")
            info = await client.text("session_info")
            return tools, found, info

    tools, found, info = run(use())

    assert tools == BUILT_IN | {"find_projects", "manage_project", "find_tasks", "manage_task"}
    assert "Customer portal" in found
    era = "legacy" if mode == "legacy" else "modern"
    assert f'"era":"{era}"' in info
    version = "2025-11-25" if era == "legacy" else "2026-07-28"
    rows.expect(
        gateway.db,
        [("mcp", era, version)],
        "SELECT client_type, era, protocol_version FROM archon_mcp_sessions",
    )
    counts = {"tools/list": 1, "tools/call": 2} | ({"initialize": 1} if era == "legacy" else {})
    rows.expect_counts(gateway.db, counts, "method")
    rows.expect_counts(gateway.db, {"find_projects": 1, "session_info": 1}, "tool_name")
    rows.expect_counts(gateway.db, {"success": sum(counts.values())}, "status")


@libraries
@modes
@reached
def test_the_fixture_asks_and_reports_while_it_works(start_before_fixture, library, mode, reached):
    gateway = start_before_fixture(reached)

    async def use():
        async with connect(library, gateway.url, mode) as client:
            assert {"echo", "big"} | BUILT_IN <= await client.tools()
            assert await client.text("echo", text="grüße 🎉") == "grüße 🎉"
            assert SAMPLED in await client.text("test_sampling", prompt="say something")
            elicited = await client.text("test_elicitation", message="who are you")
            assert ELICITED["email"] in elicited
            assert await client.text("progress", steps=4, ms=10) == "4 steps"
            return client.progress

    assert run(use()) == [(step, 4) for step in (1, 2, 3, 4)]
    # A modern client answers a server's question by calling again: that is two requests.
    asked = 1 if mode == "legacy" else 2
    rows.expect_counts(
        gateway.db,
        {"echo": 1, "test_sampling": asked, "test_elicitation": asked, "progress": 1},
        "tool_name",
    )
    rows.expect(
        gateway.db,
        [("success",)],
        "SELECT DISTINCT status FROM archon_mcp_requests",
    )


@libraries
@reached_alone
def test_a_legacy_client_hears_the_logs_that_it_set_a_level_for(
    start_before_fixture, library, reached
):
    gateway = start_before_fixture(reached)

    async def use():
        async with connect(library, gateway.url, "legacy") as client:
            await client.client.set_logging_level("warning")
            await client.call("log", text="too low", level="info")
            await client.call("log", text="heard", level="error")
            return await client.logged.get()

    assert run(use()) == "heard"


@reached_alone
def test_a_modern_client_hears_the_logs_that_it_asks_for(start_before_fixture, reached):
    gateway = start_before_fixture(reached)

    async def use():
        async with connect("mcp", gateway.url, "2026-07-28", log_level="warning") as client:
            await client.call("log", text="too low", level="info")
            await client.call("log", text="heard", level="error")
            return await client.logged.get()

    assert run(use()) == "heard"


@libraries
@reached_alone
def test_a_server_that_we_did_not_write_works_in_full(
    start_everything, start_archon, library, reached
):
    command = f"{tool('mcp-server-everything')} stdio"
    if reached == "http":
        gateway = start_archon(upstream=start_everything())
    else:
        gateway = start_archon(env={"ARCHON_UPSTREAM": f"everything={command}"})

    async def use():
        async with connect(library, gateway.url, "legacy") as client:
            assert await client.version() == "2025-11-25"
            assert {"echo", "get-sum"} | BUILT_IN <= await client.tools()
            assert "hello" in await client.text("echo", message="hello")
            assert SAMPLED in await client.text("trigger-sampling-request", prompt="x")
            assert "provided" in await client.text("trigger-elicitation-request")
            done = await client.text("trigger-long-running-operation", duration=0.2, steps=2)
            assert "completed" in done
            await client.call("toggle-simulated-logging")
            return client.progress, await client.logged.get()

    progress, logged = run(use())
    assert progress[-1] == (2, 2)
    assert "message" in logged
    rows.expect(
        gateway.db,
        [("legacy", "2025-11-25", "client_disconnect")],
        "SELECT era, protocol_version, disconnect_reason FROM archon_mcp_sessions",
    )


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_clients_at_once_get_their_own_answers(start_fixture, start_archon, mode):
    gateway = start_archon(upstream=start_fixture())

    async def use(number: int) -> None:
        library = LIBRARIES[number % 2]
        async with connect(library, gateway.url, mode, f"client {number}") as client:
            texts = [f"{number}:{call}" for call in range(8)]
            # The libraries number their requests alike, so the same ids are in flight many times.
            heard = await asyncio.gather(*(client.text("echo", text=text) for text in texts))
            assert heard == texts

    async def use_all() -> None:
        await asyncio.gather(*(use(number) for number in range(CLIENTS_AT_ONCE)))

    run(use_all())
    expected = sorted((f"client {number}", 8) for number in range(CLIENTS_AT_ONCE))
    rows.expect(
        gateway.db,
        expected,
        "SELECT client_type, count(*) FROM archon_mcp_sessions JOIN archon_mcp_requests"
        " USING (session_id) WHERE tool_name = 'echo' GROUP BY 1 ORDER BY 1",
    )


@libraries
@modes
def test_a_tool_that_fails_is_an_error_to_its_client_and_in_its_row(
    start_fixture, start_archon, library, mode
):
    gateway = start_archon(upstream=start_fixture())

    async def use():
        async with connect(library, gateway.url, mode) as client:
            assert (await client.call("fail", message="the disk is full")).is_error
            with pytest.raises(mcp.MCPError, match="Unknown tool"):
                await client.call("no_such_tool")

    run(use())
    rows.expect(
        gateway.db,
        [
            ("fail", "error", "the disk is full"),
            ("no_such_tool", "error", "Unknown tool: no_such_tool"),
        ],
        "SELECT tool_name, status, error_message FROM archon_mcp_requests"
        " WHERE method = 'tools/call' ORDER BY id",
    )


@libraries
@modes
def test_a_call_without_an_answer_times_out(start_fixture, start_archon, config, library, mode):
    settings = config(sessions={"call_timeout_seconds": 1})
    gateway = start_archon(*settings, upstream=start_fixture())

    async def use():
        async with connect(library, gateway.url, mode) as client:
            with pytest.raises(mcp.MCPError, match="no answer within 1 s"):
                await client.call("sleep", ms=600_000)
            # The session goes on.
            assert await client.text("echo", text="still here") == "still here"

    run(use())
    rows.expect(
        gateway.db,
        [("echo", "success", 0), ("sleep", "timeout", 1)],
        "SELECT tool_name, status, duration_ms >= 1000 FROM archon_mcp_requests"
        " WHERE method = 'tools/call' ORDER BY tool_name",
    )


@libraries
def test_an_idle_client_comes_back_without_an_error(start_archon, config, library):
    settings = config(sessions={"idle_timeout_seconds": 1, "reap_every_seconds": 0.2})
    gateway = start_archon(*settings)
    timed_out = (
        "SELECT count(*) FROM archon_mcp_sessions WHERE disconnect_reason = 'timeout_no_activity'"
    )

    async def use():
        async with connect(library, gateway.url, "legacy") as client:
            await client.tools()
            await asyncio.to_thread(rows.expect, gateway.db, [(1,)], timed_out)
            assert "Customer portal" in await client.text("find_projects")

    run(use())
    rows.expect(
        gateway.db, [(1,)], "SELECT count(*) FROM archon_mcp_sessions WHERE continues IS NOT NULL"
    )
