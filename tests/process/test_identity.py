"""Who is let in: tokens of an issuer, keys that the gateway's operator gave out, or nobody."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import secrets
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import mcp
import pytest
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client

import rows
from clients import MODES, run
from harness import wait_for
from issuer import Issuer, reply
from wire import JSON_HEADERS, Answer, ModernClient, encoded, get_json, initialize, send

UNAUTHENTICATED = -31009
# Wide: what is waited for comes within a second.
KEYS_S = 30


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture
def start_guarded(start_archon, config, issuer):
    """Starts a gateway that trusts the issuer."""

    def start(*args: str, tables: dict[str, Any] | None = None, **auth: Any) -> Any:
        auth = {"issuer": issuer.url, "jwks_refresh_seconds": 0.05, **auth}
        return start_archon(*config(auth=auth, **(tables or {})), *args)

    return start


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def shake_hands(url: str, headers: dict[str, str] | None = None) -> Answer:
    """Sends a legacy `initialize`."""
    return send(url, "POST", encoded(initialize()), {**JSON_HEADERS, **(headers or {})})


def refused(answer: Answer, error: str | None = "invalid_token") -> str:
    """Returns the challenge of an answer that asks for another token."""
    assert (answer.status, answer.error["code"]) == (401, UNAUTHENTICATED)
    assert answer.session is None and answer.handle is None
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith("Bearer ")
    assert ("error=" in challenge) == (error is not None) and f'"{error}"' in challenge + '"None"'
    return challenge


@contextlib.asynccontextmanager
async def library(url: str, mode: str, auth: Any) -> AsyncIterator[mcp.Client]:
    """The Python library, with credentials."""
    headers = auth if isinstance(auth, dict) else None
    async with httpx2.AsyncClient(headers=headers, auth=None if headers else auth) as http:
        transport = streamable_http_client(url, http_client=http)
        async with mcp.Client(transport, mode=mode) as client:
            yield client


@pytest.mark.parametrize("mode", MODES)
def test_the_python_library_calls_with_its_token(start_guarded, start_fixture, issuer, mode):
    upstream = start_fixture()
    gateway = start_guarded("--upstream", f"main={upstream.url}")

    async def call() -> str:
        who = {"email": "ada@example.com", "name": "Ada"}
        token = issuer.token("ada", gateway.url, **who)
        async with library(gateway.url, mode, bearer(token)) as client:
            return (await client.call_tool("echo", {"text": "hello"})).content[0].text

    assert run(call()) == "hello"
    columns = "principal, user_id, user_email, user_name"
    ada = (f"{issuer.url}#ada", "ada", "ada@example.com", "Ada")
    rows.expect(gateway.db, [ada], f"SELECT DISTINCT {columns} FROM archon_mcp_sessions")


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_the_python_library_finds_out_how_to_get_a_token(
    start_guarded, start_fixture, issuer, mode
):
    upstream = start_fixture()
    gateway = start_guarded("--upstream", f"main={upstream.url}")
    issuer.secrets["robot"] = secrets.token_hex(16)

    class Storage:
        """Keeps tokens for as long as the client runs."""

        tokens = info = None

        async def get_tokens(self) -> Any:
            return self.tokens

        async def set_tokens(self, tokens: Any) -> None:
            self.tokens = tokens

        async def get_client_info(self) -> Any:
            return self.info

        async def set_client_info(self, info: Any) -> None:
            self.info = info

    async def call() -> str:
        auth = ClientCredentialsOAuthProvider(
            server_url=gateway.url,
            storage=Storage(),
            issuer=issuer.url,
            client_id="robot",
            client_secret=issuer.secrets["robot"],
            token_endpoint_auth_method="client_secret_post",
        )
        async with library(gateway.url, mode, auth) as client:
            return (await client.call_tool("echo", {"text": "hello"})).content[0].text

    assert run(call()) == "hello"
    robot = [(f"{issuer.url}#robot",)]
    rows.expect(gateway.db, robot, "SELECT DISTINCT principal FROM archon_mcp_sessions")


def test_what_is_not_good_is_refused_in_both_eras(start_guarded, issuer):
    gateway = start_guarded()
    now, claims = int(time.time()), issuer.claims("ada", gateway.url)
    bad = {
        "expired": issuer.token("ada", gateway.url, exp=now - 120),
        "never expires": issuer.token("ada", gateway.url, exp=None),
        "not valid yet": issuer.token("ada", gateway.url, nbf=now + 300),
        "issuer": issuer.token("ada", gateway.url, iss="https://issuer.example"),
        "issued for a different audience": issuer.token("ada", "https://other.example/mcp"),
        "made out": issuer.token("ada", None),
        "who it is for": issuer.token("", gateway.url),
        "key that its issuer does not have": issuer.signed(claims, kid="made up"),
        "not a JWT": issuer.unsigned(claims),
        "algorithm": issuer.confused(claims),
        "signature": issuer.signed(claims)[:-8] + "AAAAAAAA",
        "a JWT": "nonsense",
    }
    for what, token in bad.items():
        for answer in (
            shake_hands(gateway.url, bearer(token)),
            ModernClient(gateway.url).call("find_projects", headers=bearer(token)),
            send(gateway.url, "GET", headers=bearer(token)),
            send(gateway.url, "DELETE", headers=bearer(token)),
        ):
            challenge = refused(answer)
            assert what in challenge or what in ("made out", "issuer"), challenge
    assert shake_hands(gateway.url, bearer(issuer.signed(claims))).result
    log = gateway.log()
    assert not any(token in log for token in bad.values() if len(token) > 20)
    rows.expect(gateway.db, [(1,)], "SELECT count(*) FROM archon_mcp_sessions")


def test_whoever_shows_nothing_is_told_where_to_get_a_token(start_guarded, issuer):
    gateway = start_guarded()
    origin = gateway.url.removesuffix("/mcp")
    for url in (gateway.url, f"{origin}/mcp/demo"):
        path = url.removeprefix(origin)
        challenge = refused(shake_hands(url), error=None)
        where = f"{origin}/.well-known/oauth-protected-resource{path}"
        assert f'resource_metadata="{where}"' in challenge
        status, document = get_json(where)
        assert (status, document["resource"]) == (200, url)
        assert document["authorization_servers"] == [issuer.url]
        assert document["bearer_methods_supported"] == ["header"]
    status, document = get_json(f"{origin}/.well-known/oauth-protected-resource")
    assert (status, document["resource"]) == (200, origin)
    assert get_json(f"{origin}/.well-known/oauth-protected-resource/mcp/none")[0] == 404
    foreign = {"host": "evil.example"}
    where = f"{origin}/.well-known/oauth-protected-resource"
    assert send(where, "GET", headers=foreign).status == 403
    assert shake_hands(gateway.url, foreign).status == 403
    # By another of this machine's names, the resource is called by that.
    local = {"host": f"localhost:{gateway.port}"}
    assert f"http://localhost:{gateway.port}/.well-known" in refused(
        shake_hands(gateway.url, local), error=None
    )
    assert get_json(f"{origin}/health")[0] == 200
    twice = ModernClient(gateway.url).call("find_projects", headers={"authorization": "Bearer a b"})
    assert twice.status == 400 and "invalid_request" in twice.headers["www-authenticate"]
    basic = {"authorization": "Basic YTpi"}
    refused(shake_hands(gateway.url, basic), error=None)


def test_a_token_is_good_where_it_is_made_out_to(start_guarded, start_fixture, issuer):
    upstream = start_fixture()
    both = [f"{name}={upstream.url}" for name in ("one", "two")]
    gateway = start_guarded("--upstream", both[0], "--upstream", both[1])
    origin = gateway.url.removesuffix("/mcp")

    def good(audience: Any) -> list[str]:
        headers = bearer(issuer.token("ada", audience))
        paths = ("/mcp", "/mcp/one", "/mcp/two")
        return [path for path in paths if shake_hands(origin + path, headers).status == 200]

    assert good(f"{origin}/mcp") == ["/mcp", "/mcp/one"]
    assert good(f"{origin}/mcp/two/") == ["/mcp/two"]
    assert good([origin, "https://other.example"]) == ["/mcp", "/mcp/one", "/mcp/two"]
    assert good("https://other.example") == []


def test_an_audience_can_be_a_name(start_guarded, issuer):
    gateway = start_guarded(audience=["tools", "more-tools"])
    assert shake_hands(gateway.url, bearer(issuer.token("ada", "tools"))).result
    refused(shake_hands(gateway.url, bearer(issuer.token("ada", gateway.url))))


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_a_new_key_is_asked_for_once_it_is_needed(start_archon, config, algorithm):
    with Issuer(algorithm) as issuer:
        auth = {"issuer": issuer.url, "jwks_refresh_seconds": 3600}
        gateway = start_archon(*config(auth=auth))
        old = issuer.token("ada", gateway.url)
        assert shake_hands(gateway.url, bearer(old)).result
        issuer.rotate("second")
        assert shake_hands(gateway.url, bearer(issuer.token("ada", gateway.url))).result
        # What the issuer has withdrawn is not good any more, although it was checked before.
        refused(shake_hands(gateway.url, bearer(old)))
        # Keys that nobody has are not asked for again and again.
        asked = issuer.asked
        for number in range(20):
            token = issuer.signed(issuer.claims("ada", gateway.url), kid=f"made up {number}")
            refused(shake_hands(gateway.url, bearer(token)))
        assert issuer.asked == asked


def test_the_keys_stay_good_while_the_issuer_is_away(start_guarded, issuer):
    gateway = start_guarded()
    assert shake_hands(gateway.url, bearer(issuer.token("ada", gateway.url))).result
    issuer.stop()
    fresh = issuer.token("ada", gateway.url)
    assert shake_hands(gateway.url, bearer(fresh)).result
    issuer.rotate("second")
    after = issuer.token("ada", gateway.url)
    answer = shake_hands(gateway.url, bearer(after))
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert answer.error["code"] == -31005
    assert shake_hands(gateway.url, bearer(fresh)).result
    issuer.start()
    wait_for(
        "the issuer's new key",
        lambda: shake_hands(gateway.url, bearer(after)).status == 200,
        KEYS_S,
    )


def test_an_issuer_that_is_away_at_the_start_is_asked_again(start_guarded, issuer):
    issuer.stop()
    gateway = start_guarded(jwks_refresh_seconds=3600)
    token = issuer.token("ada", gateway.url)
    assert shake_hands(gateway.url, bearer(token)).status == 503
    assert get_json(gateway.url.replace("/mcp", "/health"))[0] == 200
    assert f"could not get the keys of {issuer.url}" in gateway.log()
    issuer.start()
    wait_for(
        "the issuer's keys", lambda: shake_hands(gateway.url, bearer(token)).status == 200, KEYS_S
    )


METADATA = "/.well-known/oauth-authorization-server"


def lie(issuer: Issuer, how: str) -> str:
    """Makes an issuer answer with what cannot be believed; returns what the log says of it."""
    elsewhere = {"location": f"{issuer.url}/elsewhere"}
    endless = {"keys": [], "padding": "x" * (1 << 20)}
    truth = issuer.metadata()
    lies = {
        "of another": (METADATA, 200, {**truth, "issuer": "https://issuer.example"}, {}),
        "insecure": (METADATA, 200, {**truth, "jwks_uri": "http://i.example/jwks"}, {}),
        "elsewhere": ("/jwks", 302, {}, elsewhere),
        "endless": ("/jwks", 200, endless, {}),
        "empty": ("/jwks", 200, {"keys": []}, {}),
    }
    path, status, document, headers = lies[how]
    issuer.answers[path] = lambda request: reply(request, status, document, headers)
    return {
        "of another": 'is of "https://issuer.example"',
        "insecure": "names no https",
        "elsewhere": "302",
        "endless": "too large",
        "empty": "holds no key",
    }[how]


@pytest.mark.parametrize("how", ["of another", "insecure", "elsewhere", "endless", "empty"])
def test_an_issuer_that_cannot_be_believed_counts_as_away(start_guarded, issuer, how):
    said = lie(issuer, how)
    gateway = start_guarded()
    token = issuer.token("ada", gateway.url)
    assert shake_hands(gateway.url, bearer(token)).status == 503
    assert said in gateway.log()
    issuer.answers.clear()
    wait_for(
        "the issuer's keys", lambda: shake_hands(gateway.url, bearer(token)).status == 200, KEYS_S
    )


def test_an_issuer_that_hangs_holds_up_nobody_whose_token_is_known(start_guarded, issuer):
    gateway = start_guarded()
    known = issuer.token("ada", gateway.url)
    assert shake_hands(gateway.url, bearer(known)).result
    issuer.rotate("second")
    asked, go_on = threading.Event(), threading.Event()

    def hang(_: object) -> None:
        asked.set()
        go_on.wait(KEYS_S)

    def is_held_up() -> bool:
        """Whether a known token waits for as long as an unknown one."""
        asked.clear()
        answers: list[Answer] = []
        new = bearer(issuer.token("ada", gateway.url))
        waiting = threading.Thread(target=lambda: answers.append(shake_hands(gateway.url, new)))
        waiting.start()
        assert asked.wait(KEYS_S)
        assert shake_hands(gateway.url, bearer(known)).result
        is_waiting = waiting.is_alive()
        waiting.join()
        assert answers[0].status == 503
        return not is_waiting

    issuer.answers["/jwks"] = hang
    # A machine may be too slow for it once, or twice.
    assert not all(is_held_up() for _ in range(3))
    go_on.set()


def test_keys_of_our_own_need_no_issuer(start_archon, config):
    key = secrets.token_hex(32)
    robot = {"name": "robot", "sha256": hashlib.sha256(key.encode()).hexdigest()}
    gateway = start_archon(*config(**{"[auth.api_keys]": robot}))
    for headers in (bearer(key), {"x-api-key": key}):
        assert shake_hands(gateway.url, headers).result
    refused(shake_hands(gateway.url, {"x-api-key": key[:-1]}))
    refused(shake_hands(gateway.url, bearer(key[:-1])))
    assert 'realm="archon"' in refused(shake_hands(gateway.url), error=None)
    origin = gateway.url.removesuffix("/mcp")
    assert get_json(f"{origin}/.well-known/oauth-protected-resource/mcp")[0] == 404
    robot = ("api-key#robot", "robot", None)
    columns = "DISTINCT principal, user_id, user_email"
    rows.expect(gateway.db, [robot], f"SELECT {columns} FROM archon_mcp_sessions")
    assert key not in gateway.log()


def test_where_it_is_not_required_nobody_is_asked(start_guarded, issuer):
    gateway = start_guarded(required=False)
    assert shake_hands(gateway.url).result
    assert shake_hands(gateway.url, bearer(issuer.token("ada", gateway.url))).result
    # Whoever shows something wants to be somebody.
    refused(shake_hands(gateway.url, bearer("nonsense")))
    principals = [("anonymous",), (f"{issuer.url}#ada",)]
    rows.expect(gateway.db, principals, "SELECT principal FROM archon_mcp_sessions ORDER BY 1")
    assert json.loads(send(gateway.url.replace("/mcp", "/health"), "GET").body)["success"]


def test_a_refused_client_goes_on_on_its_connection(start_guarded):
    gateway = start_guarded()
    body = encoded(initialize())
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", gateway.port)) as connection:
        for _ in range(3):
            connection.putrequest("POST", "/mcp")
            for name, value in {**JSON_HEADERS, "content-length": str(len(body))}.items():
                connection.putheader(name, value)
            # As libraries do: the head goes first, and may be all that is there when it is judged.
            connection.endheaders()
            time.sleep(0.05)
            connection.send(body)
            answer = connection.getresponse()
            assert answer.status == 401 and b"-31009" in answer.read()
            assert connection.sock is not None, "it was not closed"
