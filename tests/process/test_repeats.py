"""Calls whose answer was lost with the upstream, and when they are sent again."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import rows
from harness import wait_for
from wire import LegacyClient, ModernClient

ERAS = ["legacy", "modern"]


def connect(era: str, url: str) -> Any:
    return LegacyClient.connect(url) if era == "legacy" else ModernClient(url)


class Call(threading.Thread):
    """A call on its way."""

    def __init__(self, client: Any, tool: str, **arguments: Any):
        super().__init__()
        self.send = lambda: client.call(tool, arguments)
        self.start()

    def run(self) -> None:
        self.answer = self.send()

    def ended(self) -> Any:
        self.join(60)
        return self.answer


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "journal"


@pytest.fixture
def upstream(start_fixture, journal):
    return start_fixture("--journal", str(journal))


def begun(journal):
    """How often a call began at the upstream."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return sum("start" in line for line in lines)


# Which calls these are, and how often they are sent again, is in Rust: beside `gateway/repeats.rs`, and in the layer's
# tests.
@pytest.mark.parametrize("era", ERAS)
def test_a_call_that_may_be_repeated_is_sent_again(start_archon, upstream, journal, config, era):
    settings = {"url": upstream.url, "trust_annotations": True}
    gateway = start_archon(*config(**{"upstreams.fixture": settings}))
    client = connect(era, gateway.url)
    client.text("echo", text="the tools are known")
    before = begun(journal)
    call = Call(client, "count_read_only", key="k", ms=1000)
    wait_for("the call is running", lambda: begun(journal) > before)
    upstream.kill()
    upstream.restart()

    assert "result" in call.ended().message
    assert begun(journal) - before == 2
    query = "SELECT status, count(*) FROM archon_mcp_requests WHERE tool_name = ? GROUP BY 1"
    rows.expect(gateway.db, [("success", 1)], query, "count_read_only")


@pytest.mark.parametrize("era", ERAS)
def test_a_call_waits_for_an_upstream_that_restarts(start_archon, upstream, era):
    gateway = start_archon(upstream=upstream)
    client = connect(era, gateway.url)
    client.text("echo", text="it is there")
    upstream.kill()
    call = Call(client, "echo", text="hello")
    call.join(1)
    assert call.is_alive(), "nothing was sent yet, so waiting is safe"
    upstream.restart()
    assert call.ended().text == "hello"
    rows.expect_counts(gateway.db, {"echo": 2}, "tool_name")


def test_a_call_does_not_wait_for_an_upstream_that_is_gone(start_archon, upstream, config):
    settings = {"url": upstream.url, "restart_grace_seconds": 0.2}
    gateway = start_archon(*config(**{"upstreams.fixture": settings}))
    client = LegacyClient.connect(gateway.url)
    upstream.kill()
    for _ in range(3):
        assert client.call("echo", {"text": "hello"}).error["code"] == -31001
