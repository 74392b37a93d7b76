"""The examples of the Rust client, which show what its users copy. tests/clients has its failures."""

from __future__ import annotations

import os
import subprocess

from command import archon, at
from harness import built, wait_for
from wire import LegacyClient

# Wide: a loaded machine is slow.
EXAMPLE_S = 120


def run(name, gateway):
    """Runs an example to its end, and returns what it printed."""
    program = built("ARCHON_CLIENT_" + name.upper(), f"examples/{name}")
    env = {**os.environ, "MCP_SERVER_URL": gateway.url, "ARCHON_API_URL": gateway.api_url}
    done = subprocess.run([program], env=env, capture_output=True, text=True, timeout=EXAMPLE_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_quickstart_calls_hears_of_it_and_takes_its_session_back(start_archon):
    printed = run("quickstart", start_archon())
    assert "heard of: tools/call took" in printed
    assert "reconnected 1 times" in printed
    assert "it ended: client_disconnect" in printed


def test_the_report_reads_every_resource_of_the_api(start_archon, tmp_path):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url, name="cursor")
    client.text("find_projects", query="x")
    client.call("manage_project", {"action": "nonsense"})
    wait_for("rows", lambda: "find_projects: 1 times" in run("report", gateway))
    printed = run("report", gateway)
    assert "healthy" in printed and "here: Cursor (Active" in printed
    assert "failed: " in printed and "latest: Cursor" in printed
    archon("sessions", "end", client.session, "--yes", cwd=tmp_path, env=at(gateway))
    assert 'ended: {"operator": 1}' in run("report", gateway)
