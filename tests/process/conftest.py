"""Fixtures of the process tests: a configuration, a small upstream, two checks on every test."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from activated import Activated
from harness import Archon, Processes
from postgres import Postgres
from small import Small

# A number of seconds or calls, a switch, a text, or several.
Setting = float | bool | str | list[str]


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Every test ends the processes that it started."""
    before = _children()
    yield
    assert _children() <= before


@pytest.fixture(autouse=True)
def no_gateway_panicked(nothing_is_left_behind: None, processes: Processes) -> Iterator[None]:
    """Nothing that any of these tests does may make the gateway panic."""
    yield
    for process in processes.started:
        if isinstance(process, Archon):
            assert "panicked at" not in process.log()


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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """One server for all tests; it ends with them."""
    with Postgres() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: Postgres) -> Postgres:
    """The server, with an empty database."""
    postgres_server.new_database()
    return postgres_server


@pytest.fixture
def start_small(processes: Processes) -> Callable[..., Small]:
    """Starts a small upstream that misbehaves where it is told to: see small.py."""

    def start(*args: str) -> Small:
        small = Small(processes.directory / f"small-{len(processes.started)}", *args)
        processes.started.append(small)
        return small

    return start


def _toml(value: Setting) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    # A text of JSON is one of TOML as well, and so is a list of them.
    return json.dumps(value) if isinstance(value, str | list) else str(value)


def _children() -> set[int]:
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


@pytest.fixture
def start_activated(processes: Processes) -> Any:
    """Starts a gateway on sockets."""

    def start(*sockets: socket.socket, names: str = "", **more: Any) -> Activated:
        directory = processes.directory / f"archon-{len(processes.started)}"
        gateway = Activated(directory, list(sockets), names, **more)
        processes.started.append(gateway)
        return gateway

    return start
