"""The API does what its description says, also with what nobody would send: schemathesis."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from wire import LegacyClient, ModernClient

pytestmark = pytest.mark.timeout(300)

# Enough to find what a changed handler forgets, within half a minute: some eight hundred requests.
EXAMPLES = 4
RUN_S = 240
# No description of a request can tell that a session has ended, for whose token the contract has 400, or that the first
# day of a report has to come before the last.
SETTINGS = """
[[operations]]
include-path = "/api/mcp/sessions/{session_id}/token"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 401, 403, 404]

[[operations]]
include-path = "/api/mcp/usage/summary"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", 422]

[[operations]]
include-path = "/api/mcp/analytics"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", 422]

# A price is per million or per thousand tokens; the description cannot say that one of two is needed.
[[operations]]
include-path = "/api/mcp/pricing"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", 422]

# It cannot make JSON Lines; test_cli_transfer.py does.
[[operations]]
include-path = "/api/mcp/sessions/import"
enabled = false
"""
TOKEN = "operator-" + 40 * "o"


def test_the_api_keeps_to_its_description(start_archon, start_fixture, tmp_path):
    program = Path(sys.executable).with_name("schemathesis")
    assert program.exists(), f"no {program}: run scripts/install-test-tools"
    gateway = start_archon(upstream=start_fixture(), env={"ARCHON_API_TOKEN": TOKEN})
    client = LegacyClient.connect(gateway.url)
    client.call("fail")
    ModernClient(gateway.url).call("echo", {"text": "hello"})
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(SETTINGS)
    command = [
        str(program),
        "--config-file",
        str(settings),
        "run",
        f"{gateway.api_url}/api/mcp/openapi.json",
        "--checks=all",
        f"--max-examples={EXAMPLES}",
        "--seed=1",
        "--continue-on-failure",
        "--no-color",
        "--generation-database=none",
        f"--header=Authorization: Bearer {TOKEN}",
    ]
    run = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=RUN_S, check=False
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]
    generated = re.search(r"([\d,]+) generated", run.stdout)
    assert generated and int(generated[1].replace(",", "")) > 500, run.stdout[-3_000:]
