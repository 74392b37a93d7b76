"""`archon_sessions.mcp_client_wrapper`, as programs use it that were written for Archon's guide."""

from __future__ import annotations

import asyncio

import pytest

from archon_sessions.mcp_client_wrapper import (
    MCPClient,
    MCPConnectionError,
    MCPToolError,
    call_mcp_tool,
    check_mcp_health,
)
from harness import free_port


def run(work):
    """Runs what a client does, within a wide limit."""
    return asyncio.run(asyncio.wait_for(work, 60))


def test_the_guides_programs_run_as_they_are(start_archon):
    url = start_archon().url.removesuffix("/mcp")

    async def use() -> None:
        async with MCPClient(base_url=url, timeout=60.0, max_retries=5, retry_delay=0.1) as client:
            assert client.initialized
            health = await client.health_check()
            assert health["status"] == "healthy"
            tools = await client.list_tools()
            assert "find_projects" in [tool["name"] for tool in tools.get("tools", [])]
            made = await client.call_tool(
                "manage_project", arguments={"action": "create", "title": "Test Project"}
            )
            project_id = made.get("project", {}).get("id")
            assert project_id
            task = await client.call_tool(
                tool_name="manage_task",
                arguments={"action": "create", "project_id": project_id, "title": "Test Task"},
                retry_on_session_error=True,
            )
            assert task["task"]["project_id"] == project_id
            tasks = await client.call_tool("find_tasks", project_id=project_id)
            assert len(tasks.get("tasks", [])) == 1
            assert tasks["isError"] is False
            assert tasks["content"][0]["type"] == "text"
            assert client.archon_session_id
        assert await check_mcp_health(url) is True
        found = await call_mcp_tool("find_tasks", {"project_id": project_id}, base_url=url)
        assert [task["title"] for task in found["tasks"]] == ["Test Task"]

    run(use())


def test_the_first_call_connects_and_a_close_ends_that(start_archon):
    url = start_archon().url

    async def use() -> None:
        client = MCPClient(url)
        assert (client.initialized, client.session_id, client.archon_session_id) == (False, None, None)
        assert (await client.call_tool("health_check"))["status"] == "healthy"
        again = await client.initialize()
        assert again["status"] == "already_initialized"
        assert "tools" in again["capabilities"]
        await client.close()
        assert not client.initialized

    run(use())


def test_failures_are_results_or_errors_as_the_guide_says(gateway):
    async def use() -> None:
        async with MCPClient(gateway.url) as client:
            failed = await client.call_tool("fail", {"message": "no good"})
            assert failed["isError"] is True
            assert "no good" in failed["content"][0]["text"]
            with pytest.raises(MCPToolError):
                await client.call_tool("no_such_tool")
        url = f"http://127.0.0.1:{free_port()}"
        assert await check_mcp_health(url) is False
        assert await check_mcp_health("no URL") is False
        with pytest.raises(MCPConnectionError):
            await call_mcp_tool("any", base_url=url, max_retries=0)

    run(use())
