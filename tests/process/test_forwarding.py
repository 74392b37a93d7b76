"""What of a client's headers an upstream sees."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from issuer import Issuer
from wire import LegacyClient, ModernClient

pytestmark = pytest.mark.timeout(60)

# What a client might send along; Python's HTTP library says nothing of these by itself.
SENT = {
    "x-tenant": "t",
    "x-other": "o",
    "x-api-key": "for somebody else",
    "cookie": "a=b",
    "x-archon-principal": "root",
    "x_archon_principal": "root",
    "connection": "x-hop",
    "x-hop": "1",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer("ES256") as issuer:
        yield issuer


@pytest.fixture
def seen_by_upstream(start_fixture, start_archon, config):
    """Starts both, and returns what the upstream sees of a client of each era."""

    def seen(auth: dict[str, Any], env: dict[str, str] | None = None, **upstream: Any) -> Any:
        server = start_fixture("--any-host")
        keys = {"[auth.api_keys]": auth.pop("key")} if "key" in auth else {}
        tables = {"auth": auth, **keys, "upstreams.main": {"url": server.url, **upstream}}
        gateway = start_archon(*config(**tables), env=env)

        def of(credentials: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
            legacy = LegacyClient.connect(gateway.url, credentials=credentials)
            by_legacy = legacy.call("headers", headers=SENT).text
            # The handshake that the gateway does in the client's place is its client's, too.
            server.restart()
            again = legacy.call("headers", headers=SENT).text
            assert _plain(again) == _plain(by_legacy)
            modern = ModernClient(gateway.url).call("headers", headers={**credentials, **SENT})
            return _plain(by_legacy), _plain(modern.text)

        of.gateway = gateway
        return of

    return seen


def _plain(text: str) -> dict[str, str]:
    headers = json.loads(text)
    names = {*SENT, "authorization", "x-user"}
    return {name: values[0] for name, values in headers.items() if name in names}


def test_without_authentication_all_goes_on_but_what_is_ours(seen_by_upstream):
    expected = {name: SENT[name] for name in ("x-tenant", "x-other", "x-api-key", "traceparent")}
    for seen in seen_by_upstream({})({"authorization": "Bearer for somebody else"}):
        assert seen == expected


def test_no_credential_goes_on_by_itself(seen_by_upstream, issuer):
    of = seen_by_upstream({"issuer": issuer.url, "audience": "tools"})
    token = issuer.token("ada", "tools")
    for seen in of({"authorization": f"Bearer {token}"}):
        assert seen.keys() == {"x-tenant", "x-other", "traceparent"}
    assert token not in of.gateway.log()


def test_what_is_chosen_goes_on(seen_by_upstream, issuer):
    of = seen_by_upstream(
        {"issuer": issuer.url, "audience": "tools"},
        {"THEIR_TOKEN": "s3cret-of-the-upstream"},
        forward_headers=["X-Tenant", "x-api-key"],
        bearer_env="THEIR_TOKEN",
        identity_header="X-Archon-Principal",
    )
    for seen in of({"authorization": f"Bearer {issuer.token('ada', 'tools')}"}):
        assert seen == {
            "x-tenant": "t",
            "x-api-key": SENT["x-api-key"],
            "authorization": "Bearer s3cret-of-the-upstream",
            "x-archon-principal": f"{issuer.url}#ada",
            "traceparent": SENT["traceparent"],
        }
    assert "s3cret" not in of.gateway.log()


def test_a_token_goes_on_where_that_is_said(seen_by_upstream, issuer):
    auth = {"issuer": issuer.url, "audience": "tools"}
    of = seen_by_upstream(auth, forward_authorization=True, forward_headers=[])
    credentials = {"authorization": f"Bearer {issuer.token('ada', 'tools')}"}
    for seen in of(credentials):
        assert seen == {**credentials, "traceparent": SENT["traceparent"]}


def test_a_key_of_the_gateways_own_goes_nowhere(seen_by_upstream):
    key = secrets.token_hex(32)
    robot = {"name": "robot", "sha256": hashlib.sha256(key.encode()).hexdigest()}
    of = seen_by_upstream({"key": robot}, forward_authorization=True, identity_header="x-user")
    for seen in of({"authorization": f"Bearer {key}"}):
        assert "authorization" not in seen and seen["x-user"] == "api-key#robot"


def test_an_upstream_may_ask_who_it_is_itself(start_archon, config, issuer):
    auth = {"issuer": issuer.url, "audience": "tools"}
    behind = start_archon(*config(auth=auth))
    front = start_archon(
        *config(**{"upstreams.main": {"url": behind.url, "forward_authorization": True}})
    )
    # Whoever may not ask which era it speaks does not make others believe that it speaks none.
    for _ in range(2):
        assert ModernClient(front.url).call("find_projects").status == 401
    good = {"authorization": f"Bearer {issuer.token('ada', 'tools')}"}
    assert ModernClient(front.url).call("find_projects", headers=good).result
    assert LegacyClient.connect(front.url, credentials=good).call("find_projects").result
