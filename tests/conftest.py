"""Fixtures that start processes and check what is left of them, shared by every test below this directory."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import LASTING, Archon, Process, Processes

# A number of seconds or calls, a switch, a text, or several.
Setting = float | bool | str | list[str]

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


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Writes a configuration, and returns the arguments that name it.

    `start_archon(*config(sessions={"idle_timeout_seconds": 1}))`
    """

    def write(**tables: dict[str, Setting]) -> tuple[str, str]:
        path = tmp_path / "archon.toml"
        lines = []
        for table, settings in tables.items():
            lines.append(f"[{table}]")
            lines += [f"{name} = {_toml(value)}" for name, value in settings.items()]
        path.write_text("\n".join(lines) + "\n")
        return "--config", str(path)

    return write


@pytest.fixture
def start_impatient(
    start_archon: Callable[..., Archon], config: Callable[..., tuple[str, str]]
) -> Callable[[Process], Archon]:
    """Starts a gateway that waits half a second, and not five, for an upstream that is away."""

    def start(upstream: Process) -> Archon:
        setting: dict[str, Setting] = {"url": upstream.url, "restart_grace_seconds": 0.5}
        return start_archon(*config(**{"upstreams.fixture": setting}))

    return start


@pytest.fixture
def nothing_is_left_behind() -> Iterator[None]:
    """The test ends the processes that it started."""
    before = _children()
    yield
    assert _children() - LASTING <= before


@pytest.fixture
def no_gateway_panicked(nothing_is_left_behind: None, processes: Processes) -> Iterator[None]:
    """Nothing that the test does may make the gateway panic."""
    yield
    for process in processes.started:
        if isinstance(process, Archon):
            assert "panicked at" not in process.log()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files first whose tests may take longest, so that none of them is begun when all others are over."""
    limits: dict[Path, float] = {}
    for item in items:
        marker = item.get_closest_marker("timeout")
        limit = float(marker.args[0]) if marker else 0
        limits[item.path] = max(limit, limits.get(item.path, 0))
    items.sort(key=lambda item: -limits[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows what the processes of a failed test printed."""
    report = yield
    processes = getattr(item, "funcargs", {}).get("processes")
    if report.failed and processes:
        for process in processes.started:
            report.sections.append((f"log of {process.directory.name}", process.log()[-LOG_SHOWN:]))
    return report


def _toml(value: Setting) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    # A text of JSON is one of TOML as well, and so is a list of them.
    return json.dumps(value) if isinstance(value, str | list) else str(value)


def _children() -> set[int]:
    children: set[int] = set()
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        # A thread that is listed may be gone.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children |= {int(pid) for pid in (task / "children").read_text().split()}
    return children
