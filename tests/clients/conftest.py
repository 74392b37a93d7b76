"""Fixtures of the scenarios: a client of either language, a gateway, and servers that count."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cable import Cable
from drivers import Driver, Nursery, start_rust
from harness import Archon, Fixture
from stub import Stub

LANGUAGES = ["python", "rust"]
ERAS = ["legacy", "modern"]


class Journal:
    """What a server wrote down of the calls that it ran; it outlives the server."""

    def __init__(self, path: Path):
        self.path = path

    def begun(self) -> int:
        """How many calls began."""
        return self.events().count("started")

    def events(self) -> list[str]:
        """The beginnings and ends of all calls, in their order."""
        # What a crash cut off has no end.
        lines = self.path.read_text().splitlines(True) if self.path.exists() else []
        return [json.loads(line)["event"] for line in lines if line.endswith("\n")]


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    """Each scenario is for both clients."""
    return request.param


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    """Which most scenarios are played in twice."""
    return request.param


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where the Python clients come from."""
    nursery = Nursery()
    yield nursery
    nursery.end()


@pytest.fixture
def start_client(
    language: str, nursery: Nursery, tmp_path: Path
) -> Iterator[Callable[..., Driver]]:
    """Starts a client and connects it: `start_client(url, era=…)`; without a URL it only starts."""
    started: list[Driver] = []

    def start(url: str | None = None, **settings: Any) -> Driver:
        log = tmp_path / f"client-{len(started)}.txt"
        driver = Driver(nursery.start if language == "python" else start_rust, log)
        started.append(driver)
        return driver.connect(url, **settings) if url else driver

    yield start
    for driver in started:
        driver.kill()
        print(driver.log())
        assert "panicked at" not in driver.log()
        assert "Traceback" not in driver.log()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Of the fixture server below."""
    return Journal(tmp_path / "journal")


@pytest.fixture
def upstream(start_fixture: Callable[..., Fixture], journal: Journal) -> Fixture:
    """A server that speaks both eras, and writes down what it runs."""
    return start_fixture("--journal", str(journal.path))


@pytest.fixture
def start_gateway(
    start_archon: Callable[..., Archon], upstream: Fixture, tmp_path: Path
) -> Callable[..., Archon]:
    """Starts a gateway in front of it: `start_gateway(sessions={"calls_max": 1})`."""

    def start(**tables: dict[str, Any]) -> Archon:
        path = tmp_path / "archon.toml"
        tables["upstreams.fixture"] = {
            "url": upstream.url,
            **tables.get("upstreams.fixture", {}),
        }
        lines = []
        for table, settings in tables.items():
            lines.append(f"[{table}]")
            lines += [f"{name} = {_toml(value)}" for name, value in settings.items()]
        path.write_text("\n".join(lines) + "\n")
        return start_archon("--config", str(path))

    return start


@pytest.fixture
def gateway(start_gateway: Callable[..., Archon]) -> Archon:
    """A gateway as it comes."""
    return start_gateway()


@pytest.fixture
def cable(gateway: Archon) -> Iterator[Cable]:
    """A connection to the gateway that can be cut."""
    with Cable(gateway.port) as cable:
        yield cable


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A server that answers tool calls with the statuses it is told."""
    with Stub() as stub:
        yield stub


def _toml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
