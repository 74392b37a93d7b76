"""Servers and clients on the TypeScript SDK, as their authors would build them: what they do is in sdk/."""

from __future__ import annotations

import itertools
import os
import shlex
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers import ANSWER_S, Driver
from harness import SDK, tool


@dataclass(frozen=True)
class Kind:
    """A client: on which release, and which era it wants of one that speaks both."""

    release: str
    mode: str = "legacy"

    def __str__(self) -> str:
        return f"{self.release}-{self.mode}" if self.release == "2" else self.release


# 1.23 is what Gemini CLI has.
RELEASES = ["1.23", "1", "2"]
CLIENTS = [Kind("1.23"), Kind("1"), Kind("2", "legacy"), Kind("2", "auto")]


def stdio_server(release: str) -> str:
    """The command line of a server on the SDK that speaks on stdio."""
    return shlex.join([str(tool("node")), str(SDK / "server.mjs"), release, "stdio"])


class Clients:
    """Clients on one release, in a process that they share as the servers of one agent do."""

    def __init__(self, release: str, log: Path):
        self.release = release
        self._names = itertools.count()
        self.driver = Driver(self._start, log)

    def _start(self, *descriptors: int) -> int:
        program = str(tool("node"))
        places = [(os.POSIX_SPAWN_DUP2, given, at) for at, given in enumerate(descriptors)]
        command = [program, str(SDK / "client.mjs"), self.release]
        return os.posix_spawn(program, command, os.environ, file_actions=places)

    def connect(self, mode: str, to: str | list[str], **more: Any) -> Client:
        """Makes a client and connects it to a URL, or to a command that it starts."""
        client = Client(self.driver, f"{self.release}-{next(self._names)}")
        where = {"url": to} if isinstance(to, str) else {"command": to}
        client.ask("connect", mode=mode, **where, **more)
        return client


@dataclass(frozen=True)
class Client:
    """A client on the SDK."""

    driver: Driver
    who: str

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Has it do something, and returns what came of that."""
        return self.begin(do, **arguments).result(ANSWER_S)

    def begin(self, do: str, **arguments: Any) -> Future[dict[str, Any]]:
        """Has it begin something."""
        return self.driver.begin(do, who=self.who, **arguments)

    def call(self, name: str, **arguments: Any) -> str:
        """Calls a tool, and returns the text of its result."""
        return self.ask("call", name=name, arguments=arguments)["text"]

    def seen(self) -> dict[str, Any]:
        """What came to it beside answers, and each HTTP exchange."""
        return self.ask("seen")

    def came_back(self) -> list[dict[str, Any]]:
        """Its attempts to resume a stream."""
        return [exchange for exchange in self.seen()["exchanges"] if exchange["last_event_id"]]
