"""The gateway on sockets that outlive it, as a service manager holds them.

Where the gateway does not take sockets over, it gets the same ports at each start instead, and
clients meet refused connections while it is away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

from harness import Archon, Upstream

# As many connections wait for a restart as there may be clients.
BACKLOG = 1024

# A process learns by LISTEN_PID that the sockets are for it, so a shell, which becomes the gateway,
# sets it; doing so between fork and exec in Python may hang, since clients run in threads.
TAKE_OVER = """
first=$1 second=$2; shift 2
exec 3<&"$first" 4<&"$second" {first}<&- {second}<&-
LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=mcp:api exec "$@"
"""


class HeldSockets:
    """Two listening sockets: for MCP and for the API."""

    def __init__(self) -> None:
        # Numbers that are clear of 3 and 4, which the gateway gets.
        self.fds: tuple[int, ...] = tuple(_listening() for _ in range(2))

    @property
    def port(self) -> int:
        """The port for MCP."""
        with socket.socket(fileno=os.dup(self.fds[0])) as listening:
            return listening.getsockname()[1]

    def close(self) -> None:
        """Gives them up."""
        fds, self.fds = self.fds, ()
        for fd in fds:
            os.close(fd)


class HeldArchon(Archon):
    """The gateway, which is handed its sockets at each start."""

    def __init__(
        self, directory: Path, *args: str, sockets: HeldSockets, upstream: Mapping[str, Upstream]
    ):
        self.sockets = sockets
        self.pass_fds = sockets.fds
        super().__init__(directory, *args, upstream=upstream)

    @property
    def took_over(self) -> bool:
        """Whether it serves on the sockets that it was handed."""
        return self.port == self.sockets.port

    def command(self) -> list[str]:
        numbers = [str(fd) for fd in self.sockets.fds]
        return ["bash", "-c", TAKE_OVER, "take-over", *numbers, *super().command()]


class StdioUpstream:
    """The processes of a stdio upstream. The gateway starts them, and starts them again."""

    def __init__(self, journal: Path):
        self.journal = journal

    def kill(self) -> None:
        """Kills those that run now: they are told by the journal that is theirs alone."""
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(ValueError, OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if str(self.journal).encode() in words and b"--stdio" in words:
                    os.kill(int(entry.name), signal.SIGKILL)

    def restart(self) -> None:
        """Does nothing."""


def _listening() -> int:
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listening:
        return fcntl.fcntl(listening.fileno(), fcntl.F_DUPFD_CLOEXEC, 10)
