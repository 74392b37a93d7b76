"""Runs a command of `archon` to its end, as a person would in a terminal."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from harness import Archon, archon_bin

# Wide: a loaded machine is slow.
COMMAND_S = 120


# For checks of a configuration: what else listens on this machine is not theirs to judge.
FREE_PORTS = {"ARCHON_MCP_PORT": "0", "ARCHON_SERVER_PORT": "0"}


def archon(
    *args: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
    code: int = 0,
) -> subprocess.CompletedProcess[str]:
    """Runs `archon` in a folder, and checks its exit code and that it shows no trace of its insides."""
    surroundings = {name: value for name, value in os.environ.items() if not _is_ours(name)}
    done = subprocess.run(
        [str(archon_bin()), *args],
        cwd=cwd,
        env={**surroundings, **(env or {})},
        stdin=None if input is not None else subprocess.DEVNULL,
        input=input,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
    )
    assert done.returncode == code, (done.returncode, done.stdout[-4000:], done.stderr[-4000:])
    assert "panicked" not in done.stderr and "RUST_BACKTRACE" not in done.stderr
    return done


def at(gateway: Archon) -> Mapping[str, str]:
    """What leads commands to a gateway."""
    return {"ARCHON_API_URL": gateway.api_url, "ARCHON_URL": gateway.url}


def _is_ours(name: str) -> bool:
    return name.startswith("ARCHON_") or name == "DATABASE_URL"
