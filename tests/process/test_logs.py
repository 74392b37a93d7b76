"""Log lines: what they say of sessions, as JSON for programs and as text for people."""

from __future__ import annotations

import json
from typing import Any

import pytest

import rows
from harness import Archon
from wire import LegacyClient, ModernClient

UNKNOWN = "7d4f9e1c-0000-4000-8000-000000000000"


def json_lines(gateway: Archon) -> list[dict[str, Any]]:
    """The log's lines; what is printed at the start stands apart from them."""
    return [json.loads(line) for line in gateway.log().splitlines() if line.startswith("{")]


def live(gateway: Archon) -> str:
    """Lets a session be created, reused, mistaken and cleaned up; returns its id."""
    client = LegacyClient.connect(gateway.url)
    LegacyClient.connect(gateway.url, headers={"x-archon-session-id": client.session}).end()
    LegacyClient.connect(gateway.url, headers={"x-archon-session-id": UNKNOWN}).end()
    client.end()
    client.call("find_projects")
    return client.session


def test_json_lines_name_the_session_that_they_are_about(start_archon, config):
    idle = {"idle_timeout_seconds": 1, "reap_every_seconds": 0.2}
    gateway = start_archon("--log-format", "json", *config(sessions=idle))
    session = live(gateway)
    silent = ModernClient(gateway.url).call("find_projects").session
    rows.expect_session(gateway.db, silent, disconnect_reason="timeout_no_activity")

    lines = json_lines(gateway)
    for line in lines:
        assert {"timestamp", "level", "message"} <= set(line)
        assert line["timestamp"].endswith("Z")

    def about(word, id):
        return [x for x in lines if word in x["message"] and x.get("session_id") == id]

    [created] = about("created", session)
    assert (created["level"], created["client"], created["era"]) == ("INFO", "raw client", "legacy")
    assert session in created["message"]
    # Once of each kind of proof.
    reused = about("Reusing valid session", session)
    assert reused and {line["level"] for line in reused} == {"INFO"}
    [invalid] = about("invalid", UNKNOWN)
    assert invalid["level"] == "WARN"
    [cleaned_up] = about("cleaned up", session)
    assert cleaned_up["reason"] == "client_disconnect"
    assert about("cleaned up", silent)[0]["reason"] == "timeout_no_activity"
    assert [x for x in lines if "Recovered 0 active sessions" in x["message"]]


def test_text_lines_say_the_same_without_colours(start_archon):
    gateway = start_archon("--log-format", "text")
    session = live(gateway)
    log = gateway.log()
    for said in (
        f"session {session} created",
        f"Reusing valid session: {session}",
        f"session {session} cleaned up",
        "Starting background session cleanup (interval: 60s)",
    ):
        assert [line for line in log.splitlines() if said in line], said
    assert [line for line in log.splitlines() if UNKNOWN in line and "WARN" in line]
    assert "\x1b" not in log


@pytest.mark.parametrize("how", ["flag", "environment", "file"])
def test_the_format_can_be_chosen_in_three_places(start_archon, config, how):
    gateway = {
        "flag": lambda: start_archon("--log-format", "json"),
        "environment": lambda: start_archon(env={"ARCHON_LOG_FORMAT": "json"}),
        "file": lambda: start_archon(*config(log={"format": "json"})),
    }[how]()
    assert json_lines(gateway)


def test_what_is_no_news_is_not_logged(start_archon):
    gateway = start_archon()
    legacy, modern = LegacyClient.connect(gateway.url), ModernClient(gateway.url)
    cookie = {"cookie": modern.call("find_projects").cookie}
    for _ in range(20):
        legacy.call("find_projects")
        session = modern.call("find_projects", headers=cookie).session
    # That a session is gone on with is said once of each kind of proof.
    for id in (legacy.session, session):
        assert gateway.log().count(f"Reusing valid session: {id}") == 1

    gateway.restart()
    for _ in range(20):
        legacy.call("find_projects")
    assert gateway.log().count(f"Reusing valid session: {legacy.session}") == 2, "once of each process"


def test_what_clients_send_stays_out_of_the_log(start_archon):
    gateway = start_archon(env={"ARCHON_LOG": "warn,archon=trace,archon_sessions=trace"})
    client = LegacyClient.connect(gateway.url)
    headers = {"authorization": "Bearer s3cret-token", "cookie": "other=s3cret-cookie"}
    client.call("find_projects", {"query": "s3cret-argument"}, headers)
    ModernClient(gateway.url).call("find_projects", {"query": "s3cret-argument"}, headers)
    log = gateway.log()
    assert "s3cret" not in log
    # A handle is as good as the session itself.
    assert client.handle not in log
