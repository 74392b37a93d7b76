"""Fixtures of the process tests: a small upstream, databases, and two checks on every test."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from activated import Activated
from harness import Processes
from postgres import Postgres
from small import Small


@pytest.fixture(autouse=True)
def watched(no_gateway_panicked: None) -> None:
    """Every test here is checked for what it leaves, and for panics."""


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


@pytest.fixture
def start_activated(processes: Processes) -> Any:
    """Starts a gateway on sockets."""

    def start(*sockets: socket.socket, names: str = "", **more: Any) -> Activated:
        directory = processes.directory / f"archon-{len(processes.started)}"
        gateway = Activated(directory, list(sockets), names, **more)
        processes.started.append(gateway)
        return gateway

    return start
