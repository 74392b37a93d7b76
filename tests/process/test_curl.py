"""The first minute with curl on the demo server, word for word as an existing user knows it."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass

import pytest

import rows

INITIALIZE = (
    '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05",'
    '"capabilities":{},"clientInfo":{"name":"test-client","version":"1.0"}}}'
)
FIND = (
    '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"find_projects",'
    '"arguments":{"query":"authentication"}}}'
)


@dataclass
class Printed:
    """What `curl -i` printed."""

    status: int
    headers: dict[str, str]
    body: str

    def result(self) -> dict:
        """The result of the JSON-RPC answer, which curl shows as it came: JSON, or an event."""
        line = next(line for line in self.body.splitlines() if '"jsonrpc"' in line)
        answer = json.loads(line.removeprefix("data:"))
        assert "result" in answer, answer
        return answer["result"]


def curl(*args: str) -> Printed:
    """Runs curl as a person would, and reads what it printed."""
    command = ["curl", "--silent", "--show-error", "--include", "--max-time", "60", *args]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    return Printed(int(first.split()[1]), headers, body)


def post(url: str, body: str, *headers: str) -> Printed:
    """Posts a message as curl does it in every tutorial."""
    args = ["-X", "POST", url, "-d", body]
    for header in (
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        *headers,
    ):
        args += ["-H", header]
    return curl(*args)


def header(printed: Printed, name: str) -> str:
    """A header by its name in any case."""
    return {key.lower(): value for key, value in printed.headers.items()}[name.lower()]


def test_initialize_answers_with_both_ids(start_archon):
    gateway = start_archon()
    answer = post(gateway.url, INITIALIZE)

    assert answer.status == 200
    assert answer.result()["protocolVersion"] == "2024-11-05"
    session, handle = header(answer, "X-Archon-Session-Id"), header(answer, "mcp-session-id")
    assert session != handle
    rows.expect_session(
        gateway.db, session, client_type="test-client", client_version="1.0", status="active"
    )


@pytest.mark.parametrize("handle_header", ["Mcp-Session-Id", "X-MCP-Session-Id"])
def test_a_tool_is_called_with_both_ids(start_archon, handle_header):
    gateway = start_archon()
    opened = post(gateway.url, INITIALIZE)
    session, handle = header(opened, "X-Archon-Session-Id"), header(opened, "mcp-session-id")

    answer = post(
        gateway.url, FIND, f"{handle_header}: {handle}", f"X-Archon-Session-Id: {session}"
    )

    assert answer.status == 200
    assert header(answer, "X-Archon-Session-Id") == session
    result = answer.result()
    found = json.loads(result["content"][0]["text"])
    assert found == result["structuredContent"]
    assert [project["title"] for project in found["projects"]] == ["Customer portal"]
    rows.expect_requests(
        gateway.db,
        [("initialize", None, "success"), ("tools/call", "find_projects", "success")],
        "method, tool_name, status",
        session,
    )


def test_a_tool_call_without_a_session_says_what_to_do(start_archon):
    answer = post(start_archon().url, FIND)
    assert answer.status == 400
    assert "send initialize first" in json.loads(answer.body)["error"]["message"]


def test_the_output_says_what_to_paste(start_archon):
    gateway = start_archon()
    url = gateway.url
    output = gateway.log()

    assert f"MCP endpoint: {url}\n" in output
    assert f"demo at {url}/demo\n" in output
    pasted = re.search(r'^ *(\{"mcpServers".*)$', output, re.MULTILINE)
    assert pasted, output
    servers = json.loads(pasted[1])["mcpServers"]
    assert servers == {"archon": {"type": "http", "url": url}}
    assert f"claude mcp add --transport http archon {url}\n" in output
    assert post(servers["archon"]["url"], INITIALIZE).status == 200


def test_health_is_on_both_ports(start_archon):
    gateway = start_archon()

    mcp = curl(gateway.url.removesuffix("/mcp") + "/health")
    assert mcp.status == 200
    health = json.loads(mcp.body)
    assert (health["success"], health["status"]) == (True, "healthy")
    assert health["health"]["upstreams"] == {"demo": {"status": "up"}}
    assert health["uptime_seconds"] >= 0
    assert health["timestamp"].endswith("Z")

    for path in ("/health", "/api/health", "/api/mcp/health"):
        api = curl(gateway.api_url + path)
        assert (api.status, json.loads(api.body)) == (
            200,
            {"status": "healthy", "service": "mcp"},
        )
