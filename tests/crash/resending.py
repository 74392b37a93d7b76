"""A proxy that does what a gateway must not: it sends a call again when its answer was lost.

It stands between the gateway and the upstream, so that the crash tester has something to find.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# As long as an upstream may take to come back.
PATIENCE_S = 15
# These are about one connection, and made anew on the next.
HOP = {"host", "connection", "content-length", "transfer-encoding", "keep-alive"}


@contextlib.contextmanager
def resending(upstream: str) -> Iterator[str]:
    """Starts the proxy in front of an upstream, and gives its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _forwarder(upstream))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/mcp"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _forwarder(upstream: str) -> type[BaseHTTPRequestHandler]:
    parts = urlsplit(upstream)

    class Forwarder(BaseHTTPRequestHandler):
        """Forwards one request, and answers it once the whole answer is there."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {n: v for n, v in self.headers.items() if n.lower() not in HOP}
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    self._answer(*_sent("POST", parts.hostname, parts.port, body, headers))
                    return
                time.sleep(0.02)
            self.send_error(502)

        def do_GET(self) -> None:
            self.send_error(405)

        do_DELETE = do_GET

        def log_message(self, *_: object) -> None:
            """Says nothing."""

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Forwarder


def _sent(
    method: str, host: str | None, port: int | None, body: bytes, headers: dict[str, str]
) -> tuple[int, list[tuple[str, str]], bytes]:
    assert host
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request(method, "/mcp", body, headers)
        response = connection.getresponse()
        answer = response.read()
        # A broken stream of events may look like one that ended: without an answer it is no answer.
        if response.status == 200 and b'"result"' not in answer and b'"error"' not in answer:
            raise http.client.IncompleteRead(answer)
        return response.status, response.getheaders(), answer
