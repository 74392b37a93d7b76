"""The official Inspector through the gateway: `archon inspect`, and mcpdo over restarts."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import rows
from harness import ROOT, archon_bin, free_port
from inspector import Mcpdo, Page, inspect, surroundings

pytestmark = pytest.mark.timeout(180)

eras = pytest.mark.parametrize("era", ["legacy", "modern", "auto"])

SESSIONS = "SELECT client_type, era, status FROM archon_mcp_sessions"


@eras
def test_the_inspector_lists_and_calls_tools(start_archon, tmp_path, era):
    gateway = start_archon()

    listed = inspect(gateway.url, tmp_path, "tools/list", era=era)
    names = {tool["name"] for tool in listed["tools"]}
    assert {"find_projects", "find_tasks", "heartbeat", "session_info"} <= names

    tool = ["--tool-name", "find_tasks", "--tool-arg", "query=authentication"]
    found = inspect(gateway.url, tmp_path, "tools/call", *tool, era=era)
    assert found["structuredContent"]["tasks"]
    rows.expect(
        gateway.db,
        [("Inspector", "legacy" if era == "legacy" else "modern")],
        "SELECT DISTINCT client_type, era FROM archon_mcp_sessions",
    )
    rows.expect_counts(gateway.db, {"find_tasks": 1}, "tool_name")


@eras
def test_the_inspector_reaches_an_upstream(start_fixture, start_archon, tmp_path, era):
    gateway = start_archon(upstream=start_fixture())
    tool = ["--tool-name", "echo", "--tool-arg", "text=hi"]
    echoed = inspect(gateway.url, tmp_path, "tools/call", *tool, era=era)
    assert echoed["content"][0]["text"] == "hi"


def test_the_inspectors_page_connects_to_the_endpoint_and_outlives_a_restart(processes, start_archon, tmp_path):
    gateway = start_archon()
    page = Page(tmp_path / "page", gateway.url)
    processes.started.append(page)

    [server] = page.ask("/api/servers")["mcpServers"].values()
    assert server["url"] == gateway.url
    # What its switch does.
    session = page.ask("/api/mcp/connect", {"config": server})["sessionId"]
    client = {"name": "page", "version": "1"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    page.ask("/api/mcp/send", {"sessionId": session, "message": message})
    rows.expect(gateway.db, [("page", "legacy", "active")], SESSIONS)

    gateway.restart()
    listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}
    page.ask("/api/mcp/send", {"sessionId": session, "message": listing})
    rows.expect_counts(gateway.db, {"initialize": 1, "tools/list": 1}, "method")
    rows.expect(gateway.db, [("page", "legacy", "active")], SESSIONS)


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_mcpdo_keeps_its_session_when_the_gateway_restarts(start_fixture, start_archon, era):
    # Else a kill may cost rows of the last moment, and they are counted below.
    gateway = start_archon("--durability", "strict", upstream=start_fixture())
    with Mcpdo() as mcpdo:
        mcpdo("connect", gateway.url, "--era", era)
        assert mcpdo.call(gateway.url, "echo", text="before")["content"][0]["text"] == "before"
        session = mcpdo.call(gateway.url, "session_info")["structuredContent"]["session_id"]

        for end in (gateway.stop, gateway.kill):
            end()
            gateway.start()
            echoed = mcpdo.call(gateway.url, "echo", text="after")
            assert echoed["content"][0]["text"] == "after"

        info = mcpdo.call(gateway.url, "session_info")["structuredContent"]
        assert (info["session_id"], info["era"]) == (session, era)
        # Not one session came to be beside it.
        assert rows.query(gateway.db, SESSIONS) == [("Inspector", era, "active")]
        where = "WHERE session_id = ? AND status = 'success' AND tool_name IS NOT NULL"
        count = f"SELECT tool_name, count(*) FROM archon_mcp_requests {where} GROUP BY 1 ORDER BY 1"
        rows.expect(gateway.db, [("echo", 3), ("session_info", 2)], count, session)


def launch(tmp_path: Path, port: int) -> list[str]:
    """Runs scripts/launch-inspector.sh, and returns the names of the tools that it lists."""
    done = subprocess.run(
        [
            *[str(ROOT / "scripts/launch-inspector.sh"), "--cli", "--"],
            *["--method", "tools/list", "--format", "json", "--quiet"],
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            **surroundings(tmp_path),
            "ARCHON_BIN": str(archon_bin()),
            "ARCHON_MCP_PORT": str(port),
            "ARCHON_SERVER_PORT": "0",
            "ARCHON_DB": str(tmp_path / "script.db"),
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    printed = json.loads(done.stdout)
    return [tool["name"] for tool in printed.get("result", printed)["tools"]]


def test_the_script_opens_the_inspector_on_the_gateway_that_runs(start_archon, tmp_path):
    gateway = start_archon()
    assert "find_tasks" in launch(tmp_path, gateway.port)
    rows.expect(gateway.db, [("Inspector",)], "SELECT client_type FROM archon_mcp_sessions")
    assert gateway.is_running and not (tmp_path / "script.db").exists()


def test_the_script_starts_a_gateway_for_as_long_as_the_inspector_is_open(tmp_path):
    assert "find_tasks" in launch(tmp_path, free_port())
    # It has ended, and not by force: what it had in its queue is written.
    counts = {"initialize": 1, "tools/list": 1}
    sql = "SELECT method, count(*) FROM archon_mcp_requests GROUP BY 1 ORDER BY 1"
    assert dict(rows.query(tmp_path / "script.db", sql)) == counts
