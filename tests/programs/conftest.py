"""Fixtures that start the programs of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness import Processes, SdkServer
from sdk import RELEASES, Client, Clients, Kind


@pytest.fixture(autouse=True)
def watched(no_gateway_panicked: None) -> None:
    """Every test here is checked for what it leaves, and for panics."""


@pytest.fixture
def start_sdk_server(processes: Processes) -> Callable[[str, str], SdkServer]:
    """Starts a server on the TypeScript SDK: `start_sdk_server("1", "stateful")`."""
    return processes.start_sdk_server


@pytest.fixture(scope="session")
def sdk_clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Clients]]:
    """The processes of the clients on each release; they take a moment to start, so that all tests share them."""
    logs = tmp_path_factory.mktemp("sdk-clients")
    started = {release: Clients(release, logs / f"{release}.txt") for release in RELEASES}
    yield started.__getitem__
    for clients in started.values():
        clients.driver.kill()


@pytest.fixture
def connect(sdk_clients: Callable[[str], Clients]) -> Iterator[Callable[..., Client]]:
    """Connects a client on the TypeScript SDK: `connect(kind, url or command)`; it leaves at the end of the test."""
    connected: list[Client] = []

    def connect(kind: Kind, to: str | list[str], **more: Any) -> Client:
        client = sdk_clients(kind.release).connect(kind.mode, to, **more)
        connected.append(client)
        return client

    yield connect
    for client in connected:
        client.ask("leave")
