"""A client on the TypeScript SDK conforms through the gateway as it does at the scenario's own server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import suite
from harness import tool

pytestmark = pytest.mark.timeout(120)

HERE = Path(__file__).parent
CLIENT = [str(tool("node")), str(HERE / "client.mjs")]
THROUGH = [sys.executable, str(HERE / "through.py"), *CLIENT]

# By version: each scenario but those about OAuth, with how many of its checks the client passes without a gateway.
SCENARIOS = {
    "2025-11-25": {
        "initialize": 1,
        "tools_call": 2,
        "elicitation-sep1034-client-defaults": 5,
        "sse-retry": 3,
        "json-schema-2020-12-preservation": 9,
    },
    "2026-07-28": {
        "tools_call": 2,
        "request-metadata": 8,
        "sep-2322-client-request-state": 5,
        "http-standard-headers": 3,
        "http-custom-headers": 18,
        "http-invalid-tool-headers": 12,
        "json-schema-ref-no-deref": 1,
        "json-schema-2020-12-preservation": 9,
    },
}
WAITING = {"sse-retry": pytest.mark.xfail(strict=True, reason="`retry:` of an upstream")}
CASES = [
    pytest.param(version, *case, marks=WAITING.get(case[0], ()))
    for version, cases in SCENARIOS.items()
    for case in cases.items()
]

# What the suite says of a scenario without having tried anything.
UNTRIED = {"SKIPPED", "INFO"}


@pytest.mark.parametrize(("version", "scenario", "passed"), CASES)
def test_a_client_conforms_through_the_gateway(tmp_path, version, scenario, passed):
    checks = suite.run_client(THROUGH, scenario, version, tmp_path)
    tried = {key: check for key, check in checks.items() if check.status not in UNTRIED}
    assert not suite.failures(tried), "\n" + "\n".join(suite.failures(tried))
    assert len(tried) == passed
