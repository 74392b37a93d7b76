"""What a client without cookies shows to be itself: a key that its configuration sends with each request."""

from __future__ import annotations

import pytest

import rows
from harness import fixture_command
from wire import KeepingClient, LegacyClient, ModernClient

KEY = {"x-archon-client-key": "0123456789abcdef0123456789abcdef"}
OTHER = {"x-archon-client-key": "fedcba9876543210fedcba9876543210"}


@pytest.fixture
def gateway(start_archon):
    """In front of a server that keeps state and speaks the legacy era, on standard input."""
    return start_archon(upstream=fixture_command("--legacy-only"))


def counts(gateway, headers: dict[str, str] | None = None) -> list[str]:
    """What a server that counts calls says to three of them."""
    client = ModernClient(gateway.url)
    return [client.call("count", {"key": "x"}, headers).text for _ in range(3)]


def test_a_modern_client_with_a_key_keeps_its_state(gateway):
    first = counts(gateway, KEY)
    assert len(set(first)) == 3, "each call sees the one before"
    # Started again, it goes on; another key, and none at all, are others.
    again = counts(gateway, KEY)
    assert len({*first, *again}) == 6
    assert counts(gateway, OTHER) == first
    assert counts(gateway)[0] == first[0]
    assert counts(gateway, KEY)[0] not in {*first, *again}


def test_a_key_finds_its_session_after_a_crash(gateway):
    client = ModernClient(gateway.url)
    before = client.call("echo", {"text": "1"}, KEY).session
    gateway.kill()
    gateway.restart()
    assert client.call("echo", {"text": "2"}, KEY).session == before
    assert client.call("echo", {"text": "3"}).session != before
    # It is nowhere: not in the log, and in the database as a digest.
    assert KEY["x-archon-client-key"] not in gateway.log()
    stored = rows.query(gateway.db, "SELECT client_key_hash FROM archon_mcp_sessions")
    assert all(KEY["x-archon-client-key"] not in str(row) for row in stored)


def test_handshakes_with_a_key_share_a_session(gateway):
    one = LegacyClient.connect(gateway.url, credentials=KEY)
    two = LegacyClient.connect(gateway.url, credentials=KEY)
    assert one.session == two.session and one.handle != two.handle
    # Each has a child of its own.
    assert one.text("count", key="x") == two.text("count", key="x")


def test_a_client_that_looks_like_another_gets_a_cookie_of_its_own(gateway):
    # The first one keeps none, as most agents: whoever comes next looks the same.
    ModernClient(gateway.url).call("echo", {"text": "1"})
    seen = []
    for _ in range(2):
        client = KeepingClient(gateway.url)
        client.call("echo", {"text": "2"})
        seen.append([client.call("count", {"key": "x"}).text for _ in range(3)])
    assert len(set(seen[0])) == 3 and seen[1] == seen[0]
