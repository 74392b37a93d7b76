"""Upstreams over TLS, and what is configured for one upstream alone."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wire import LegacyClient, ModernClient

pytestmark = pytest.mark.timeout(60)


class TlsFront:
    """Ends TLS in front of a server on this machine, byte by byte."""

    def __init__(self, directory: Path, port_behind: int):
        self.certificate, key = _certificate(directory)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, key)
        self.port_behind = port_behind
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}/mcp"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            client = self.context.wrap_socket(connection, server_side=True)
        except (ssl.SSLError, OSError):
            connection.close()
            return
        behind = socket.create_connection(("127.0.0.1", self.port_behind))
        threading.Thread(target=_pump, args=(behind, client), daemon=True).start()
        _pump(client, behind)


class Proxy:
    """Opens tunnels for those that show the credentials, all of them to one server on this machine."""

    def __init__(self, port_behind: int, credentials: str):
        self.port_behind = port_behind
        self.authorization = "Basic " + base64.b64encode(credentials.encode()).decode()
        self.asked: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://{credentials}@127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        lines = head.decode().split("\r\n")
        self.asked.append(lines[0])
        if f"Proxy-Authorization: {self.authorization}" not in lines:
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            connection.close()
            return
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        behind = socket.create_connection(("127.0.0.1", self.port_behind))
        threading.Thread(target=_pump, args=(behind, connection), daemon=True).start()
        _pump(connection, behind)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        end.close()


def _certificate(directory: Path) -> tuple[Path, Path]:
    """Makes a certificate for 127.0.0.1 and mcp.example that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "archon test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("mcp.example")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = directory / "certificate.pem", directory / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


@pytest.fixture
def front(start_fixture, tmp_path) -> Iterator[TlsFront]:
    upstream = start_fixture("--any-host")
    front = TlsFront(tmp_path, upstream.port)
    yield front
    front.close()


def test_an_upstream_is_trusted_by_the_certificate_that_is_configured(front, start_archon, config):
    upstream = {"url": front.url, "tls_ca_file": str(front.certificate)}
    gateway = start_archon(*config(**{"upstreams.safe": upstream}))
    assert LegacyClient.connect(gateway.url).text("echo", text="legacy") == "legacy"
    modern = ModernClient(gateway.url).call("echo", {"text": "modern"})
    assert modern.result["content"][0]["text"] == "modern"


def test_an_upstream_is_not_trusted_without_its_certificate(front, start_archon, config):
    gateway = start_archon(*config(**{"upstreams.safe": {"url": front.url}}))
    answer = ModernClient(gateway.url).call("echo", {"text": "modern"})
    assert answer.error["code"] == -31001
    assert "could not be reached" in answer.error["message"]
    assert "certificate" in gateway.log()


def test_an_upstream_is_reached_through_the_proxy_that_the_environment_names(
    front, start_archon, config
):
    proxy = Proxy(urlsplit(front.url).port, "user:s3cret")
    upstream = {"url": "https://mcp.example/mcp", "tls_ca_file": str(front.certificate)}
    near = {"url": front.url, "tls_ca_file": str(front.certificate)}
    gateway = start_archon(
        *config(**{"upstreams.far": upstream, "upstreams.near": near}),
        env={"https_proxy": proxy.url, "ARCHON_LOG": "debug"},
    )
    assert LegacyClient.connect(gateway.url + "/far").text("echo", text="x") == "x"
    assert ModernClient(gateway.url + "/far").text("echo", text="x") == "x"
    assert set(proxy.asked) == {"CONNECT mcp.example:443 HTTP/1.1"}
    # This machine is not reached through a proxy.
    tunnels = len(proxy.asked)
    assert LegacyClient.connect(gateway.url + "/near").text("echo", text="x") == "x"
    assert len(proxy.asked) == tunnels
    assert "through the proxy" in gateway.log()
    assert "s3cret" not in gateway.log()
    proxy.close()


def test_configured_headers_reach_the_upstream_and_no_log(start_fixture, start_archon, config):
    upstream = start_fixture("--any-host")
    gateway = start_archon(
        *config(
            **{
                "upstreams.main": {"url": upstream.url},
                "upstreams.main.headers": {"Authorization": "Bearer s3cret", "X-Tenant": "a"},
            }
        ),
        env={"ARCHON_LOG": "warn,archon=trace,archon_sessions=trace"},
    )
    client = LegacyClient.connect(gateway.url)
    seen = json.loads(client.text("headers"))
    assert (seen["authorization"], seen["x-tenant"]) == (["Bearer s3cret"], ["a"])
    assert "s3cret" not in gateway.log()


def test_an_upstream_may_have_its_own_call_time_out(start_fixture, start_archon, config):
    upstream = start_fixture("--any-host")
    quick = {"url": upstream.url, "call_timeout_seconds": 0.3}
    gateway = start_archon(
        *config(**{"upstreams.patient": {"url": upstream.url}, "upstreams.quick": quick})
    )
    hurried = LegacyClient.connect(gateway.url + "/quick")
    assert hurried.call("sleep", {"ms": 5000}).error["code"] == -31003
    patient = LegacyClient.connect(gateway.url + "/patient")
    assert "slept" in patient.text("sleep", ms=600)
