"""The streams on which a server speaks to legacy clients by itself."""

from __future__ import annotations

import pytest

from wire import LegacyClient, encoded, message, next_message, opened, send

# How long to wait for an event that may never come.
QUIET_S = 5


@pytest.fixture
def upstream(start_fixture):
    return start_fixture()


@pytest.fixture
def gateway(start_archon, upstream):
    return start_archon(upstream=upstream)


def test_what_the_server_says_by_itself_comes_on_the_open_stream(gateway):
    client = LegacyClient.connect(gateway.url)
    with opened(gateway.url, "GET", b"", client.headers(), QUIET_S) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        client.text("log", text="first")
        client.text("log", text="second")
        assert "first" in next_message(stream)[1]
        assert "second" in next_message(stream)[1]


def test_what_cannot_be_passed_on_is_refused_by_its_status(gateway, upstream):
    # MCP 2025-11-25, Transports: a GET is answered with events or an HTTP error, and a
    # notification that is not accepted with an HTTP error.
    client = LegacyClient.connect(gateway.url)
    upstream.kill()
    note = encoded(message("notifications/roots/list_changed", None, None))
    assert send(gateway.url, "POST", note, client.headers()).status >= 400
    assert send(gateway.url, "GET", b"", client.headers()).status >= 400
