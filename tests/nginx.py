"""nginx as people put it in front of the gateway: it keeps connections open and shares them between clients."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from harness import Process, free_port

# Debian keeps it out of the path of users.
FOLDERS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
# Fewer than there are clients, so that each connection carries the requests of several.
KEPT_OPEN = 2

CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream gateway {{ {servers} keepalive {kept}; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://gateway;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_read_timeout 120s;
        }}
    }}
}}
"""


class Nginx(Process):
    """A reverse proxy before a server, or before several in turn; everything that it writes stays in its folder."""

    name = "nginx"

    def __init__(self, directory: Path, *gateways: str):
        self._port, self._to = free_port(), urlsplit(gateways[0])
        self._servers = " ".join(f"server {urlsplit(one).netloc} max_fails=0;" for one in gateways)
        super().__init__(directory)

    def command(self) -> list[str]:
        folder, file = self.directory.resolve(), self.directory.resolve() / "nginx.conf"
        file.write_text(
            CONFIG.format(folder=folder, servers=self._servers, port=self._port, kept=KEPT_OPEN)
        )
        nginx = shutil.which("nginx", path=FOLDERS)
        assert nginx, "nginx is missing: run scripts/install-system --test"
        return [nginx, "-p", str(folder), "-c", str(file)]

    def find_url(self, output: str) -> str | None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
            return self._to._replace(netloc=f"127.0.0.1:{self._port}").geturl()
        return None


@contextlib.contextmanager
def in_front_of(*gateways: str) -> Iterator[str]:
    """Yields the URL of an nginx before these, each of which gets the next request."""
    with tempfile.TemporaryDirectory() as folder:
        nginx = Nginx(Path(folder), *gateways)
        try:
            yield nginx.url
        finally:
            nginx.end()
