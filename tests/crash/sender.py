"""HTTP connections that may break, and be refused, at any moment."""

from __future__ import annotations

import contextlib
import http.client
import select
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from crash.books import ClientBook

# A working gateway accepts again within a second or two; a loaded machine is given more.
REFUSED_S = 30
# A silent stream is given up, and resumed, after so long.
SILENCE_S = 10
# Before something is tried again.
PAUSE_S = 0.05

# What a broken connection looks like. http.client raises ValueError for half a chunk's size.
BROKEN = (OSError, http.client.HTTPException, ValueError)


class NetworkWentDark(ConnectionError):
    """Nothing more comes of a connection, and nobody says so."""


@dataclass
class Sender:
    """Sends requests, on one kept connection or on a new one for each."""

    url: str
    keeps_open: bool
    book: ClientBook
    silence_s: float = SILENCE_S
    opened_at: float = 0.0
    _kept: http.client.HTTPConnection | None = None
    _dark: list[http.client.HTTPConnection] = field(default_factory=list)

    @contextlib.contextmanager
    def opened(
        self, method: str, body: bytes, headers: Mapping[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        """Sends a request. Its connection is kept only if the answer is read to its end."""
        connection = self._take()
        response = None
        try:
            connection.request(method, urlsplit(self.url).path, body or None, dict(headers))
            response = connection.getresponse()
            yield response
        except NetworkWentDark:
            # Held, so that the other side is told nothing; it has what was sent, and nobody reads it.
            self._dark.append(connection)
            raise
        finally:
            if connection in self._dark:
                pass
            elif self.keeps_open and response is not None and response.isclosed():
                self._kept = connection
            else:
                connection.close()

    def close(self) -> None:
        """Closes the connections that it still has."""
        while self._dark:
            self._dark.pop().close()
        if self._kept:
            self._kept.close()
            self._kept = None

    def _take(self) -> http.client.HTTPConnection:
        kept, self._kept = self._kept, None
        # An idle connection that can be read was closed by the other side.
        if kept and kept.sock and not select.select([kept.sock], [], [], 0)[0]:
            return kept
        if kept:
            kept.close()
        parts = urlsplit(self.url)
        assert parts.hostname
        deadline = time.monotonic() + REFUSED_S
        while True:
            self.opened_at = time.time()
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=self.silence_s)
            try:
                connection.connect()
                return connection
            except ConnectionRefusedError:
                # Nothing was sent, so this is not an attempt at anything.
                self.book.note_refused()
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_S)
