"""The official Inspector, as it is installed: its page, its command line, and mcpdo, which keeps connections."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from command import archon
from harness import Process, archon_bin, free_port, tool, wait_for

COMMAND_S = 60


def surroundings(home: Path) -> dict[str, str]:
    """What keeps the Inspector to a folder: its catalog of servers and its secrets are the user's own."""
    return {
        "ARCHON_INSPECTOR": str(tool("mcp-inspector")),
        "HOME": str(home),
        # Else it asks the desktop's keychain, and says at length that there is none.
        "MCP_INSPECTOR_SECRET_STORE": "file",
    }


def inspect(url: str, home: Path, method: str, *args: str, era: str = "legacy") -> dict[str, Any]:
    """Runs the Inspector's command line once, as `archon inspect --cli`, and returns the result that it printed."""
    command = ["inspect", "--cli", "--url", url, "--", "--protocol-era", era, "--method", method]
    command += ["--format", "json", "--quiet", *args]
    printed = json.loads(archon(*command, cwd=home, env=surroundings(home)).stdout)
    return printed.get("result", printed)


class Page(Process):
    """`archon inspect`: the Inspector's page, on a port of its own."""

    name = "inspector"

    def __init__(self, directory: Path, endpoint: str):
        self._endpoint = endpoint
        ports = {"CLIENT_PORT": str(free_port()), "MCP_SANDBOX_PORT": "0"}
        browser = {"MCP_AUTO_OPEN_ENABLED": "false"}
        super().__init__(directory, {**surroundings(directory), **ports, **browser})

    def command(self) -> list[str]:
        return [str(archon_bin()), "inspect", "--url", self._endpoint]

    def find_url(self, output: str) -> str | None:
        found = re.search(r"(http://\S+)\?MCP_INSPECTOR_API_TOKEN=\w+", output)
        return found and found[1]

    def ask(self, path: str, body: Any = None) -> Any:
        """Asks the page's server, as the page does in a browser."""
        [token] = set(re.findall(r"MCP_INSPECTOR_API_TOKEN=(\w+)", self.log()))
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"x-mcp-remote-auth": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=COMMAND_S) as response:
            return json.load(response)


class Mcpdo:
    """mcpdo with a daemon of its own, which holds connections between two commands."""

    def __init__(self) -> None:
        # The daemon's socket is in there, and the path of a socket has 107 characters at most.
        self._home = Path(tempfile.mkdtemp(prefix="mcpdo-"))

    def __enter__(self) -> Mcpdo:
        return self

    def __exit__(self, *_: object) -> None:
        lock = self._home / ".mcp-inspector" / "mcpdod.lock"
        daemon = int(lock.read_text()) if lock.exists() else None
        if daemon:
            self("daemon", "stop")
            wait_for("mcpdo's daemon is gone", lambda: not Path(f"/proc/{daemon}").exists())
        shutil.rmtree(self._home)

    def __call__(self, *args: str) -> str:
        """Runs one command, and returns what it printed."""
        done = subprocess.run(
            [str(tool("mcpdo")), "--format", "json", *args],
            cwd=self._home,
            env={**os.environ, **surroundings(self._home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
        )
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout

    def call(self, connection: str, name: str, **arguments: str) -> dict[str, Any]:
        """Calls a tool on a connection."""
        pairs = [f"{name}:={json.dumps(value)}" for name, value in arguments.items()]
        return json.loads(self("--connection", connection, "tools/call", name, *pairs))
