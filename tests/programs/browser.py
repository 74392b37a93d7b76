"""Playwright MCP with Debian's Chromium, as a command behind the gateway, and a page for it to look at."""

from __future__ import annotations

import shlex
from http.server import BaseHTTPRequestHandler
from typing import Any

from harness import tool
from loopback import LoopbackServer

# What only the page says.
GREETING = "The page that is kept"


def playwright_mcp() -> str:
    """The command line of the server; without a sandbox, which containers have no right to make."""
    chromium = ["--executable-path", "/usr/bin/chromium", "--headless", "--no-sandbox"]
    return shlex.join([str(tool("playwright-mcp")), *chromium, "--isolated"])


class Page(LoopbackServer):
    """A page on a free port of loopback."""

    def __init__(self) -> None:
        super().__init__(Handler, "/")


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    def do_GET(self) -> None:
        body = f"<title>kept</title><h1>{GREETING}</h1>".encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the test does."""
