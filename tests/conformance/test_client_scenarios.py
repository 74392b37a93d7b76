"""Our Python client passes the suite's scenarios for clients, check by check.

Left out are: the extensions (client credentials, DPoP, enterprise-managed authorization, workload identity, skills), of
which the client knows nothing; 2025-03-26's ways to find an authorization server, which `mcp`'s provider leaves to others;
and most of `auth/`, which is about that provider and not about us: the ones here show that it works behind `auth=`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import ROOT, tool

pytestmark = pytest.mark.timeout(600)

LEGACY, MODERN = "2025-11-25", "2026-07-28"

# How many checks each scenario makes. A count that changes means that the suite did.
SCENARIOS = {
    ("initialize", LEGACY): 1,
    ("tools_call", LEGACY): 2,
    ("elicitation-sep1034-client-defaults", LEGACY): 5,
    ("sse-retry", LEGACY): 3,
    ("json-schema-2020-12-preservation", LEGACY): 9,
    ("tools_call", MODERN): 2,
    ("request-metadata", MODERN): 8,
    ("sep-2322-client-request-state", MODERN): 5,
    ("http-standard-headers", MODERN): 9,
    ("http-custom-headers", MODERN): 18,
    ("http-invalid-tool-headers", MODERN): 12,
    ("json-schema-ref-no-deref", MODERN): 1,
    ("auth/metadata-default", MODERN): 18,
    ("auth/scope-step-up", MODERN): 23,
    ("auth/pre-registration", MODERN): 12,
}
# Of one scenario; a busy machine takes its time to start two programs.
SCENARIO_MS = 120_000
WORKERS = 2

CLIENT = f"{sys.executable} {Path(__file__).with_name('python_client.py')}"


def run(scenario: str, version: str, directory: Path) -> tuple[list[dict], str]:
    """Plays a scenario; returns its checks and what was printed."""
    command = [str(tool("conformance")), "client", "--command", CLIENT]
    command += ["--scenario", scenario, "--spec-version", version]
    command += ["--timeout", str(SCENARIO_MS), "-o", str(directory)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "clients" / "python" / "src")}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=SCENARIO_MS / 500, check=False
    )
    printed = done.stdout + done.stderr
    printed += "".join(file.read_text() for file in directory.rglob("std*.txt"))
    found = [check for file in directory.rglob("checks.json") for check in json.loads(file.read_text())]
    return found, printed


@pytest.fixture(scope="module")
def played(request, tmp_path_factory):
    """All the scenarios that were asked for, two at a time."""
    wanted = [test.callspec.params["scenario"] for test in request.session.items if test.module is request.module]
    pool = ThreadPoolExecutor(WORKERS)
    futures = {
        scenario: pool.submit(run, *scenario, tmp_path_factory.mktemp("client")) for scenario in wanted
    }
    yield futures
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: "-".join(scenario))
def test_a_scenario_passes(played, scenario):
    checks, printed = played[scenario].result()
    bad = [
        f"{check['id']}: {check['status']} {check.get('errorMessage', '')}"
        for check in checks
        if check["status"] not in ("SUCCESS", "INFO", "SKIPPED")
    ]
    assert not bad, "\n".join([*bad, printed])
    passed = [check for check in checks if check["status"] == "SUCCESS"]
    assert len(passed) == SCENARIOS[scenario], printed
