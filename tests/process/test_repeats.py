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


@pytest.fixture
def start(start_archon, upstream, config):
    def start(is_trusted):
        settings = {"url": upstream.url, "trust_annotations": is_trusted}
        return start_archon(*config(**{"upstreams.fixture": settings}))

    return start


def begun(journal):
    """How often a call began at the upstream."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return sum("start" in line for line in lines)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("tool", "is_trusted", "times"),
    [("count_read_only", True, 2), ("count_read_only", False, 1), ("count", True, 1)],
)
def test_only_a_call_that_may_be_repeated_is_sent_again(
    start, upstream, journal, era, tool, is_trusted, times
):
    gateway = start(is_trusted)
    client = connect(era, gateway.url)
    client.text("echo", text="the tools are known")
    before = begun(journal)
    call = Call(client, tool, key="k", ms=1000)
    wait_for("the call is running", lambda: begun(journal) > before)
    upstream.kill()
    upstream.restart()

    answer = call.ended()

    assert begun(journal) - before == times
    if times == 1:
        assert answer.error["code"] == -31002
    else:
        assert "result" in answer.message
    rows.expect(
        gateway.db,
        [("error" if times == 1 else "success", 1)],
        "SELECT status, count(*) FROM archon_mcp_requests WHERE tool_name = ? GROUP BY 1",
        tool,
    )


@pytest.mark.parametrize("era", ERAS)
def test_a_call_that_ends_its_server_does_not_go_round_for_ever(start, upstream, journal, era):
    gateway = start(True)
    client = connect(era, gateway.url)
    client.text("echo", text="the tools are known")
    before = begun(journal)
    call = Call(client, "count_read_only", key="k", ms=1000)
    for n in range(1, 4):
        wait_for("the call is running", lambda n=n: begun(journal) - before == n)
        upstream.kill()
        upstream.restart()
        if n == 3:
            break
    assert call.ended().error["code"] in (-31001, -31002)
    assert begun(journal) - before == 3


@pytest.mark.parametrize("era", ERAS)
def test_a_call_waits_for_an_upstream_that_restarts(start, upstream, era):
    gateway = start(False)
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
