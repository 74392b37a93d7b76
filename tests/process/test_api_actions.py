"""What the API does to sessions: ends, heartbeats, reconnect tokens."""

from __future__ import annotations

import json
import uuid

import pytest

import rows
from api import Api
from harness import Archon, wait_for
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


def take_in(api: Api, sessions: list[dict], requests: list[dict]) -> None:
    """Imports sessions and requests as another gateway would have exported them."""
    lines: list[dict] = [{"archon_export": {"format": 1}}]
    lines += [{"session": session} for session in sessions]
    lines += [{"request": request} for request in requests]
    counts = {"prices": 0, "sessions": len(sessions), "requests": len(requests)}
    body = "".join(json.dumps(line) + "\n" for line in [*lines, {"end": counts}])
    said = api.ask("POST", "/sessions/import", body, {"content-type": "application/jsonl"})
    assert said.status == 200, said.body


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
def test_a_session_says_who_tried_to_take_it_back(start, database):
    gateway, api = start(database)
    session = ModernClient(gateway.url).call("session_info").session
    token = api.get(f"/sessions/{session}/token")["reconnect_token"]
    assert api.ask("POST", f"/sessions/{session}/reconnect", {"token": "guess"}).status == 401
    assert api.ask("POST", f"/sessions/{session}/reconnect", {"token": token}).status == 200

    def attempts():
        return api.get(f"/sessions/{session}")["reconnect_attempts"]

    wait_for("both are written", lambda: len(attempts()) == 2)
    assert [one["result"] for one in attempts()] == ["reconnected", "invalid_token"]
    for one in attempts():
        assert (one["peer"], one["principal"]) == ("127.0.0.1", "anonymous")
        assert one["timestamp"].endswith("Z")
    assert token not in str(attempts())


@databases
def test_a_session_shows_what_was_before_and_after_it(start, database, tmp_path):
    _, api = start(database)
    ids = [str(uuid.UUID(int=n + 1, version=4)) for n in range(23)]
    sessions = [
        {
            "session_id": id,
            "client_type": "x",
            "connected_at": f"2026-01-11T00:{n:02}:00Z",
            "last_activity": f"2026-01-11T00:{n:02}:30Z",
            "disconnected_at": f"2026-01-11T00:{n:02}:40Z",
            "status": "disconnected",
            "disconnect_reason": "timeout_no_activity",
            "continues": ids[n - 1] if n else None,
        }
        for n, id in enumerate(ids)
    ]
    requests = [
        {
            "id": n + 1,
            "session_id": ids[1],
            "method": "tools/call",
            "tool_name": f"tool {n}",
            "timestamp": "2026-01-11T00:01:10Z",
            "duration_ms": 1,
            "status": "success",
        }
        for n in range(1_200)
    ]
    take_in(api, sessions, requests)

    page = api.get(f"/sessions/{ids[1]}?limit=500")
    assert [one["session_id"] for one in page["chain"]["before"]] == [ids[0]]
    assert [one["session_id"] for one in page["chain"]["after"]] == ids[2:22]
    assert (page["continues"], page["continued_by"]) == (ids[0], ids[2])
    assert page["chain"]["before"][0] == {
        "session_id": ids[0],
        "connected_at": "2026-01-11T00:00:00.000000Z",
        "disconnected_at": "2026-01-11T00:00:40.000000Z",
        "disconnect_reason": "timeout_no_activity",
    }
    # All of its requests can be reached, the latest first.
    tools = [request["tool_name"] for request in page["requests"]]
    while page["next_cursor"]:
        page = api.get(f"/sessions/{ids[1]}?limit=500&cursor={page['next_cursor']}")
        tools += [request["tool_name"] for request in page["requests"]]
    assert tools == [f"tool {n}" for n in reversed(range(1_200))]
    # Of all that were there, one session made requests.
    usage = api.get("/usage/summary?start_date=2026-01-11&end_date=2026-01-11")["summary"]
    assert (usage["total_requests"], usage["unique_sessions"]) == (1_200, 1)


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
