"""archon.example.toml: that it is good, and that the server which it names works behind the gateway."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

import rows
from clients import MODES, connect, run
from command import FREE_PORTS, archon
from harness import ROOT, tool

pytestmark = pytest.mark.timeout(180)

SAMPLE = (ROOT / "archon.example.toml").read_text()
# Installed instead of fetched; else as it stands there.
FETCHED = '["npx", "-y", "@upstash/context7-mcp"]'
SETTING = re.compile(r"^# (?=\w+ = |\[)", re.MULTILINE)


def with_installed(sample: str) -> str:
    """The configuration with a command that is here, in place of the one that fetches it."""
    assert sample.count(FETCHED) == 1
    return sample.replace(FETCHED, json.dumps([str(tool("context7-mcp"))]))


def test_the_sample_is_a_good_configuration(tmp_path):
    (tmp_path / "archon.toml").write_text(with_installed(SAMPLE))
    checked = archon("serve", "--check", cwd=tmp_path, env=FREE_PORTS)
    assert "the configuration is good: 1 upstreams" in checked.stdout


def test_what_the_sample_comments_out_is_good_as_well(start_fixture, tmp_path):
    everything = SETTING.sub("", SAMPLE)
    assert len(tomllib.loads(everything)) > len(tomllib.loads(SAMPLE))
    # An upstream that answers, in place of one that is nowhere.
    there = with_installed(everything).replace("https://mcp.example/mcp", start_fixture().url)
    (tmp_path / "archon.toml").write_text(there)
    env = {"ARCHON_EXAMPLE_TOKEN": "secret", **FREE_PORTS}
    assert ": 2 upstreams" in archon("serve", "--check", cwd=tmp_path, env=env).stdout


def test_context7_lists_its_tools_through_the_gateway(start_archon, tmp_path):
    configuration = tmp_path / "archon.toml"
    configuration.write_text(with_installed(SAMPLE))
    gateway = start_archon("--config", str(configuration))

    async def tools(url: str, mode: str) -> set[str]:
        async with connect("mcp", url, mode) as client:
            return await client.tools()

    expected = {"resolve-library-id", "query-docs", "session_info"}
    for mode in MODES:
        assert expected <= run(tools(f"{gateway.url}/context7", mode))
    # It is the default as well.
    assert expected <= run(tools(gateway.url, "legacy"))
    rows.expect(
        gateway.db,
        [("context7", "success", 4)],
        "SELECT upstream, status, count(*) FROM archon_mcp_requests WHERE method = 'tools/list' GROUP BY 1, 2",
    )
