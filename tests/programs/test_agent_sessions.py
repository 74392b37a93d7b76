"""Claude Code and Codex in whole sessions: their model is a script, everything else is theirs."""

from __future__ import annotations

import pytest

import rows
from agent import AGENTS
from browser import GREETING, Page, playwright_mcp
from models import Call
from sdk import stdio_server

pytestmark = pytest.mark.timeout(300)

agents = pytest.mark.parametrize("agent", AGENTS)

# In how many sessions calls of tools ran, how many, and how many of those went well.
CALLS = """
    SELECT count(DISTINCT session_id), count(*), sum(status = 'success')
    FROM archon_mcp_requests WHERE tool_name IS NOT NULL
"""


def session(agent, tmp_path, gateway, *script):
    """Runs a session of an agent, and returns what its model was shown of each call."""
    vendor, run = AGENTS[agent]
    with vendor(script) as model:
        transcript = run(tmp_path / "home", model, gateway.url)
    assert not model.failed
    assert "done" in transcript
    assert len(model.results) == len(script)
    return model.results


@agents
def test_an_agent_sees_the_page_that_it_opened(start_archon, tmp_path, agent):
    gateway = start_archon(upstream={"browser": playwright_mcp()})
    with Page() as page:
        open_it, look = Call("browser_navigate", {"url": page.url}), Call("browser_snapshot")
        _, seen = session(agent, tmp_path, gateway, open_it, look)
    assert GREETING in seen
    rows.expect(gateway.db, [(1, 2, 2)], CALLS)


@agents
def test_an_agent_goes_on_in_its_session_when_the_gateway_is_killed(
    start_sdk_server, start_archon, tmp_path, agent
):
    upstream = start_sdk_server("1", "stateful")
    gateway = start_archon("--durability", "strict", upstream=upstream)

    def crash():
        gateway.kill()
        gateway.restart()

    results = session(
        *[agent, tmp_path, gateway],
        Call("remember", {"text": "before"}),
        Call("recall", before=crash),
        Call("remember", {"text": "after"}),
        Call("recall"),
    )
    assert "before" in results[1]
    assert "before after" in results[3]
    rows.expect(gateway.db, [(1, 4, 4)], CALLS)


@agents
def test_an_agent_goes_on_when_gateway_and_server_are_killed(start_archon, tmp_path, agent):
    gateway = start_archon("--durability", "strict", upstream=stdio_server("1"))

    def crash():
        gateway.kill()
        gateway.restart()

    results = session(
        *[agent, tmp_path, gateway],
        Call("remember", {"text": "before"}),
        Call("remember", {"text": "after"}, before=crash),
        Call("recall"),
    )
    assert results[2].split()[-1] == "after"
    rows.expect(gateway.db, [(1, 3, 3)], CALLS)
