"""A TCP connection between a client and a server that can be cut, as a network does."""

from __future__ import annotations

import contextlib
import socket
import threading


class Cable:
    """Forwards what comes to `port` to another port of this machine."""

    def __init__(self, to_port: int):
        self._to = ("127.0.0.1", to_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        self.accepted = 0
        # What the server said, on all connections; tests say little.
        self.heard = bytearray()
        # Held for adding or taking sockets only.
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Cable:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """Breaks all connections that are open now; new ones work."""
        with self._lock:
            broken, self._open = self._open, []
        for end in broken:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            far = socket.create_connection(self._to)
            with self._lock:
                self._open += [near, far]
            for ends in ((near, far, bytearray()), (far, near, self.heard)):
                thread = threading.Thread(target=_forward, args=ends)
                self._threads.append(thread)
                thread.start()


def _forward(source: socket.socket, target: socket.socket, seen: bytearray) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
            seen += data
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
