"""Starts the programs under test, and says how to reach them.

Tests get these through the fixtures `start_archon`, `start_fixture` and `start_everything` of
conftest.py; every process that a test started is gone when the test is over.

    def test_something(start_fixture, start_archon):
        upstream = start_fixture("--legacy-only")
        gateway = start_archon(upstream=upstream)
        ... gateway.url, gateway.port, gateway.api_url ...
        upstream.kill()
        upstream.restart()  # on the same port
        assert "recovered" in gateway.log()
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools" / "bin"
# Servers and clients on the TypeScript SDK.
SDK = ROOT / "tests" / "programs" / "sdk"

# Wide, because a loaded machine is slow and a working one never waits this long.
START_S = 60
STOP_S = 30

T = TypeVar("T")


def archon_bin() -> Path:
    """The gateway: ARCHON_BIN, or what a debug build left."""
    return built("ARCHON_BIN", "archon")


def fixture_bin() -> Path:
    """The MCP server to test against: ARCHON_FIXTURE_BIN, or what a debug build left."""
    return built("ARCHON_FIXTURE_BIN", "archon-fixture")


def fixture_command(*args: str) -> str:
    """The command line of a fixture on stdio, for an upstream that the gateway starts itself."""
    return shlex.join([str(fixture_bin()), "--stdio", *args])


def tool(name: str) -> Path:
    """A program that scripts/install-test-tools installs."""
    path = TOOLS / name
    if not path.exists():
        raise FileNotFoundError(f"no {path}: run scripts/install-test-tools")
    return path


def wait_for(what: str, condition: Callable[[], T | None], timeout_s: float = START_S) -> T:
    """Returns the first true value of `condition`, or fails saying what did not happen."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s} s")
        time.sleep(0.02)
    return value


def free_port() -> int:
    """A port that was free a moment ago, for programs that cannot choose one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def release_port(port: int) -> None:
    """Has a port closed that is kept open for the next gateway, and waits for that."""
    keeper = f"archon-keeper-1/127.0.0.1:{port}"
    with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
        connection.connect(f"\0{keeper}")
        connection.sendall(b"R")
        connection.recv(1)


class Process:
    """A program with an MCP endpoint, started and ready."""

    name = "process"
    pass_fds: tuple[int, ...] = ()  # which it inherits

    def __init__(self, directory: Path, env: Mapping[str, str] | None = None):
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.env = {**os.environ, "RUST_BACKTRACE": "1", **(env or {})}
        self.url = ""
        self._log = self.directory / "log.txt"
        self._started_at = 0  # where in the log the present run begins
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def port(self) -> int:
        """The port of the MCP endpoint."""
        port = urlsplit(self.url).port
        assert port, f"{self.name} has no port in {self.url!r}"
        return port

    @property
    def pid(self) -> int:
        """The process id of the present run."""
        assert self._process, f"{self.name} is not running"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is still there."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """Everything printed so far, by all runs, standard output and error together."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        """Starts the program and waits until it is ready."""
        assert not self.is_running, f"{self.name} is running already"
        with self._log.open("ab") as log:
            self._started_at = log.tell()
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self.surroundings(),
            )
        try:
            self.url = wait_for(f"{self.name} is ready", self._ready_url)
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout_s: float = STOP_S) -> int:
        """Asks the program to end, and returns its exit status; a signal's is negative."""
        process = self._process
        assert process, f"{self.name} was never started"
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(f"{self.name} did not stop within {timeout_s} s") from None

    def kill(self) -> None:
        """Ends the program at once, as a crash would."""
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Starts the program again, on its old ports and with its old files."""
        if self.is_running:
            self.stop()
        self.start()

    def end(self) -> None:
        """Ends the program at once, with what a crash would leave behind."""
        self.kill()
        if self._process:
            for pid in _session_members(self._process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def command(self) -> list[str]:
        """The command line of the next run."""
        raise NotImplementedError

    def surroundings(self) -> dict[str, Any]:
        """What else the next run starts with, as arguments of `Popen`."""
        return {"env": self.env, "pass_fds": self.pass_fds}

    def _output(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._started_at)
            return log.read().decode(errors="replace")

    def _ready_url(self) -> str | None:
        # The output is read after the status: what a dying program printed counts.
        is_running, output = self.is_running, self._output()
        if found := self.find_url(output):
            return found
        if not is_running:
            raise RuntimeError(f"{self.name} ended before it was ready:\n{output}")
        return None

    def find_url(self, output: str) -> str | None:
        """The MCP endpoint, once the output names it."""
        raise NotImplementedError


class Fixture(Process):
    """The MCP server to test against, over HTTP."""

    name = "fixture"

    def __init__(self, directory: Path, *args: str, env: Mapping[str, str] | None = None):
        self.args = args
        super().__init__(directory, env)

    def command(self) -> list[str]:
        port = self.port if self.url else 0
        return [str(fixture_bin()), "--port", str(port), *self.args]

    def find_url(self, output: str) -> str | None:
        return listening(output)


class Everything(Process):
    """`@modelcontextprotocol/server-everything`, a legacy server that we did not write."""

    name = "server-everything"

    def __init__(self, directory: Path, env: Mapping[str, str] | None = None):
        self._port = free_port()
        super().__init__(directory, {**(env or {}), "PORT": str(self._port)})

    def command(self) -> list[str]:
        return [str(tool("mcp-server-everything")), "streamableHttp"]

    def find_url(self, output: str) -> str | None:
        if f"listening on port {self._port}" not in output:
            return None
        return f"http://127.0.0.1:{self._port}/mcp"


class SdkServer(Process):
    """A server on a release of the TypeScript SDK, over HTTP: see programs/sdk/server.mjs."""

    name = "sdk server"

    def __init__(self, directory: Path, release: str, kind: str):
        self._arguments = [release, kind]
        super().__init__(directory)

    def command(self) -> list[str]:
        port = self.port if self.url else 0
        return [str(tool("node")), str(SDK / "server.mjs"), *self._arguments, str(port)]

    def find_url(self, output: str) -> str | None:
        return listening(output)


# Processes that all tests share, and that are there until the last one is over.
LASTING: set[int] = set()

Upstream = Process | str


class Archon(Process):
    """The gateway: `archon serve`."""

    name = "archon"

    def __init__(
        self,
        directory: Path,
        *args: str,
        upstream: Upstream | Mapping[str, Upstream] | None = None,
        db: Path | str | None = None,
        env: Mapping[str, str] | None = None,
        has_fixed_ports: bool = False,
    ):
        self.args = args
        self.upstreams = _named(upstream)
        self.db = db or directory / "archon.db"
        self._names_db = "DATABASE_URL" not in (env or {})
        self._first_port = free_port() if has_fixed_ports else 0
        self._api_port = free_port() if has_fixed_ports else 0
        super().__init__(directory, env)

    @property
    def api_url(self) -> str:
        """Where the API and the dashboard are: the first address printed that is not `url`'s."""
        return wait_for(f"{self.name} says where its API is", self._find_api_url)

    def command(self) -> list[str]:
        command = [str(archon_bin()), "serve"]
        for name, target in self.upstreams.items():
            command += ["--upstream", f"{name}={target}"]
        command += ["--mcp-port", str(self.port if self.url else self._first_port)]
        command += ["--server-port", str(self._api_port)]
        if self._names_db:
            command += ["--db", str(self.db)]
        return [*command, *self.args]

    def find_url(self, output: str) -> str | None:
        found = re.search(r"MCP endpoint:\s*(http://\S+)", output)
        return found and found[1]

    def restart(self) -> None:
        if api_url := self._find_api_url():
            self._api_port = urlsplit(api_url).port or 0
        super().restart()

    def end(self) -> None:
        """Ends the program at once, with what a crash would leave behind: its port as well."""
        super().end()
        if self.url:
            release_port(self.port)

    def _find_api_url(self) -> str | None:
        output = self._output()
        # Log lines may name servers that we know nothing of.
        if found := re.search(r"^\s*health:\s+(http://[^\s/:]+:\d+)", output, re.MULTILINE):
            return found[1]
        for found in re.finditer(r"http://[^\s/:]+:(\d+)", output):
            if int(found[1]) not in {self.port, *self._upstream_ports()}:
                return found[0]
        return None

    def _upstream_ports(self) -> set[int]:
        targets = [t for t in self.upstreams.values() if t.startswith("http")]
        return {port for target in targets if (port := urlsplit(target).port)}


class Processes:
    """Starts processes, and ends those that are left at the end of its `with` block."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.started: list[Process] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.started):
            process.end()

    def start_fixture(self, *args: str, env: Mapping[str, str] | None = None) -> Fixture:
        """Starts an MCP server to test against."""
        return self._keep(Fixture(self._directory("fixture"), *args, env=env))

    def start_everything(self, env: Mapping[str, str] | None = None) -> Everything:
        """Starts a legacy MCP server that we did not write."""
        return self._keep(Everything(self._directory("everything"), env=env))

    def start_sdk_server(self, release: str, kind: str) -> SdkServer:
        """Starts a server on a release of the TypeScript SDK: `start_sdk_server("1", "stateful")`."""
        return self._keep(SdkServer(self._directory("sdk"), release, kind))

    def start_archon(
        self,
        *args: str,
        upstream: Upstream | Mapping[str, Upstream] | None = None,
        db: Path | str | None = None,
        env: Mapping[str, str] | None = None,
        has_fixed_ports: bool = False,
    ) -> Archon:
        """Starts the gateway in front of a process, a URL, a command, or several by name.

        A single upstream is called `fixture`. Two gateways share a database through `db`. `has_fixed_ports` says
        which ports to listen on, as people's configurations do, instead of taking whichever are free.
        """
        directory = self._directory("archon")
        ports = {"has_fixed_ports": has_fixed_ports}
        return self._keep(Archon(directory, *args, upstream=upstream, db=db, env=env, **ports))

    def _directory(self, name: str) -> Path:
        return self.directory / f"{name}-{len(self.started)}"

    def _keep(self, process: T) -> T:
        self.started.append(process)
        return process


def listening(output: str) -> str | None:
    """The URL that a server of ours prints when it listens."""
    found = re.search(r"^listening on (http://\S+)$", output, re.MULTILINE)
    return found and found[1]


def _named(upstream: Upstream | Mapping[str, Upstream] | None) -> dict[str, str]:
    if upstream is None:
        return {}
    if isinstance(upstream, Process | str):
        upstream = {"fixture": upstream}
    return {
        name: target.url if isinstance(target, Process) else target
        for name, target in upstream.items()
    }


def _session_members(leader: int) -> list[int]:
    """The processes that `leader`, a process of ours, started and that stayed in its session."""
    members = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(ValueError, ProcessLookupError):
            if os.getsid(int(entry.name)) == leader:
                members.append(int(entry.name))
    return members


def built(variable: str, name: str) -> Path:
    """A program of ours: where the variable says, or what a debug build left."""
    path = Path(os.environ.get(variable) or ROOT / "target" / "debug" / name)
    if not path.exists():
        raise FileNotFoundError(f"no {path}: build it, or set {variable}")
    return path.resolve()
