"""What only the Python client has: its blocking twin, callbacks, one-shot functions, and its package."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
import sys
import textwrap
import urllib.request

import mcp.types as types
import pytest

import rows
from archon_sessions import (
    MCPClient,
    MCPOutcomeUnknown,
    MCPSessionError,
    MCPToolError,
    SavedState,
    SyncMCPClient,
    call_mcp_tool,
    check_mcp_health,
    sync,
)
from harness import ROOT, TOOLS, free_port, tool

pytestmark = pytest.mark.timeout(120)

PACKAGE = ROOT / "clients" / "python"
CALLS = 24


def run(work):
    """Runs what a client does, within a wide limit."""
    return asyncio.run(asyncio.wait_for(work, 60))


def end_session(gateway, session):
    """Ends a session as an operator does."""
    url = f"{gateway.api_url}/api/mcp/sessions/{session}"
    urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=30).close()


def test_the_blocking_twin_does_the_same(gateway):
    with SyncMCPClient(gateway.url, timeout=20, client_name="blocking") as client:
        assert client.call_tool("echo", {"text": "hello"}).content[0].text == "hello"
        assert "echo" in {tool.name for tool in client.list_tools()}
        assert client.health_check()["status"] == "healthy"
        assert client.heartbeat()["success"] is True
        assert client.reconnect().reconnect_count == 1
        with pytest.raises(MCPToolError, match="no good"):
            client.call_tool("fail", {"message": "no good"})
        state = client.save_state()
        client.close(end_session=False)
    with pytest.raises(MCPSessionError, match="not connected"):
        client.list_tools()
    with SyncMCPClient(gateway.url, state=state) as again:
        again.call_tool("echo", {"text": "hello"})
        assert again.session_id == state.session_id
    assert sync.check_mcp_health(gateway.url) is True
    assert sync.call_mcp_tool("echo", {"text": "once"}, gateway.url).content[0].text == "once"


def test_one_call_and_one_look(gateway, monkeypatch):
    monkeypatch.setenv("MCP_SERVER_URL", gateway.url.removesuffix("/mcp"))

    async def use():
        assert await check_mcp_health() is True
        return await call_mcp_tool("echo", {"text": "hello"})

    assert run(use()).content[0].text == "hello"


def test_nobody_listens_to_one_look():
    url = f"http://127.0.0.1:{free_port()}"
    assert run(check_mcp_health(url, max_retries=1, retry_delay=0)) is False
    assert sync.check_mcp_health(url) is False
    with pytest.raises(ValueError, match="timeout"):
        run(check_mcp_health(url, timeout=-1))


def test_the_server_asks_back_and_reports(gateway, era):
    async def sample(context, params):
        content = types.TextContent(type="text", text="as the model said")
        return types.CreateMessageResult(role="assistant", content=content, model="test")

    async def elicit(context, params):
        return types.ElicitResult(action="accept", content={"username": "ada", "email": "a@b.c"})

    heard = []

    async def progress(done, total, message):
        heard.append((done, total))

    async def use():
        callbacks = {"sampling_callback": sample, "elicitation_callback": elicit}
        async with MCPClient(gateway.url, era=era, **callbacks) as client:
            sampled = await client.call_tool("test_sampling", {"prompt": "say"})
            elicited = await client.call_tool("test_elicitation", {"message": "who"})
            await client.call_tool("progress", {"steps": 3, "ms": 10}, on_progress=progress)
            return sampled.content[0].text, elicited.content[0].text

    sampled, elicited = run(use())
    assert "as the model said" in sampled
    assert "ada" in elicited
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_calls_at_once_that_find_their_session_ended_begin_one_other(gateway, era):
    async def use():
        async with MCPClient(gateway.url, era=era) as client:
            await client.call_tool("echo", {"text": "there is a session"})
            await asyncio.to_thread(end_session, gateway, client.session_id)
            texts = [str(call) for call in range(CALLS)]
            calls = [client.call_tool("echo", {"text": text}) for text in texts]
            heard = [result.content[0].text for result in await asyncio.gather(*calls)]
            assert heard == texts

    run(use())
    rows.expect(gateway.db, [(2,)], "SELECT count(*) FROM archon_mcp_sessions")


def test_a_gateway_without_tools_of_its_own(upstream, start_archon, era):
    gateway = start_archon("--no-tools", upstream=upstream)

    async def use():
        async with MCPClient(gateway.url, era=era, heartbeat_interval=0.05) as client:
            await client.call_tool("echo", {"text": "there is a session"})
            assert (await client.heartbeat())["success"] is True
            assert (await client.health_check())["status"] == "healthy"
            state = await client.save_state()
            assert state.reconnect_token is None
            before = client.session_id
            await client.reconnect()
            await client.call_tool("echo", {"text": "on it goes"})
            assert client.session_id == before

    run(use())


def test_a_caller_that_is_cancelled_leaves_the_client_as_it_was(gateway, journal, era):
    async def use():
        async with MCPClient(gateway.url, era=era) as client:
            await client.call_tool("echo", {"text": "there is a session"})
            call = asyncio.create_task(client.call_tool("count", {"key": "k", "ms": 600_000}))
            while not journal.begun():
                await asyncio.sleep(0.02)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert (await client.call_tool("echo", {"text": "on"})).content[0].text == "on"

    run(use())
    # The server was told, and so was the record.
    sql = "SELECT status FROM archon_mcp_requests WHERE tool_name = 'count'"
    rows.expect(gateway.db, [("error",)], sql)


def test_a_client_that_is_closed_says_so(gateway):
    async def use():
        client = MCPClient(gateway.url)
        with pytest.raises(MCPSessionError, match="initialize"):
            await client.list_tools()
        first = await client.initialize()
        assert await client.initialize() == first
        await client.close()
        await client.close()
        with pytest.raises(MCPSessionError, match="closed"):
            await client.call_tool("echo")
        with pytest.raises(MCPSessionError, match="closed"):
            await client.initialize()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not [task for task in left if "archon" in task.get_name()]

    run(use())


def test_calls_that_are_under_way_at_a_close_end_with_it(gateway, journal, era):
    async def use():
        client = MCPClient(gateway.url, era=era, retry_delay=20)
        await client.initialize()
        running = asyncio.create_task(client.call_tool("count", {"key": "k", "ms": 600_000}))
        while not journal.begun():
            await asyncio.sleep(0.02)
        await asyncio.to_thread(gateway.kill)
        waiting = asyncio.create_task(client.list_tools())
        await asyncio.sleep(0)
        await client.close()
        outcomes = await asyncio.gather(running, waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [MCPOutcomeUnknown, MCPSessionError]

    run(use())
    assert journal.begun() == 1


def test_secrets_are_shown_to_nobody(gateway, caplog):
    caplog.set_level(logging.DEBUG)

    async def use():
        token = "Bearer a-secret-of-ours"
        async with MCPClient(gateway.url, era="legacy", headers={"x-api-key": token}) as client:
            await client.call_tool("echo", {"text": "hello"})
            state = await client.save_state()
            await client.reconnect()
            return token, client, state

    token, client, state = run(use())
    # httpcore2 logs the headers of answers at this level, and with them the handle; we do not.
    ours = [entry.getMessage() for entry in caplog.records if entry.name == "archon_sessions"]
    shown = f"{client!r} {state!r} {state} {ours}"
    assert state.mcp_session_id and state.mcp_session_id not in shown
    for secret in (token, state.reconnect_token):
        assert secret and secret not in shown + caplog.text
    assert SavedState.from_json(state.to_json()) == state


def test_a_state_is_good_for_its_own_server_only(gateway):
    async def use():
        async with MCPClient(gateway.url) as client:
            return await client.save_state()

    state = run(use())
    with pytest.raises(MCPSessionError, match="belongs to"):
        MCPClient("http://127.0.0.1:9", state=state)


def test_a_stream_that_is_lost_for_good_leaves_the_outcome_unknown(gateway, journal):
    async def use():
        async with MCPClient(gateway.url, era="legacy", retry_delay=0.01, timeout=2) as client:
            call = asyncio.create_task(client.call_tool("count", {"key": "k", "ms": 5000}))
            while not journal.begun():
                await asyncio.sleep(0.02)
            await asyncio.to_thread(gateway.kill)
            with pytest.raises(MCPOutcomeUnknown, match="may have run"):
                await call

    run(use())
    assert journal.begun() == 1


@pytest.mark.parametrize("example", ["quickstart.py", "blocking.py"])
def test_the_examples_run(start_archon, example):
    gateway = start_archon()
    printed = example_output(example, gateway)
    assert "Customer portal" in printed


def test_the_example_that_resumes_goes_on_in_its_session(start_archon, tmp_path):
    gateway = start_archon()
    state = tmp_path / "state.json"
    first = example_output("resume.py", gateway, str(state)).splitlines()
    assert state.stat().st_mode & 0o777 == 0o600
    second = example_output("resume.py", gateway, str(state)).splitlines()
    assert first[0].replace("began", "resumed") == second[0]
    assert first[1] == second[1]


def test_the_readmes_programs_run(start_archon, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (PACKAGE / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 3
    gateway = start_archon()
    begun = "client = MCPClient()\nawait client.initialize()\n"
    for number, block in enumerate(blocks):
        # It names the usual port, where this gateway is not.
        program = block.replace("http://localhost:8051", gateway.url)
        if "asyncio.run" not in block:
            # A part of a program: it goes on with what the reader has.
            names = "from archon_sessions import MCPClient, SavedState\nfrom pathlib import Path\n"
            body = textwrap.indent((begun if "client.save_state" in block else "") + program, "    ")
            program = f"import asyncio\n{names}async def main():\n{body}\nasyncio.run(main())\n"
        file = tmp_path / f"block{number}.py"
        file.write_text(program)
        done = subprocess.run(
            [sys.executable, str(file)],
            cwd=tmp_path,
            env={**os.environ, "MCP_SERVER_URL": gateway.url, "PYTHONPATH": str(PACKAGE / "src")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr


def example_output(example, gateway, *arguments):
    """Runs an example, and returns what it printed."""
    done = subprocess.run(
        [sys.executable, str(PACKAGE / "examples" / example), *arguments],
        env={
            **os.environ,
            "MCP_SERVER_URL": gateway.url.removesuffix("/mcp"),
            "PYTHONPATH": str(PACKAGE / "src"),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_is_clean(tmp_path):
    python = [sys.executable, "-m"]
    commands = [
        [str(tool("pyright")), "--pythonpath", sys.executable],
        [*python, "mypy"],
        [*python, "ruff", "check", "."],
        [*python, "ruff", "format", "--check", "."],
    ]
    # What mypy learned of the libraries is worth keeping; the package itself is left as it is.
    caches = {"RUFF_CACHE_DIR": str(tmp_path), "MYPY_CACHE_DIR": str(TOOLS.parent / "mypy")}
    started = [
        subprocess.Popen(
            command,
            cwd=PACKAGE,
            env={**os.environ, **caches, "MYPYPATH": "src"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    printed = [check.communicate()[0] for check in started]
    assert [check.returncode for check in started] == [0] * len(started), "\n".join(printed)


def test_wheel_and_sdist_build_and_the_wheel_works(start_archon, tmp_path):
    build = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(PACKAGE),
    ]
    built = subprocess.run(build, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    [wheel] = tmp_path.glob("archon_sessions-*.whl")
    assert list(tmp_path.glob("archon_sessions-*.tar.gz"))
    # Its dependencies are those that the tests have; pip is not needed to unpack a wheel.
    installed = tmp_path / "installed"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(installed)], check=True)
    assert (installed / "archon_sessions" / "py.typed").exists()
    code = "import archon_sessions as a; print(a.__version__, a.sync.check_mcp_health())"
    gateway = start_archon()
    environment = {**os.environ, "MCP_SERVER_URL": gateway.url, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == [wheel.name.split("-")[1], "True"], done.stderr
