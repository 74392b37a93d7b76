"""Fixtures that start processes, shared by every test below this directory."""

import pytest

from harness import Processes

# As much of a log as helps; the file itself stays in pytest's directory for a while.
LOG_SHOWN = 20_000


@pytest.fixture
def processes(tmp_path):
    """All processes of one test; they end with it."""
    with Processes(tmp_path) as processes:
        yield processes


@pytest.fixture
def start_archon(processes):
    """Starts a gateway: `start_archon(*args, upstream=…, db=…, env=…)`."""
    return processes.start_archon


@pytest.fixture
def start_fixture(processes):
    """Starts an MCP server to test against: `start_fixture(*args, env=…)`."""
    return processes.start_fixture


@pytest.fixture
def start_everything(processes):
    """Starts a legacy MCP server that we did not write: `start_everything(env=…)`."""
    return processes.start_everything


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows what the processes of a failed test printed."""
    report = yield
    processes = getattr(item, "funcargs", {}).get("processes")
    if report.failed and processes:
        for process in processes.started:
            report.sections.append((f"log of {process.directory.name}", process.log()[-LOG_SHOWN:]))
    return report
