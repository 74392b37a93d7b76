"""The official Inspector's command line through the gateway."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import rows
from harness import tool

pytestmark = pytest.mark.timeout(180)

eras = pytest.mark.parametrize("era", ["legacy", "modern", "auto"])


def inspect(url: str, era: str, home: Path, method: str, *args: str) -> dict:
    """Runs the Inspector once, and returns the result that it printed."""
    command = [str(tool("mcp-inspector")), "--cli", url, "--transport", "http"]
    command += ["--protocol-era", era, "--format", "json", "--quiet", "--method", method, *args]
    # Its catalog of servers is the user's own; a test keeps to its folder.
    catalog = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, env=catalog, timeout=60)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    return printed.get("result", printed)


@eras
def test_the_inspector_lists_and_calls_tools(start_archon, tmp_path, era):
    gateway = start_archon()

    listed = inspect(gateway.url, era, tmp_path, "tools/list")
    names = {tool["name"] for tool in listed["tools"]}
    assert {"find_projects", "find_tasks", "heartbeat", "session_info"} <= names

    found = inspect(
        gateway.url,
        era,
        tmp_path,
        "tools/call",
        "--tool-name",
        "find_tasks",
        "--tool-arg",
        "query=authentication",
    )
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
    echoed = inspect(
        gateway.url, era, tmp_path, "tools/call", "--tool-name", "echo", "--tool-arg", "text=hi"
    )
    assert echoed["content"][0]["text"] == "hi"
