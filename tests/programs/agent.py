"""Claude Code and Codex, each for one session of its own: a prompt, its tool calls, an end.

They get a home of their own and a dummy key, and nothing that they send can leave loopback.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from harness import archon_bin, tool
from models import Anthropic, Model, OpenAI

# A session takes seconds; a busy machine is given more.
SESSION_S = 120

# Whoever sends something to another machine finds a closed port. The variables are read in either case.
NOWHERE = "http://127.0.0.1:9"
PROXIES = {"HTTPS_PROXY": NOWHERE, "HTTP_PROXY": NOWHERE, "ALL_PROXY": NOWHERE}
LOOPBACK = {"NO_PROXY": "127.0.0.1,localhost"}
OFFLINE = {**PROXIES, **LOOPBACK}
OFFLINE |= {name.lower(): value for name, value in OFFLINE.items()}

QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
}

CODEX = """\
model = "gpt-5"
model_provider = "fake"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.fake]
name = "fake"
base_url = "{model}/v1"
env_key = "FAKE_KEY"
wire_api = "responses"

"""


def claude_code(home: Path, model: Model, url: str) -> str:
    """Runs Claude Code with the gateway as its MCP server, as its page in docs/agents says."""
    program = str(tool("claude"))
    env = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "dummy", **QUIET}
    add = ["mcp", "add", "--transport", "http", "archon", url]
    run(home, [program, *add], env)
    ask = ["--print", "go", "--allowedTools", "mcp__archon", "--output-format", "stream-json"]
    return run(home, [program, *ask, "--verbose"], env)


def codex(home: Path, model: Model, url: str) -> str:
    """Runs Codex with the gateway as its MCP server, as `archon client-config` prints it."""
    config = subprocess.run(
        [str(archon_bin()), "client-config", "codex", "--url", url],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (home / "codex").mkdir(parents=True)
    # Else its first request to the model may go out before it knows the tools.
    config += "required = true\n"
    (home / "codex" / "config.toml").write_text(CODEX.format(model=model.url) + config)
    env = {"CODEX_HOME": str(home / "codex"), "FAKE_KEY": "dummy"}
    ask = ["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json"]
    return run(home, [str(tool("codex")), *ask, "go"], env)


AGENTS: dict[str, tuple[type[Model], Callable[[Path, Model, str], str]]] = {
    "claude-code": (Anthropic, claude_code),
    "codex": (OpenAI, codex),
}


def run(home: Path, command: list[str], env: Mapping[str, str]) -> str:
    """Runs a program in an empty folder, and returns what it printed."""
    work = home / "work"
    work.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        command,
        cwd=work,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **OFFLINE, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SESSION_S,
    )
    assert done.returncode == 0, (done.stdout[-4000:], done.stderr[-4000:])
    return done.stdout
