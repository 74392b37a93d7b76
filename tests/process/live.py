"""Listens to a gateway's WebSocket, `/ws/sessions`.

with listen(gateway, types="request") as listener:
    assert listener.next()["type"] == "snapshot"
    ... listener.until("request") ...
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

from websockets.sync.client import ClientConnection, connect

from harness import Archon

# Wide, because a loaded machine is slow; an event takes milliseconds.
EVENT_S = 30

PATH = "/ws/sessions"

Frame = dict[str, Any]


class Listener:
    """A connection, and the frames that came on it."""

    def __init__(self, connection: ClientConnection):
        self.connection = connection
        self.frames: list[Frame] = []

    def next(self) -> Frame:
        """The next frame."""
        frame = json.loads(self.connection.recv(timeout=EVENT_S))
        self.frames.append(frame)
        return frame

    def until(self, type: str, **data: Any) -> list[Frame]:
        """The next frames, up to one of this type that says this among its data."""
        frames = [self.next()]
        while frames[-1]["type"] != type or not data.items() <= frames[-1]["data"].items():
            frames.append(self.next())
        return frames


@contextlib.contextmanager
def listen(
    gateway: Archon, path: str = PATH, receive_buffer: int | None = None, **query: Any
) -> Iterator[Listener]:
    """Listens for as long as the block runs.

    With a `receive_buffer` (in bytes) it reads no further than a frame or two until it is asked to.
    """
    api = urlsplit(gateway.api_url)
    address = f"ws://{api.netloc}{path}?{urlencode(query)}"
    options: dict[str, Any] = {"open_timeout": EVENT_S, "close_timeout": 1}
    if receive_buffer is not None:
        plug = socket.socket()
        # Before it is connected, or the window would be negotiated already.
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plug.connect((api.hostname, api.port))
        options |= {"sock": plug, "max_queue": 1, "compression": None, "close_timeout": 0.1}
    with connect(address, **options) as connection:
        yield Listener(connection)
