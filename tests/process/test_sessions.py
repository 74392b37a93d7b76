"""Which session a request belongs to: the first valid one that it presents, else a new one."""

from __future__ import annotations

import json
import uuid

import pytest

import rows
from harness import Archon, wait_for
from wire import (
    JSON_HEADERS,
    LegacyClient,
    ModernClient,
    encoded,
    initialize,
    message,
    opened,
    send,
)

SESSIONS = "SELECT count(*) FROM archon_mcp_sessions"

# An id that is none of ours, by its form or because nobody issued it.
FOREIGN = {
    "unknown": str(uuid.UUID(int=7, version=4)),
    "malformed": "not-a-session",
    "empty": "",
    "hostile": "'; DROP TABLE archon_mcp_sessions; --",
    "long": "a" * 5_000,
}

foreign_ids = pytest.mark.parametrize("kind", FOREIGN)


def named(session: str) -> dict[str, str]:
    """The header that names a session."""
    return {"x-archon-session-id": session}


def test_a_legacy_request_belongs_to_the_session_that_its_header_names(start_archon):
    gateway = start_archon()
    first, second = LegacyClient.connect(gateway.url), LegacyClient.connect(gateway.url)
    assert first.session != second.session

    answer = first.call("session_info", headers=named(second.session))

    assert answer.session == second.session
    assert answer.handle == first.handle
    assert answer.result["structuredContent"]["session_id"] == second.session
    rows.expect_requests(gateway.db, [("initialize",)], "method", first.session)
    rows.expect_requests(gateway.db, [("initialize",), ("tools/call",)], "method", second.session)


def test_a_legacy_request_that_shows_only_a_name_reaches_no_connection(start_archon):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url)
    headers = {**JSON_HEADERS, **named(client.session), "mcp-protocol-version": client.version}
    answer = send(gateway.url, "POST", client.body("tools/list"), headers)
    assert (answer.status, answer.session, answer.handle) == (400, None, None)
    assert "send initialize first" in answer.error["message"]
    assert client.call("find_projects").session == client.session


def test_a_second_handshake_in_the_same_session_is_a_second_connection(start_archon):
    gateway = start_archon()
    first = LegacyClient.connect(gateway.url)
    second = LegacyClient.connect(gateway.url, headers=named(first.session))

    assert second.session == first.session
    assert second.handle != first.handle
    for client in (first, second):
        assert client.call("find_projects").session == first.session
    rows.expect(gateway.db, [(1,)], SESSIONS)
    rows.expect(
        gateway.db,
        [(2,)],
        "SELECT count(*) FROM archon_mcp_connections WHERE session_id = ? AND ended_at IS NULL",
        first.session,
    )


@foreign_ids
def test_a_handshake_with_a_foreign_id_gets_a_new_session_and_a_warning(start_archon, kind):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url, headers=named(FOREIGN[kind]))
    assert client.session != FOREIGN[kind]
    assert client.call("find_projects").session == client.session
    assert_warned(gateway, FOREIGN[kind])
    rows.expect(gateway.db, [(1,)], SESSIONS)


@pytest.mark.parametrize("kind", ["unknown", "malformed"])
def test_a_legacy_request_with_a_foreign_id_stays_in_its_session_with_a_warning(start_archon, kind):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url)
    answer = client.call("find_projects", headers=named(FOREIGN[kind]))
    assert answer.result
    assert answer.session == client.session
    assert_warned(gateway, FOREIGN[kind])


@foreign_ids
@pytest.mark.parametrize("place", ["header", "cookie"])
def test_a_modern_request_with_a_foreign_id_gets_a_new_session_and_a_warning(
    start_archon, kind, place
):
    gateway = start_archon()
    headers = named(FOREIGN[kind])
    if place == "cookie":
        headers = {"cookie": f"archon_session={FOREIGN[kind].replace(';', '')}"}
    answer = ModernClient(gateway.url).call("find_projects", headers=headers)
    assert answer.result
    assert answer.session and answer.session != FOREIGN[kind]
    assert answer.cookie.startswith(f"archon_session={answer.session}.")
    assert_warned(gateway, FOREIGN[kind])
    rows.expect_session(gateway.db, answer.session, era="modern", status="active")


def assert_warned(gateway: Archon, id: str) -> None:
    """Sees that the log says so; it does before the client is answered."""
    warnings = [line for line in gateway.log().splitlines() if "WARN" in line]
    assert [line for line in warnings if "session" in line and "invalid" in line], gateway.log()
    if id == FOREIGN["unknown"]:
        assert id in "".join(warnings)


def test_a_modern_client_is_known_by_its_cookie(start_archon):
    gateway = start_archon()
    client = ModernClient(gateway.url)
    first = client.call("find_projects")
    set_cookie = first.headers["set-cookie"]
    assert first.cookie.startswith(f"archon_session={first.session}.")
    assert "HttpOnly" in set_cookie and "SameSite=Strict" in set_cookie

    # Another name and another agent: only the cookie is the same.
    other = ModernClient(gateway.url, name="renamed", agent="other/2.0")
    again = other.call("find_projects", headers={"cookie": f"a=b; {first.cookie}; c=d"})

    assert again.session == first.session
    assert again.cookie is None
    rows.expect(gateway.db, [(1,)], SESSIONS)


def test_a_header_wins_over_a_cookie(start_archon):
    gateway = start_archon()
    one = ModernClient(gateway.url, name="one").call("find_projects")
    two = ModernClient(gateway.url, name="two").call("find_projects")
    assert one.session and one.session != two.session

    headers = {**named(one.session), "cookie": two.cookie}
    answer = ModernClient(gateway.url, name="three").call("find_projects", headers=headers)
    assert answer.session == one.session

    # A header that is none of ours does not stand in the cookie's way.
    headers = {**named(FOREIGN["unknown"]), "cookie": two.cookie}
    assert ModernClient(gateway.url).call("find_projects", headers=headers).session == two.session
    rows.expect(gateway.db, [(2,)], SESSIONS)


def test_a_client_without_a_handle_is_guessed_and_given_no_cookie_of_the_session(start_archon):
    gateway = start_archon()
    client = ModernClient(gateway.url)
    first = client.call("find_projects")
    guessed = [client.call("find_projects") for _ in range(3)]
    assert {answer.session for answer in guessed} == {first.session}
    # What it gets leads to sessions that are not there yet.
    tickets = {answer.cookie for answer in guessed}
    assert len(tickets) == 3 and all(tickets)
    assert not any(first.session in ticket for ticket in tickets)

    for other in (
        ModernClient(gateway.url, name="another client"),
        ModernClient(gateway.url, agent="another/1.0"),
    ):
        answer = other.call("find_projects")
        assert answer.session != first.session
        assert answer.cookie
    rows.expect(gateway.db, [(3,)], SESSIONS)


def test_nobody_is_guessed_to_be_a_client_that_showed_its_handle(start_archon):
    gateway = start_archon()
    client = ModernClient(gateway.url)
    first = client.call("find_projects")

    # The first requests of a client may cross, so it takes a moment.
    def is_another():
        held = client.call("find_projects", headers={"cookie": first.cookie})
        assert held.session == first.session
        return client.call("find_projects").session != first.session

    wait_for("nobody is guessed to be it", is_another)


def test_looking_does_not_make_a_session(start_archon):
    gateway = start_archon()
    answer = ModernClient(gateway.url).request("server/discover")
    assert "2026-07-28" in answer.result["supportedVersions"]
    assert (answer.session, answer.cookie) == (None, None)
    assert rows.query(gateway.db, SESSIONS) == [(0,)]


def test_every_answer_names_the_session(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    client = LegacyClient.connect(gateway.url)
    answers = [
        client.call("fail"),
        client.call("no_such_tool"),
        client.request("no/such/method"),
        send(
            gateway.url, "POST", encoded(message("notifications/x", None, None)), client.headers()
        ),
    ]
    with opened(gateway.url, "GET", b"", client.headers()) as stream:
        assert stream.status == 200
        assert stream.headers["x-archon-session-id"] == client.session
    assert [answer.session for answer in (*answers, client.end())] == [client.session] * 5


def test_a_session_is_made_lazily(start_archon):
    gateway = start_archon()
    assert send(gateway.url, "GET").status == 400
    assert send(gateway.url, "DELETE").status == 400
    assert ModernClient(gateway.url).request("server/discover").status == 200
    assert rows.query(gateway.db, SESSIONS) == [(0,)]

    LegacyClient.connect(gateway.url)
    assert rows.query(gateway.db, SESSIONS) == [(1,)]


def test_a_session_is_stored_before_its_client_hears_of_it(start_archon):
    gateway = start_archon()
    for number in range(20):
        answer = send(gateway.url, "POST", encoded(initialize(name=f"c{number}")), JSON_HEADERS)
        stored = "SELECT client_type FROM archon_mcp_sessions WHERE session_id = ?"
        assert rows.query(gateway.db, stored, answer.session) == [(f"c{number}",)]


def test_what_a_client_says_of_itself_is_kept_as_it_is(start_archon):
    gateway = start_archon()
    capabilities = {"sampling": {}, "x": {"deep": [1, 2.50, None]}}
    body = encoded(initialize(name="Cursor 1.2", capabilities=capabilities))
    session = send(gateway.url, "POST", body, JSON_HEADERS).session
    rows.expect_session(
        gateway.db, session, client_type="Cursor", client_name="Cursor 1.2", principal="anonymous"
    )
    [(stored,)] = rows.query(
        gateway.db,
        "SELECT client_capabilities FROM archon_mcp_sessions WHERE session_id = ?",
        session,
    )
    assert json.loads(stored) == capabilities


def test_a_client_name_cannot_forge_a_log_line(start_archon):
    gateway = start_archon()
    LegacyClient.connect(gateway.url, name="evil\n2026-01-01T00:00:00Z ERROR forged \x1b[31m")
    assert gateway.log().count("forged") >= 1
    assert not [line for line in gateway.log().splitlines() if line.startswith("2026-01-01T00")]
    assert "\x1b" not in gateway.log()
