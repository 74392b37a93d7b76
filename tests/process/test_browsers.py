"""Pages in a real browser, from an origin that is let in and from one that is not."""

from __future__ import annotations

import http.server
import json
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from wire import JSON_HEADERS, LegacyClient, encoded, initialize, send

PAGE = Path(__file__).with_name("page.html")

# Wide: a browser on a loaded machine takes its time.
PAGE_S = 90


@pytest.fixture
def visit(tmp_path) -> Iterator[Callable[[str, str], dict[str, Any]]]:
    """Opens the page from an origin with this host, and returns what it got of the server at a URL."""
    said: queue.Queue[dict[str, Any]] = queue.Queue()

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(PAGE.read_bytes())

        def do_POST(self) -> None:
            said.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.answer(b"")

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=site.serve_forever).start()

    def open_page(host: str, url: str) -> dict[str, Any]:
        page = f"http://{host}:{site.server_port}/?url={quote(url)}"
        switches = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/b"]
        names = f"--host-resolver-rules=MAP {host} 127.0.0.1"
        browser = subprocess.Popen(
            ["chromium", *switches, names, "--remote-debugging-port=0", page],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return said.get(timeout=PAGE_S)
        finally:
            browser.terminate()
            browser.wait(30)

    yield open_page
    site.shutdown()
    site.server_close()


@pytest.mark.timeout(240)
def test_a_page_speaks_mcp_where_its_origin_is_let_in(start_fixture, start_archon, visit):
    gateway = start_archon(upstream=start_fixture())
    said = visit("localhost", gateway.url)
    assert said.pop("session")
    assert said == {"text": "hello", "stream": 200, "refused": 404, "ended": 200}
    foreign = visit("elsewhere.example", gateway.url)
    assert set(foreign) == {"error"}, foreign


@pytest.mark.timeout(120)
def test_every_answer_can_be_read_by_a_page_that_is_let_in(start_fixture, start_archon, config):
    """Also from origins that are no addresses, and also what is refused before anything is known of it."""
    extension = "chrome-extension://abcdefghijklmnop"
    named = {"allowed_hosts": [extension, "null", "vscode-webview://*"]}
    gateway = start_archon(*config(server=named), upstream=start_fixture())
    base = gateway.url.removesuffix("/mcp")
    client = LegacyClient.connect(gateway.url)
    wants = {
        "access-control-request-method": "DELETE",
        "access-control-request-headers": "authorization,content-type,last-event-id,mcp-param-x,"
        "mcp-protocol-version,mcp-session-id,x-archon-session-id",
    }
    for origin in [extension, "null", "vscode-webview://1a2b", "http://localhost:5173"]:
        own = {"origin": origin}
        asked = send(gateway.url, "OPTIONS", headers={**own, **wants})
        assert asked.status == 200
        assert asked.headers["access-control-allow-origin"] == origin
        assert "DELETE" in asked.headers["access-control-allow-methods"]
        allowed = asked.headers["access-control-allow-headers"]
        assert allowed == wants["access-control-request-headers"]
        for answer, status in [
            (send(gateway.url, "POST", encoded(initialize()), {**JSON_HEADERS, **own}), 200),
            (send(gateway.url, "POST", b"nonsense", client.headers(own)), 400),
            (send(f"{gateway.url}/none", "POST", b"{}", own), 404),
            (send(gateway.url, "PUT", headers=own), 405),
            (send(gateway.url, "POST", b" " * 5_000_000, client.headers(own)), 413),
            (send(f"{base}/health", "GET", headers=own), 200),
        ]:
            assert answer.status == status
            assert answer.headers["access-control-allow-origin"] == origin
            exposed = answer.headers["access-control-expose-headers"]
            assert {"mcp-session-id", "x-archon-session-id", "www-authenticate"} <= set(
                exposed.split(",")
            )
    for origin in ["https://evil.example", "chrome-extension://other", "moz-extension://a"]:
        for method, more in [("OPTIONS", wants), ("POST", JSON_HEADERS)]:
            refused = send(gateway.url, method, headers={"origin": origin, **more})
            assert refused.status == 403
            assert refused.headers["access-control-allow-origin"] is None
