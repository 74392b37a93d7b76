"""An OAuth authorization server on this machine: metadata, keys, and tokens of any kind.

with Issuer() as issuer:
    token = issuer.token("ada", audience=gateway.url)
    issuer.rotate("new")
    issuer.stop()
    issuer.start()
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

Answer = Callable[[BaseHTTPRequestHandler], None]

# Long enough for any test.
LIFETIME_S = 3600


class Issuer:
    """The server, with one key at a time; each test can end it and start it again on its port."""

    def __init__(self, algorithm: str = "RS256") -> None:
        self.algorithm = algorithm
        self.asked = 0  # for its keys, so often
        self.secrets: dict[str, str] = {}  # of clients that fetch tokens themselves
        self.answers: dict[str, Answer] = {}  # what it says in place of the truth, by path
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self.rotate("first")
        self.start()

    def __enter__(self) -> Issuer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Its name."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Begins to answer."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer._get(self)

            def do_POST(self) -> None:
                issuer._post(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Goes away."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def rotate(self, kid: str) -> None:
        """Signs with a new key from now on, and forgets the old one."""
        self.kid = kid
        if self.algorithm.startswith("RS"):
            self._key: Any = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        else:
            self._key = ec.generate_private_key(ec.SECP256R1())

    def token(self, subject: str = "ada", audience: str | None = None, **claims: Any) -> str:
        """A token; a claim of None is left out."""
        return self.signed(self.claims(subject, audience, **claims))

    def claims(self, subject: str, audience: str | None, **claims: Any) -> dict[str, Any]:
        """What a token says."""
        now = int(time.time())
        whole = {"iss": self.url, "sub": subject, "aud": audience, "iat": now}
        whole |= {"exp": now + LIFETIME_S, "jti": secrets.token_hex(8), **claims}
        return {name: value for name, value in whole.items() if value is not None}

    def signed(self, claims: Mapping[str, Any], kid: str | None = None) -> str:
        """Those claims, signed."""
        headers = {"kid": kid or self.kid}
        return jwt.encode(dict(claims), self._key, self.algorithm, headers)

    def unsigned(self, claims: Mapping[str, Any]) -> str:
        """Those claims, signed by nobody."""
        return jwt.encode(dict(claims), None, "none", {"kid": self.kid})

    def confused(self, claims: Mapping[str, Any]) -> str:
        """Those claims, with the public key taken for a secret that two share."""
        header = {"alg": "HS256", "typ": "JWT", "kid": self.kid}
        message = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        secret = self._key.public_key().public_bytes(encoding, form)
        return f"{message}.{_encoded(hmac.digest(secret, message.encode(), hashlib.sha256))}"

    def _get(self, request: BaseHTTPRequestHandler) -> None:
        if answer := self.answers.get(request.path):
            return answer(request)
        match request.path:
            case "/.well-known/oauth-authorization-server":
                reply(request, 200, self.metadata())
            case "/jwks":
                self.asked += 1
                reply(request, 200, {"keys": [self._jwk()]})
            case _:
                reply(request, 404, {})

    def _post(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        name, secret = form.get("client_id", ""), form.get("client_secret", "")
        if request.path != "/token" or not secret or self.secrets.get(name) != secret:
            return reply(request, 400, {"error": "invalid_client"})
        token = self.token(name, form.get("resource"))
        reply(request, 200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600})

    def metadata(self) -> dict[str, Any]:
        """What it says of itself."""
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "response_types_supported": ["code"],
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
        }

    def _jwk(self) -> dict[str, Any]:
        kind = RSAAlgorithm if self.algorithm.startswith("RS") else ECAlgorithm
        public = json.loads(kind.to_jwk(self._key.public_key()))
        return {**public, "kid": self.kid, "use": "sig", "alg": self.algorithm}


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def reply(
    request: BaseHTTPRequestHandler,
    status: int,
    document: dict[str, Any],
    headers: Mapping[str, str] | None = None,
) -> None:
    """Answers with a document."""
    body = json.dumps(document).encode()
    request.send_response(status)
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.send_header("content-type", "application/json")
    request.send_header("content-length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)
