"""Servers on the TypeScript SDK conform through the gateway exactly as they do alone, whatever they pass."""

from __future__ import annotations

import pytest

import suite
from harness import Processes

pytestmark = pytest.mark.timeout(300)

# By server: which version it is asked in, and how many checks it passes alone, so that a run into nothing is none.
SERVERS = {
    "everything": ("2025-11-25", 20),
    "1-resumable": ("2025-11-25", 70),
    "2-resumable": ("2025-11-25", 70),
    "2-stateless": ("2026-07-28", 120),
}


BETTER = "FAILURE directly, SUCCESS through the gateway"


def start(processes: Processes, server: str):
    if server == "everything":
        return processes.start_everything()
    return processes.start_sdk_server(*server.split("-"))


@pytest.mark.parametrize("server", SERVERS)
def test_the_gateway_changes_nothing_for_a_server_on_the_sdk(processes, tmp_path, server):
    version, passed_min = SERVERS[server]
    direct = suite.run(start(processes, server).url, version, tmp_path / "direct")
    gateway = processes.start_archon(upstream=start(processes, server))
    through = suite.run(gateway.url, version, tmp_path / "gateway")

    assert len(direct) - len(suite.failures(direct)) >= passed_min
    # What only the gateway does right is no loss: these servers let in any Host, and answer 400 for an unknown session.
    differences = [d for d in suite.differences(direct, through) if BETTER not in d]
    assert not differences, "\n" + "\n".join(differences)
