"""What the API does to sessions: ends, heartbeats, reconnect tokens."""

from __future__ import annotations

import uuid

import pytest

import rows
from api import Api
from harness import Archon
from wire import LegacyClient, ModernClient

pytestmark = pytest.mark.timeout(180)

databases = pytest.mark.parametrize("database", ["sqlite", "postgres"])


@pytest.fixture
def start(start_archon, request):
    """Starts a gateway on a database."""

    def start(database: str = "sqlite") -> tuple[Archon, Api]:
        env = {}
        if database == "postgres":
            env["DATABASE_URL"] = request.getfixturevalue("postgres").url
        gateway = start_archon(env=env)
        return gateway, Api(gateway.api_url)

    return start


def named(session: str) -> dict[str, str]:
    """The header that shows a session's handle."""
    return {"x-archon-session-id": session}


@databases
def test_an_operator_ends_a_session_once(start, database):
    gateway, api = start(database)
    client = LegacyClient.connect(gateway.url)

    said = api.ask("DELETE", f"/sessions/{client.session}")

    assert said.status == 200
    assert said.json["disconnect_reason"] == "operator" and said.json["total_duration"] >= 0
    session = api.get(f"/sessions/{client.session}")["session"]
    assert (session["status"], session["disconnect_reason"]) == ("disconnected", "operator")
    assert client.call("session_info").status == 404
    again = api.ask("DELETE", f"/sessions/{client.session}")
    assert (again.status, again.code) == (409, "session_already_ended")


@databases
def test_an_end_that_was_answered_outlives_a_crash(start, database):
    gateway, api = start(database)
    clients = [LegacyClient.connect(gateway.url) for _ in range(10)]

    for client in clients:
        assert api.ask("DELETE", f"/sessions/{client.session}").status == 200
    gateway.kill()
    gateway.restart()

    api = Api(gateway.api_url)
    assert api.get("/sessions?status=active")["total"] == 0
    for client in clients:
        assert client.call("session_info").status == 404


@pytest.mark.parametrize("reason", ["operator", "client_disconnect", "error", "server_shutdown"])
def test_a_session_ends_for_the_reason_that_was_given(start, reason):
    gateway, api = start()
    client = LegacyClient.connect(gateway.url)
    said = api.ask("POST", f"/sessions/{client.session}/disconnect", {"reason": reason})
    assert said.status == 200 and said.json["disconnect_reason"] == reason
    ends = "SELECT status, disconnect_reason FROM archon_mcp_sessions WHERE session_id = ?"
    rows.expect(gateway.db, [("disconnected", reason)], ends, client.session)


def test_a_reason_may_be_left_out_but_not_made_up(start):
    gateway, api = start()
    client = LegacyClient.connect(gateway.url)
    path = f"/sessions/{client.session}/disconnect"
    said = api.ask("POST", path, {"reason": "because"})
    assert (said.status, said.code) == (422, "invalid_body") and "reason" in said.json["detail"]
    assert client.call("session_info").status == 200
    assert api.ask("POST", path, {}).json["disconnect_reason"] == "operator"


@databases
def test_a_heartbeat_is_a_sign_of_life(start, database):
    gateway, api = start(database)
    client = LegacyClient.connect(gateway.url)
    before = api.get(f"/sessions/{client.session}")["session"]
    said = api.ask("POST", f"/sessions/{client.session}/heartbeat", headers=named(client.session))
    assert said.status == 200 and said.json["success"]
    assert said.json["last_activity"] > before["last_activity"]
    assert said.json["expires_at"] > before["expires_at"]
    # At once, though it is written a little later.
    after = api.get(f"/sessions/{client.session}")["session"]
    assert after["last_activity"] >= said.json["last_activity"]
    api.ask("DELETE", f"/sessions/{client.session}")
    late = api.ask("POST", f"/sessions/{client.session}/heartbeat")
    assert (late.status, late.code) == (409, "session_not_active")


@databases
def test_a_token_gives_a_session_back_once(start, database):
    gateway, api = start(database)
    session = ModernClient(gateway.url).call("session_info").session
    issued = api.ask("GET", f"/sessions/{session}/token", headers=named(session))
    assert issued.status == 200 and issued.json["expires_in_minutes"] == 15
    token = issued.json["reconnect_token"]

    back = api.ask("POST", f"/sessions/{session}/reconnect", {"token": token})
    assert back.status == 200
    assert back.json["success"] and back.json["session_id"] == session
    assert back.json["reconnect_count"] == 1 and back.json["message"]
    assert back.json["reconnect_token"] != token
    assert api.get(f"/sessions/{session}")["session"]["reconnect_count"] == 1

    again = api.ask("POST", f"/sessions/{session}/reconnect", {"token": token})
    assert again.status == 401
    assert again.json["detail"] == "Reconnection failed: token_mismatch"
    assert token not in gateway.log()


def test_a_token_that_is_none_is_refused_with_the_reason(start):
    gateway, api = start()
    first, second = (LegacyClient.connect(gateway.url).session for _ in range(2))
    token = api.get(f"/sessions/{first}/token")["reconnect_token"]
    unknown = str(uuid.UUID(int=7, version=4))
    for session, shown, reason in [
        (first, "nonsense", "invalid_token"),
        (second, token, "session_id_mismatch"),
        (unknown, token, "session_not_found"),
    ]:
        said = api.ask("POST", f"/sessions/{session}/reconnect", {"token": shown})
        assert said.status == 401, said.body
        assert said.json["detail"] == f"Reconnection failed: {reason}"
    api.ask("DELETE", f"/sessions/{first}")
    said = api.ask("POST", f"/sessions/{first}/reconnect", {"token": token})
    assert said.json["detail"] == "Reconnection failed: session_already_disconnected"
    gone = api.ask("GET", f"/sessions/{first}/token")
    assert (gone.status, gone.code) == (400, "session_not_active")


def test_who_tries_tokens_must_wait(start):
    gateway, api = start()
    session = LegacyClient.connect(gateway.url).session
    said = None
    for _ in range(200):
        said = api.ask("POST", f"/sessions/{session}/reconnect", {"token": "guess"})
        if said.status == 429:
            break
    assert said and said.status == 429 and said.code == "rate_limited"
    assert int(said.headers["retry-after"]) >= 1


def test_who_shows_another_session_is_not_its_client(start):
    gateway, api = start()
    own, other = (LegacyClient.connect(gateway.url).session for _ in range(2))
    for method, path in [("GET", "token"), ("POST", "heartbeat")]:
        said = api.ask(method, f"/sessions/{own}/{path}", headers=named(other))
        assert (said.status, said.code) == (403, "not_your_session")
