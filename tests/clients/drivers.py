"""Our two clients as processes that take one request a line, so that one list of scenarios fits both.

A request is `{"id": 1, "do": "connect", …}` and its answer `{"id": 1, "ok": {…}}` or
`{"id": 1, "error": {"type": …, "message": …}}`. Answers come as they finish.

    connect      url, era, client_name, client_version, timeout_ms, max_retries, retry_delay_ms,
                 heartbeat_ms (null: as the client likes), state (null, or what `save` gave),
                 trust_annotations
    call_tool    name, arguments           → text (the first), structured
    list_tools                             → names
    health_check                           → status, …
    heartbeat, reconnect, close
    session                                → session_id, mcp_session_id, era, reconnect_count
    save                                   → a state
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from harness import ROOT, built

# Longer than any call of these tests may take, so that a client that hangs fails its test.
ANSWER_S = 60

SETTINGS: dict[str, Any] = {
    "era": "auto",
    "client_name": "scenario",
    "client_version": "1.0",
    "timeout_ms": 20_000,
    # Many and quick: a gateway on a busy machine takes a moment to come back.
    "max_retries": 10,
    "retry_delay_ms": 100,
    # Never, unless a test is about them.
    "heartbeat_ms": 600_000,
    "state": None,
    "trust_annotations": False,
}


class Failed(Exception):
    """An error that a client returned: its `type`, and what it says."""

    def __init__(self, type: str, message: str):
        super().__init__(f"{type}: {message}")
        self.type = type
        self.message = message


class Driver:
    """One client, in a process of its own."""

    def __init__(self, language: str, directory: Path):
        self._log = directory / f"{language}-client-{os.urandom(4).hex()}.txt"
        self._ids = itertools.count(1)
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        # Held while the table or the pipe is used, never while waiting for an answer.
        self._lock = threading.Lock()
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "clients" / "python" / "src"),
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command(language),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**environment, "RUST_LOG": "info"},
            )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def connect(self, url: str, **settings: Any) -> Driver:
        """Connects the client, with settings that suit tests."""
        self.ask("connect", url=url, **{**SETTINGS, **settings})
        return self

    def call(self, tool: str, **arguments: Any) -> Future[dict[str, Any]]:
        """Begins a call of a tool."""
        return self.begin("call_tool", name=tool, arguments=arguments)

    def text(self, tool: str, **arguments: Any) -> str:
        """Calls a tool, and returns the first text of its result."""
        return self.call(tool, **arguments).result(ANSWER_S)["text"]

    def session(self) -> dict[str, Any]:
        """Which session the client is in."""
        return self.ask("session")

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Has the client do something, and returns what came of it."""
        return self.begin(do, **arguments).result(ANSWER_S)

    def begin(self, do: str, **arguments: Any) -> Future[dict[str, Any]]:
        """Has the client begin something."""
        answer: Future[dict[str, Any]] = Future()
        with self._lock:
            id = next(self._ids)
            self._waiting[id] = answer
            assert self.process.stdin
            self.process.stdin.write(
                json.dumps({"id": id, "do": do, **arguments}).encode() + b"\n"
            )
            self.process.stdin.flush()
        return answer

    def kill(self) -> None:
        """Ends the client's process without a goodbye."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    def log(self) -> str:
        """What the client wrote to standard error."""
        return self._log.read_text(errors="replace")

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            answer = json.loads(line)
            with self._lock:
                waiting = self._waiting.pop(answer["id"])
            if "ok" in answer:
                waiting.set_result(answer["ok"])
            else:
                waiting.set_exception(Failed(**answer["error"]))
        with self._lock:
            left = list(self._waiting.values())
        for waiting in left:
            waiting.set_exception(
                RuntimeError(f"the client ended:\n{self.log()[-4000:]}")
            )


def command(language: str) -> list[str]:
    """The command line of a client's driver."""
    if language == "python":
        return [sys.executable, str(Path(__file__).with_name("python_driver.py"))]
    return [str(built("ARCHON_CLIENT_DRIVER", "examples/driver"))]
