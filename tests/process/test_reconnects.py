"""A client that has its session back by a token: what it gets, what it may not, and what is seen of it."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import rows
from harness import Archon, wait_for
from wire import KeepingClient, LegacyClient, ModernClient, encoded, message, send

ERAS = ["legacy", "modern"]
UNKNOWN = "11111111-2222-4333-8444-555555555555"
SECRET = "a secret of the tests, long enough"


def connect(era: str, gateway: Archon, name: str = "raw client") -> Any:
    """A client that has a session."""
    if era == "legacy":
        return LegacyClient.connect(gateway.url, name=name)
    return KeepingClient(gateway.url, name)


def content(answer: Any) -> dict[str, Any]:
    """What a tool says, in both of its forms."""
    assert json.loads(answer.text) == answer.result["structuredContent"]
    return answer.result["structuredContent"]


def token_of(client: Any) -> tuple[str, str]:
    """A client's session, and a token for it."""
    issued = content(client.call("get_reconnect_token"))
    assert issued["expires_in_minutes"] == 15
    return issued["session_id"], issued["reconnect_token"]


def reconnect(client: Any, session: str, token: str) -> Any:
    """Shows a token."""
    return client.call(
        "reconnect_session", {"session_id": session, "reconnect_token": token}
    )


def refusal(client: Any, session: str, token: str) -> str:
    """Why that does not help."""
    answer = reconnect(client, session, token)
    said = content(answer)
    assert answer.result["isError"] is True
    assert said["success"] is False and "reconnect_token" not in said
    return said["reason"]


def attempts(gateway: Archon) -> list[str]:
    """How all attempts ended, in the order in which they were made."""
    sql = "SELECT result FROM archon_mcp_reconnect_attempts ORDER BY id"
    return [result for (result,) in rows.query(gateway.db, sql)]


def shows_no(secret: str, gateway: Archon) -> None:
    """Nothing that is kept or logged holds this text."""
    assert secret not in gateway.log()
    parts = [gateway.db, *gateway.db.parent.glob(f"{gateway.db.name}-*")]
    for part in parts:
        assert secret.encode() not in part.read_bytes(), part


@pytest.mark.parametrize("era", ERAS)
def test_a_client_has_its_session_back_and_goes_on_in_it(start_archon, era):
    gateway = start_archon(env={"ARCHON_LOG": "debug"})
    first = connect(era, gateway)
    session, token = token_of(first)
    again = connect(era, gateway, "its next process")
    meanwhile = again.call("session_info").session
    assert meanwhile != session

    answer = reconnect(again, session, token)

    said = content(answer)
    assert (said["success"], said["reason"], said["session_id"]) == (True, "reconnected", session)
    assert (answer.session, said["reconnect_count"]) == (session, 1)
    later = again.call("session_info")
    assert later.session == session
    assert content(later)["reconnect_count"] == 1
    # What it had meanwhile is over, and its connection is not.
    rows.expect_session(
        gateway.db, meanwhile, status="disconnected", disconnect_reason="client_disconnect"
    )
    rows.expect_session(gateway.db, session, status="active", reconnect_count=1)
    if era == "legacy":
        assert answer.handle == later.handle == again.handle
        owner = "SELECT session_id, ended_at FROM archon_mcp_connections WHERE handle = ?"
        rows.expect(gateway.db, [(session, None)], owner, again.handle)
    # The first connection is good still; the token is not, and the next one is.
    assert first.call("session_info").session == session
    assert refusal(again, session, token) == "token_mismatch"
    said = content(reconnect(again, session, said["reconnect_token"]))
    assert said["reconnect_count"] == 2
    assert refusal(again, session, "x" + token) == "invalid_token"

    results = ["reconnected", "token_mismatch", "reconnected", "invalid_token"]
    wait_for("the attempts are written", lambda: attempts(gateway) == results)
    for text in (token, said["reconnect_token"], token.split(".")[2]):
        shows_no(text, gateway)
    assert f"session {session} reconnected, 2 times by now" in gateway.log()
    hashes = f"SELECT length(reconnect_token_hash) FROM archon_mcp_sessions WHERE session_id = ?"
    assert rows.query(gateway.db, hashes, session) == [(64,)]


def test_a_session_that_has_another_connection_goes_on_beside(start_archon):
    gateway = start_archon()
    session, token = token_of(connect("legacy", gateway))
    one = connect("legacy", gateway)
    other = LegacyClient.connect(gateway.url, headers={"x-archon-session-id": one.session})
    assert other.session == one.session

    assert reconnect(one, session, token).session == session

    assert other.call("session_info").session == other.session
    rows.expect_session(gateway.db, other.session, status="active")


def test_each_refusal_has_its_word_and_no_effect(start_archon):
    gateway = start_archon()
    owner, stranger = connect("legacy", gateway), connect("legacy", gateway)
    session, token = token_of(owner)
    ended = connect("legacy", gateway)
    its_session, its_token = token_of(ended)
    assert ended.end().status == 200
    newest = token_of(owner)[1]

    assert refusal(stranger, UNKNOWN, newest) == "session_not_found"
    assert refusal(stranger, its_session, its_token) == "session_already_disconnected"
    assert refusal(stranger, session, "no token") == "invalid_token"
    assert refusal(stranger, session, its_token) == "session_id_mismatch"
    assert refusal(stranger, session, token) == "token_mismatch"
    for arguments in ({}, {"session_id": session}, {"session_id": 7, "reconnect_token": newest},
                      {"session_id": "no uuid", "reconnect_token": newest}):
        answer = stranger.call("reconnect_session", arguments)
        assert answer.result["isError"] and newest not in str(answer.message)
    assert stranger.call("session_info").session == stranger.session
    rows.expect_session(gateway.db, session, status="active", reconnect_count=0)

    assert reconnect(stranger, session, newest).session == session
    shows_no(newest, gateway)


def test_a_token_that_is_too_old_is_refused(start_archon, config):
    gateway = start_archon(*config(sessions={"reconnect_token_minutes": 0.02, "reconnects_per_minute": 0}))
    client = connect("legacy", gateway)
    issued = content(client.call("get_reconnect_token"))
    session, token = issued["session_id"], issued["reconnect_token"]

    def is_expired() -> bool:
        reason = content(reconnect(client, session, token))["reason"]
        return reason == "token_expired"

    # It is good at first, so each try that helps brings another token.
    wait_for("it is expired", is_expired, 30)


def test_a_bad_token_is_tried_so_often_and_keeps_no_good_one_out(start_archon, config):
    gateway = start_archon(*config(sessions={"reconnects_per_minute": 3}))
    client = connect("legacy", gateway)
    session, token = token_of(client)
    for _ in range(3):
        assert refusal(client, session, "no token") == "invalid_token"
    answer = content(reconnect(client, session, "no token"))
    assert answer["reason"] == "rate_limited" and 1 <= answer["retry_after_seconds"] <= 20
    assert content(reconnect(client, session, token))["success"]
    results = ["invalid_token"] * 3 + ["rate_limited", "reconnected"]
    wait_for("the attempts are written", lambda: attempts(gateway) == results)


def test_a_session_that_was_guessed_gives_no_token(start_archon):
    gateway = start_archon()
    first = ModernClient(gateway.url)
    session = first.call("session_info").session
    again = first.call("get_reconnect_token")
    assert again.session == session
    assert (again.result["isError"], content(again)["reason"]) == (True, "not_proven")
    # Its id is in lists and logs, and shows nothing either.
    named = first.call("get_reconnect_token", headers={"x-archon-session-id": session})
    assert named.session == session
    assert (named.result["isError"], content(named)["reason"]) == (True, "not_proven")
    other = LegacyClient.connect(gateway.url, headers={"x-archon-session-id": session})
    assert other.session == session
    assert content(other.call("get_reconnect_token"))["reason"] == "not_proven"
    assert other.end().status == 200
    rows.expect_session(gateway.db, session, status="active")


def test_no_token_in_a_batch(start_archon):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url, version="2025-03-26")
    calls = [
        message("tools/call", {"name": "get_reconnect_token", "arguments": {}}, 1),
        message("tools/call", {"name": "heartbeat", "arguments": {}}, 2),
    ]
    answer = send(gateway.url, "POST", encoded(calls), client.headers())
    answers = {m["id"]: m["result"] for m in answer.messages if "result" in m}
    assert answers[1]["isError"] and "reconnect_token" not in answers[1]["structuredContent"]
    assert answers[2]["structuredContent"]["success"]


@pytest.mark.parametrize("secret", [None, SECRET], ids=["stored", "configured"])
def test_a_token_survives_a_crash(start_archon, secret):
    gateway = start_archon(env={"MCP_SESSION_SECRET": secret} if secret else {})
    client = connect("legacy", gateway)
    session, token = token_of(client)
    token = content(reconnect(client, session, token))["reconnect_token"]
    gateway.kill()
    gateway.restart()
    said = content(reconnect(connect("legacy", gateway), session, token))
    assert (said["session_id"], said["reconnect_count"]) == (session, 2)
    keys = rows.query(gateway.db, "SELECT count(*) FROM archon_mcp_keys WHERE name = 'reconnect-token'")
    assert keys == [(0 if secret else 1,)]
    if secret:
        shows_no(secret, gateway)


def test_a_crash_leaves_no_reconnect_and_no_end_half_done(start_archon, config):
    """Clients reconnect and leave, as fast as they can, until the gateway is killed."""
    gateway = start_archon(*config(sessions={"reconnects_per_minute": 0}))
    clients = [connect("legacy", gateway) for _ in range(4)]
    leaving = [connect("legacy", gateway) for _ in range(40)]
    known = {client.session: [token_of(client)[1]] for client in clients}
    done = {session: 0 for session in known}
    has_begun = threading.Barrier(6)

    def go_on(client: LegacyClient) -> None:
        has_begun.wait()
        for _ in range(1000):
            try:
                answer = reconnect(client, client.session, known[client.session][-1])
            except (OSError, ValueError):
                return
            said = content(answer)
            assert said["success"], said
            known[client.session].append(said["reconnect_token"])
            done[client.session] = said["reconnect_count"]

    def leave() -> list[LegacyClient]:
        has_begun.wait()
        left = []
        for client in leaving:
            try:
                assert client.end().status == 200
            except OSError:
                break
            left.append(client)
        return left

    with ThreadPoolExecutor(6) as pool:
        going = [pool.submit(go_on, client) for client in clients]
        left = pool.submit(leave)
        has_begun.wait()
        wait_for("all have reconnected", lambda: all(count > 2 for count in done.values()))
        gateway.kill()
        for one in going:
            one.result()
    gateway.restart()

    for client in clients:
        session = client.session
        sql = "SELECT reconnect_count, status FROM archon_mcp_sessions WHERE session_id = ?"
        [(count, status)] = rows.query(gateway.db, sql, session)
        # One may have been done whose answer was lost.
        assert status == "active" and count - done[session] in (0, 1)
        said = content(reconnect(client, session, known[session][-1]))
        assert said["success"] == (count == done[session]), said
        # Whatever became of its token, it can have another.
        assert content(reconnect(client, *token_of(client)))["success"]
    for client in left.result():
        rows.expect_session(
            gateway.db,
            client.session,
            status="disconnected",
            disconnect_reason="client_disconnect",
            **{"disconnected_at IS NOT NULL": 1, "total_duration IS NOT NULL": 1},
        )
        assert client.call("heartbeat").status == 404
    half = "SELECT count(*) FROM archon_mcp_sessions WHERE (status = 'active') <> (disconnected_at IS NULL)"
    assert rows.query(gateway.db, half) == [(0,)]
