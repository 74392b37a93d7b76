"""How a session ends, by silence or at its client's word, and what its handles are worth then."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

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

pytestmark = pytest.mark.timeout(120)

IDLE = {"idle_timeout_seconds": 1, "reap_every_seconds": 0.3}
# So many that two of them meet wherever they can, and how long an answer may take then.
MANY = 200
ANSWER_S = 5

# For what must not happen to a client that is only held up by a loaded machine.
UNHURRIED = {**IDLE, "idle_timeout_seconds": 2}

ended_by_silence = {
    "status": "disconnected",
    "disconnect_reason": "timeout_no_activity",
    "disconnected_at IS NOT NULL": 1,
}


def wait_until_ended(gateway: Archon, session: str | None) -> None:
    """Waits until the reaper has ended a silent session."""
    rows.expect_session(gateway.db, session, **ended_by_silence)


def test_a_silent_session_ends_and_its_handle_goes_on(start_archon, config):
    gateway = start_archon(*config(sessions=IDLE))
    client = LegacyClient.connect(gateway.url)
    wait_until_ended(gateway, client.session)

    answer = client.call("find_projects")

    assert answer.result and answer.handle == client.handle
    assert answer.session != client.session
    rows.expect_session(
        gateway.db, answer.session, status="active", continues=client.session, era="legacy"
    )
    rows.expect_requests(gateway.db, [("tools/call",)], "method", answer.session)
    # From the last sign of life to the reaper's next look, in whole seconds.
    [(duration,)] = rows.query(
        gateway.db,
        "SELECT total_duration FROM archon_mcp_sessions WHERE session_id = ?",
        client.session,
    )
    assert 1 <= duration <= 10


def test_a_handle_goes_on_once_memory_has_forgotten_its_session(start_archon, config):
    gateway = start_archon(*config(sessions=IDLE))
    client = LegacyClient.connect(gateway.url)
    wait_until_ended(gateway, client.session)
    gateway.stop()
    gateway.restart()

    answer = client.call("find_projects")
    assert answer.result and answer.handle == client.handle
    rows.expect_session(gateway.db, answer.session, status="active", continues=client.session)


def test_every_handle_of_many_goes_on(start_archon, config):
    gateway = start_archon(*config(sessions=IDLE))
    with ThreadPoolExecutor(16) as pool:
        clients = list(pool.map(lambda _: LegacyClient.connect(gateway.url), range(MANY)))
        ended = "SELECT count(*) FROM archon_mcp_sessions WHERE status = 'disconnected'"
        rows.expect(gateway.db, [(MANY,)], ended)
        answers = list(pool.map(answered_in_time, clients))
    assert answers.count(False) == 0


def answered_in_time(client: LegacyClient) -> bool:
    """Whether a call is answered at all."""
    try:
        body = client.body("tools/list")
        with opened(client.url, "POST", body, client.headers(), ANSWER_S) as answer:
            return answer.status == 200
    except TimeoutError:
        return False


def test_both_ids_lead_to_the_session_that_goes_on(start_archon, config):
    gateway = start_archon(*config(sessions=UNHURRIED))
    client = LegacyClient.connect(gateway.url)
    wait_until_ended(gateway, client.session)
    header = {"x-archon-session-id": client.session}

    by_both = client.call("find_projects", headers=header)
    by_handle = client.call("find_projects")
    again = LegacyClient.connect(gateway.url, headers=header)

    assert by_both.session == by_handle.session == again.session != client.session


def test_an_old_name_leads_to_the_session_that_goes_on_after_a_restart(start_archon, config):
    gateway = start_archon("--durability", "strict", *config(sessions=UNHURRIED))
    client = ModernClient(gateway.url)
    first = client.call("find_projects")
    wait_until_ended(gateway, first.session)
    header = {"x-archon-session-id": first.session}
    second = client.call("find_projects", headers=header)

    gateway.kill()
    gateway.restart()

    assert client.call("find_projects", headers=header).session == second.session


def test_an_old_name_leads_to_the_last_session_of_several_silences(start_archon, config):
    gateway = start_archon("--durability", "strict", *config(sessions=UNHURRIED))
    client = ModernClient(gateway.url)
    sessions = [client.call("find_projects").session]
    header = {"x-archon-session-id": sessions[0]}
    for _ in range(3):
        wait_until_ended(gateway, sessions[-1])
        sessions.append(client.call("find_projects", headers=header).session)
        assert client.call("find_projects", headers=header).session == sessions[-1]
    before = "SELECT continues FROM archon_mcp_sessions WHERE session_id = ?"
    for older, newer in pairwise(sessions):
        assert rows.query(gateway.db, before, newer) == [(older,)]


def test_a_name_alone_leads_to_no_connection_after_a_silence(start_archon, config):
    gateway = start_archon(*config(sessions=IDLE))
    client = LegacyClient.connect(gateway.url)
    wait_until_ended(gateway, client.session)
    headers = {**JSON_HEADERS, "x-archon-session-id": client.session}
    for method in ("POST", "DELETE"):
        answer = send(gateway.url, method, client.body("tools/list"), headers)
        assert (answer.status, answer.handle) == (400, None)
    assert client.call("find_projects").result


def test_calls_at_once_after_a_silence_go_on_in_one_session(start_archon, config):
    gateway = start_archon(*config(sessions=UNHURRIED))
    legacy, modern = LegacyClient.connect(gateway.url), ModernClient(gateway.url)
    first = modern.call("find_projects")
    wait_until_ended(gateway, legacy.session)
    wait_until_ended(gateway, first.session)

    with ThreadPoolExecutor(16) as pool:
        by_handle = [pool.submit(legacy.call, "find_projects") for _ in range(16)]
        headers = {"cookie": first.cookie}
        by_cookie = [pool.submit(modern.call, "find_projects", None, headers) for _ in range(16)]
        for calls, old in ((by_handle, legacy.session), (by_cookie, first.session)):
            [new] = {call.result().session for call in calls}
            rows.expect_session(gateway.db, new, status="active", continues=old)
    rows.expect(gateway.db, [(4,)], "SELECT count(*) FROM archon_mcp_sessions")


def test_a_silent_session_may_end_again_and_again(start_archon, config):
    gateway = start_archon(*config(sessions=IDLE))
    client = LegacyClient.connect(gateway.url)
    sessions = [client.session]
    for _ in range(2):
        wait_until_ended(gateway, sessions[-1])
        sessions.append(client.call("find_projects").session)
    rows.expect(
        gateway.db,
        [(sessions[0], None), (sessions[1], sessions[0]), (sessions[2], sessions[1])],
        "SELECT session_id, continues FROM archon_mcp_sessions ORDER BY connected_at",
    )


@pytest.mark.parametrize("place", ["header", "cookie"])
def test_a_modern_client_comes_back_to_a_session_that_continues_its_own(
    start_archon, config, place
):
    gateway = start_archon(*config(sessions=IDLE))
    client = ModernClient(gateway.url)
    first = client.call("find_projects")
    wait_until_ended(gateway, first.session)

    shown = {"cookie": first.cookie, "header": first.session}
    name = "cookie" if place == "cookie" else "x-archon-session-id"
    answer = client.call("find_projects", headers={name: shown[place]})

    assert answer.result and answer.session != first.session
    # A cookie is a proof, and who shows a name has shown none.
    is_cookie = place == "cookie"
    assert (answer.cookie or "").startswith(f"archon_session={answer.session}.") is is_cookie
    rows.expect_session(gateway.db, answer.session, continues=first.session, era="modern")


def test_a_client_that_shows_nothing_starts_anew(start_archon, config):
    gateway = start_archon(*config(sessions=IDLE))
    client = ModernClient(gateway.url)
    first = client.call("find_projects")
    wait_until_ended(gateway, first.session)
    answer = client.call("find_projects")
    rows.expect_session(gateway.db, answer.session, status="active", continues=None)


def test_a_call_in_flight_is_activity(start_fixture, start_archon, config):
    gateway = start_archon(*config(sessions=IDLE), upstream=start_fixture())
    client = LegacyClient.connect(gateway.url)
    # Longer than the timeout and the reaper's round together.
    assert client.text("sleep", ms=2_500) == "slept 2500 ms"
    [(lived,)] = rows.query(
        gateway.db,
        "SELECT (julianday(coalesce(disconnected_at, '9999-01-01')) - julianday(connected_at))"
        " * 86400 FROM archon_mcp_sessions",
    )
    assert lived > 2.5


def test_an_open_and_silent_stream_is_no_activity(start_fixture, start_archon, config):
    gateway = start_archon(*config(sessions=IDLE), upstream=start_fixture())
    client = LegacyClient.connect(gateway.url)
    with opened(gateway.url, "GET", b"", client.headers()) as stream:
        assert stream.status == 200
        wait_until_ended(gateway, client.session)
    assert client.text("echo", text="back") == "back"


def test_an_open_stream_keeps_the_connection_that_calls_go_on_with(
    start_fixture, start_archon, config
):
    upstream = start_fixture()
    gateway = start_archon(*config(sessions=IDLE), upstream=upstream)
    client = LegacyClient.connect(gateway.url)
    with opened(gateway.url, "GET", b"", client.headers()) as stream:
        assert stream.status == 200
        wait_until_ended(gateway, client.session)
        wait_for_sweeps(gateway, 2)
        after = client.call("echo", {"text": "back"})
        assert after.session != client.session
        # The stream is asked for again, and the handshake redone for it.
        upstream.kill()
        upstream.restart()
        wait_for("the stream is back", lambda: "opened again" in gateway.log())

        link = client.call("headers").result["structuredContent"]["mcp-session-id"][0]

        assert gateway.log().count("opened again") == 1
        bound = "SELECT session_id, link FROM archon_mcp_connections"
        rows.expect(gateway.db, [(after.session, link)], bound)


def wait_for_sweeps(gateway: Archon, more: int) -> None:
    """Waits until the reaper has looked at everything so many times more."""

    def sweeps() -> int:
        text = send(f"{gateway.api_url}/metrics", "GET").body.decode()
        [line] = [one for one in text.splitlines() if one.startswith("archon_reaper_sweeps_total ")]
        return int(line.split()[1])

    due = sweeps() + more
    wait_for("the reaper has looked again", lambda: sweeps() >= due)


def test_heartbeats_keep_a_session(start_archon, config):
    gateway = start_archon(*config(sessions=UNHURRIED))
    client, silent = LegacyClient.connect(gateway.url), LegacyClient.connect(gateway.url)

    def beat():
        beaten = client.call("heartbeat").result["structuredContent"]
        assert beaten["success"] and beaten["session_id"] == client.session
        assert beaten["expires_at"] > beaten["last_activity"]
        return rows.query(
            gateway.db,
            "SELECT 1 FROM archon_mcp_sessions WHERE session_id = ? AND status <> 'active'",
            silent.session,
        )

    wait_for("the silent session has ended", beat)
    assert client.call("find_projects").session == client.session


def test_a_handle_ends_with_the_resume_window(start_archon, config):
    gateway = start_archon(*config(sessions={**IDLE, "resume_window_seconds": 0.5}))
    client = LegacyClient.connect(gateway.url)
    wait_until_ended(gateway, client.session)
    # The end was written at the latest now, so the window is over at the latest then.
    over = time.monotonic() + 0.6
    wait_for("the window is over", lambda: time.monotonic() > over)

    answer = client.call("find_projects")
    assert answer.status == 404
    assert "call initialize" in answer.error["message"]
    assert LegacyClient.connect(gateway.url).text("find_projects")


def test_goodbye_ends_the_session_and_its_handle(start_archon):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url)
    assert client.call("find_projects").result

    goodbye = client.end()

    assert (goodbye.status, goodbye.session) == (200, client.session)
    rows.expect_session(
        gateway.db,
        client.session,
        status="disconnected",
        disconnect_reason="client_disconnect",
        **{
            "disconnected_at IS NOT NULL": 1,
            "typeof(total_duration)": "integer",
            "total_duration BETWEEN 0 AND 60": 1,
        },
    )
    assert_gone(client)
    gateway.restart()
    assert_gone(client)


def assert_gone(client: LegacyClient) -> None:
    """Every use of the handle is 404, in the form that makes a client start anew."""
    call = client.call("find_projects")
    assert (call.status, call.handle, call.session) == (404, None, None)
    assert "call initialize" in call.error["message"]
    note = encoded(message("notifications/initialized", None, None))
    assert send(client.url, "POST", note, client.headers()).status == 404
    assert send(client.url, "GET", b"", client.headers()).status == 404
    assert client.end().status == 404
    # Not even the session's own name brings it back.
    named = client.call("find_projects", headers={"x-archon-session-id": client.session})
    assert named.status == 404


def test_the_last_goodbye_ends_the_session(start_archon):
    gateway = start_archon()
    first = LegacyClient.connect(gateway.url)
    second = LegacyClient.connect(gateway.url, headers={"x-archon-session-id": first.session})

    assert first.end().status == 200
    assert_gone(first)
    assert second.call("find_projects").session == first.session
    rows.expect_session(gateway.db, first.session, status="active")

    assert second.end().status == 200
    assert_gone(second)
    rows.expect_session(gateway.db, first.session, disconnect_reason="client_disconnect")


def test_the_name_of_a_session_that_said_goodbye_means_nothing(start_archon):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url)
    client.end()
    header = {"x-archon-session-id": client.session}

    again = LegacyClient.connect(gateway.url, headers=header)
    modern = ModernClient(gateway.url).call("find_projects", headers=header)

    assert client.session not in (again.session, modern.session)
    rows.expect_session(gateway.db, again.session, status="active", continues=None)


def test_a_goodbye_reaches_the_upstream(start_fixture, start_archon):
    upstream = start_fixture()
    gateway = start_archon(upstream=upstream)
    client = LegacyClient.connect(gateway.url)
    link = client.call("headers").result["structuredContent"]["mcp-session-id"][0]
    assert link != client.handle

    direct = LegacyClient(upstream.url, link, "")
    assert direct.text("echo", text="x") == "x"
    client.end()
    assert direct.call("echo", {"text": "x"}).status == 404


def test_a_refused_handshake_makes_no_session(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    body = encoded(message("initialize", {"protocolVersion": 7}, 1))
    refused = send(gateway.url, "POST", body, JSON_HEADERS)
    assert refused.handle is None and refused.session is None
    assert rows.query(gateway.db, "SELECT count(*) FROM archon_mcp_sessions") == [(0,)]
    assert send(gateway.url, "POST", encoded(initialize()), JSON_HEADERS).handle


def test_a_client_may_have_a_timeout_of_its_own(start_archon, config):
    rule = {"client": "RAW*", "idle_timeout_seconds": 77}
    settings = config(
        sessions={"idle_timeout_seconds_max": 99}, **{"[sessions.timeouts]": rule}
    )
    gateway = start_archon(*settings)

    def legacy(name="raw client", timeout=None):
        asked = {"x-archon-session-timeout": timeout} if timeout else {}
        return LegacyClient.connect(gateway.url, name=name, headers=asked).session

    modern = ModernClient(gateway.url).request("tools/list", {}, {"x-archon-session-timeout": "44"})
    for session, seconds in [
        (legacy(), 77),
        (legacy("another"), 300),
        (legacy(timeout="55"), 55),
        (legacy(timeout="100000"), 99),
        (legacy(timeout="soon"), 77),
        (modern.session, 44),
    ]:
        rows.expect_session(gateway.db, session, idle_timeout_seconds=seconds)


def test_a_session_that_is_too_old_ends_and_its_client_goes_on(start_archon, config):
    settings = {"absolute_timeout_seconds": 1.5, "reap_every_seconds": 0.2}
    gateway = start_archon(*config(sessions=settings))
    client = LegacyClient.connect(gateway.url)

    def goes_on_in_another() -> str | None:
        # Never silent for long.
        answer = client.call("heartbeat")
        assert answer.result and answer.handle == client.handle
        return answer.session if answer.session != client.session else None

    session = wait_for("it goes on in another session", goes_on_in_another)
    rows.expect_session(gateway.db, session, status="active", continues=client.session)
    wait_until_ended(gateway, client.session)


def test_old_sessions_are_deleted_with_what_belongs_to_them(start_archon, config):
    settings = {"reap_every_seconds": 0.2, "resume_window_seconds": 0.5}
    gateway = start_archon(*config(sessions=settings, store={"retention_days": 1e-6}))
    staying, leaving = (LegacyClient.connect(gateway.url) for _ in range(2))
    arguments = {"session_id": leaving.session, "reconnect_token": "no token"}
    for client in (staying, leaving):
        assert client.call("reconnect_session", arguments).result["isError"]
    assert leaving.end().status == 200
    for table in ("sessions", "connections", "requests", "reconnect_attempts"):
        sql = f"SELECT count(*) FROM archon_mcp_{table} WHERE session_id = ?"
        rows.expect(gateway.db, [(0,)], sql, leaving.session)
    assert staying.call("heartbeat").session == staying.session
    own = "SELECT count(*) FROM archon_mcp_requests WHERE session_id = ?"
    rows.expect(gateway.db, [(3,)], own, staying.session)
