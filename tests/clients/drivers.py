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

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
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


class Nursery:
    """Makes Python clients without importing the library for each: see python_driver.py."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            driver = str(Path(__file__).with_name("python_driver.py"))
            self.process = subprocess.Popen(
                [sys.executable, driver, "--nursery", str(number)],
                pass_fds=[number],
                env={**os.environ, "PYTHONPATH": str(ROOT / "clients" / "python" / "src")},
            )

    def start(self, *descriptors: int) -> int:
        """Starts a client on these descriptors, and returns its process id."""
        socket.send_fds(self._requests, [b"x"], list(descriptors))
        return int.from_bytes(self._requests.recv(4), "big")

    def end(self) -> None:
        """Ends the nursery; its clients have ended before."""
        self._requests.close()
        self.process.wait(ANSWER_S)


class Driver:
    """One client, in a process of its own."""

    def __init__(self, start: Callable[[int, int, int], int], log: Path):
        """`start` takes what are to be standard input, output and error, and returns a process id."""
        self._log = log
        self._ids = itertools.count(1)
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        # Held while the table or the pipe is used, never while waiting for an answer.
        self._lock = threading.Lock()
        (theirs_in, ours_in), (ours_out, theirs_out) = os.pipe(), os.pipe()
        with log.open("wb") as written:
            self.pid = start(theirs_in, theirs_out, written.fileno())
        os.close(theirs_in)
        os.close(theirs_out)
        self._requests, self._answers = os.fdopen(ours_in, "wb"), os.fdopen(ours_out, "rb")
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
            self._requests.write(json.dumps({"id": id, "do": do, **arguments}).encode() + b"\n")
            self._requests.flush()
        return answer

    def kill(self) -> None:
        """Ends the client's process without a goodbye."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        # The end of its output is the end of the process.
        self._reader.join()
        with contextlib.suppress(ChildProcessError):  # a nursery's is not ours
            os.waitpid(self.pid, 0)
        self._requests.close()
        self._answers.close()

    def log(self) -> str:
        """What the client wrote to standard error."""
        return self._log.read_text(errors="replace")

    def _read(self) -> None:
        for line in self._answers:
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
            waiting.set_exception(RuntimeError(f"the client ended:\n{self.log()[-4000:]}"))


def start_rust(*descriptors: int) -> int:
    """Starts a Rust client on these descriptors, and returns its process id."""
    program = str(built("ARCHON_CLIENT_DRIVER", "examples/driver"))
    places = [(os.POSIX_SPAWN_DUP2, given, at) for at, given in enumerate(descriptors)]
    environment = {**os.environ, "RUST_LOG": "info"}
    return os.posix_spawn(program, [program], environment, file_actions=places)
