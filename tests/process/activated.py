"""Gateways on sockets that somebody else keeps, as systemd does."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import Archon

# The first inherited descriptor, by the protocol of systemd.
FIRST = 3

@contextlib.contextmanager
def listening(family: int = socket.AF_INET, host: str = "127.0.0.1") -> Iterator[socket.socket]:
    """A socket that is there before any gateway, and after it."""
    with socket.socket(family) as kept:
        kept.bind((host, 0))
        kept.listen(1024)
        yield kept


def activation(sockets: list[socket.socket], **env: str) -> dict[str, Any]:
    """Starts a process on these sockets, as arguments of `Popen`."""
    places = range(FIRST, FIRST + len(sockets))

    def enter() -> None:
        # Above their places first, so that none of them is overwritten on the way.
        high = [fcntl.fcntl(kept, fcntl.F_DUPFD, places.stop) for kept in sockets]
        for place, descriptor in zip(places, high, strict=True):
            os.dup2(descriptor, place)
        # Only here is the pid of the process known.
        os.environ.update(env, LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sockets)))

    return {"preexec_fn": enter, "pass_fds": places, "env": None}


class Activated(Archon):
    """A gateway that is started with its sockets."""

    def __init__(self, directory: Path, sockets: list[socket.socket], names: str = "", **more: Any):
        self.sockets, self.names = sockets, names
        super().__init__(directory, **more)

    def surroundings(self) -> dict[str, Any]:
        """Its sockets, with their names if they have any."""
        return activation(self.sockets, **({"LISTEN_FDNAMES": self.names} if self.names else {}))
