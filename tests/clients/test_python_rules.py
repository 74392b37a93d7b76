"""The Python client's rules, without a server: what may be sent again, when, and what is shown."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from archon_sessions import MCPClient, MCPSessionError, SavedState
from archon_sessions.gateway_tools import MARK, find, idle_timeout_s
from archon_sessions.ids import is_answer_to
from archon_sessions.options import credentials, endpoint, resolve
from archon_sessions.retry import BURST, DELAY_MAX_S, Budget, Tries
from archon_sessions.verdict import (
    Lost,
    NotRun,
    ProtocolError,
    Refusal,
    UnknownSession,
    error_of,
    of_error,
    of_refusal,
    retry_after,
)
from mcp.types import Tool

STATE = SavedState(
    url="http://localhost:8051/mcp",
    era="legacy",
    session_id="the-session",
    mcp_session_id="the-handle",
    cookie="the-cookie",
    reconnect_token="the-token",
    handshake={"protocolVersion": "2025-11-25"},
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://localhost:8051", "http://localhost:8051/mcp"),
        ("http://localhost:8051/", "http://localhost:8051/mcp"),
        ("http://localhost:8051/mcp", "http://localhost:8051/mcp"),
        ("https://x.example/mcp/files", "https://x.example/mcp/files"),
        ("http://[::1]:8051", "http://[::1]:8051/mcp"),
    ],
)
def test_a_url_without_a_path_gets_the_endpoints(given, expected):
    assert endpoint(given) == expected


@pytest.mark.parametrize("url", ["localhost:8051", "ftp://x/", "http://", "http://x:port"])
def test_what_is_no_url_of_a_server_is_refused(url):
    with pytest.raises(ValueError, match="URL"):
        endpoint(url)


def test_credentials_in_a_url_are_refused_and_its_query_is_not_shown():
    with pytest.raises(ValueError, match="credentials") as refused:
        MCPClient("http://me:a-password@x")
    assert "a-password" not in str(refused.value)
    url = "http://x/mcp?key=a-key"
    assert "a-key" not in repr(MCPClient(url))
    assert "a-key" not in repr(SavedState(url, "modern", None))


def test_what_is_not_said_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("MCP_SERVER_URL", "http://there:1")
    monkeypatch.setenv("MCP_TIMEOUT", "7.5")
    monkeypatch.setenv("MCP_MAX_RETRIES", "5")
    options = resolve(None, None, None, 1.0, trust_annotations=False)
    assert (options.url, options.timeout_s, options.max_retries) == ("http://there:1/mcp", 7.5, 5)
    options = resolve("http://here", 1, 0, 1.0, trust_annotations=False)
    assert (options.url, options.timeout_s, options.max_retries) == ("http://here/mcp", 1, 0)
    monkeypatch.setenv("MCP_TIMEOUT", "soon")
    with pytest.raises(ValueError, match="MCP_TIMEOUT"):
        MCPClient()


@pytest.mark.parametrize("values", [(0, 1, 1.0), (1, -1, 1.0), (1, 1, -1.0)])
def test_values_that_make_no_sense_are_refused(values):
    with pytest.raises(ValueError, match="must"):
        resolve("http://here", *values, trust_annotations=False)


def test_waits_double_up_to_a_bound_and_are_anything_below(monkeypatch):
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    tries = Tries(max_retries=8, delay_s=1.0, budget=Budget())
    assert [tries.next_delay() for _ in range(9)] == [1, 2, 4, 8, 16, 30, 30, 30, None]
    monkeypatch.setattr("random.uniform", lambda low, high: low)
    assert Tries(max_retries=1, delay_s=1.0, budget=Budget()).next_delay() == 0


def test_what_the_server_asks_for_is_waited_for_if_it_is_not_too_long():
    tries = Tries(max_retries=3, delay_s=1.0, budget=Budget())
    assert 2 <= (tries.next_delay(2.0) or 0) <= 3
    assert tries.next_delay(DELAY_MAX_S + 1) is None


def test_a_fifth_of_the_requests_may_be_tries_and_some_more():
    budget = Budget()
    tries = 0
    for _ in range(100):
        budget.answered()
        tries += budget.take() + budget.take()
    assert BURST + 18 <= tries <= BURST + 20
    for _ in range(1000):
        budget.answered()
    assert sum(budget.take() for _ in range(100)) == BURST


def test_a_code_counts_as_the_gateways_only_if_it_says_whether_the_call_ran():
    assert isinstance(of_error(ProtocolError(-31001, "away", {"ran": "no"})), NotRun)
    lost = of_error(ProtocolError(-31002, "lost", {"ran": "unknown"}))
    assert isinstance(lost, Lost) and not lost.has_run
    gone = of_error(ProtocolError(-31008, "gone", {"ran": "yes"}))
    assert isinstance(gone, Lost) and gone.has_run
    for code, data in [(-31001, None), (-31001, {"ran": "perhaps"}), (-32000, {"ran": "no"})]:
        assert isinstance(of_error(ProtocolError(code, "theirs", data)), ProtocolError)


@pytest.mark.parametrize(
    ("status", "error", "has_handle", "expected"),
    [
        (404, None, True, UnknownSession),
        (404, ProtocolError(-31006, "not found"), True, UnknownSession),
        (404, ProtocolError(-32601, "no such method"), True, ProtocolError),
        (404, None, False, NotRun),
        (400, ProtocolError(-32000, "Bad Request: No valid session ID"), True, UnknownSession),
        (400, ProtocolError(-32602, "bad arguments"), True, ProtocolError),
        (400, ProtocolError(-32000, "Bad Request: Server not initialized"), False, UnknownSession),
        (401, None, True, NotRun),
        (401, ProtocolError(-32000, "Unauthorized: Session not found"), True, UnknownSession),
        (410, None, True, UnknownSession),
        (410, None, False, NotRun),
        (307, None, True, NotRun),
        (429, None, True, NotRun),
        (503, None, True, Lost),
        (502, None, True, Lost),
        (413, None, True, NotRun),
        (500, ProtocolError(-32601, "no such method"), False, ProtocolError),
        (503, ProtocolError(-32000, "Session expired"), True, UnknownSession),
        (503, ProtocolError(-31005, "the session store is away", {"ran": "no"}), True, NotRun),
        (502, ProtocolError(-31001, "away", {"ran": "no"}), True, NotRun),
    ],
)
def test_what_a_status_says(status, error, has_handle, expected):
    refusal = Refusal(status, error=error)
    found = of_refusal(refusal, has_handle=has_handle, is_bound=True)
    assert isinstance(found, expected), found


@pytest.mark.parametrize(
    ("code", "message", "is_forgotten"),
    [
        (-32000, "Bad Request: Server not initialized", True),
        (-32002, "Server not initialized: call initialize first", True),
        (-32602, "Received request before initialization was complete", True),
        (-32001, "Session not found", True),
        (-32000, "Session not found: 0b9c-11", True),
        (-32600, "invalid session", True),
        (-32000, "Bad Request: No valid session ID provided", True),
        (-32602, "Session not found", False),
        (-32000, "browser session not found", False),
        (-32000, "Session expired for user ada; log in at the bank", False),
        (-32000, "Database connection not initialized", False),
        (-32603, "boom", False),
    ],
)
def test_an_error_that_answers_a_call_is_about_the_session_only_if_it_says_nothing_else(
    code, message, is_forgotten
):
    found = of_error(ProtocolError(code, message), is_bound=True)
    assert isinstance(found, UnknownSession) == is_forgotten
    assert isinstance(of_error(ProtocolError(code, message)), ProtocolError)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        ("boom", -32603, "boom"),
        ({"message": "boom"}, -32603, "boom"),
        ({"code": "-32001", "message": "boom"}, -32001, "boom"),
        ({"code": 1.0, "message": "boom"}, 1, "boom"),
        ({"code": float("nan"), "message": "boom"}, -32603, "boom"),
        (["boom"], -32603, "['boom']"),
    ],
)
def test_an_error_is_one_however_badly_it_is_formed(error, code, message):
    found = error_of({"error": error})
    assert found is not None
    assert (found.code, found.message) == (code, message)


def test_no_error_is_none():
    assert error_of(None) is None
    assert error_of({"error": None, "result": {}}) is None


@pytest.mark.parametrize(
    ("answered", "expected"),
    [(7, True), (7.0, True), ("7", True), ("7.0", True), (None, True)]
    + [(8, False), ("8", False), ("07", False), (" 7", False), (True, False), ([7], False)],
)
def test_an_answer_on_its_own_stream_is_known_by_its_id_as_number_or_text(answered, expected):
    assert is_answer_to(answered, 7) == expected
    assert not is_answer_to(True, 1)


def test_a_key_is_sent_and_never_shown(monkeypatch):
    assert credentials("k", {"x": "1"}, has_auth=False) == {"x": "1", "Authorization": "Bearer k"}
    assert credentials(None, {"x": "1"}, has_auth=False) == {"x": "1"}
    monkeypatch.setenv("ARCHON_MCP_TOKEN", " from-there \n")
    assert credentials(None, {}, has_auth=False) == {"Authorization": "Bearer from-there"}
    assert credentials("k", {}, has_auth=False) == {"Authorization": "Bearer k"}
    # Who says otherwise is not overruled by the environment, and cannot say both.
    assert credentials(None, {"authorization": "Basic x"}, has_auth=False) == {"authorization": "Basic x"}
    assert credentials(None, {}, has_auth=True) == {}
    for headers, has_auth in [({"authorization": "Basic x"}, False), ({}, True)]:
        with pytest.raises(ValueError, match="one of"):
            credentials("k", headers, has_auth=has_auth)
    for odd in ["two words", "a\nb", "ümlaut", "\x00", " "]:
        with pytest.raises(ValueError, match="one word") as refused:
            MCPClient(api_key=odd)
        assert odd.strip() == "" or odd not in str(refused.value)
    assert "a-key" not in repr(MCPClient(api_key="a-key"))


def test_a_retry_after_is_seconds_or_a_date():
    soon = datetime.now(timezone.utc) + timedelta(seconds=60)
    assert retry_after("2") == 2
    assert 55 < (retry_after(format_datetime(soon, usegmt=True)) or 0) <= 60
    assert retry_after("-1") == 0
    assert retry_after(None) is None
    assert retry_after("later") is None


def test_only_what_the_gateway_marks_is_its_tool():
    schema = {"type": "object"}
    theirs = Tool(name="heartbeat", input_schema=schema)
    ours = Tool(name="archon_heartbeat", input_schema=schema, _meta={MARK: "heartbeat"})
    assert find([theirs, ours]) == {"heartbeat": "archon_heartbeat"}
    assert find([theirs]) == {}


def test_a_heartbeat_says_how_long_a_session_may_be_silent():
    at, until = "2026-01-01T00:00:00.000001Z", "2026-01-01T00:05:00.000001Z"
    assert idle_timeout_s({"last_activity": at, "expires_at": until}) == 300
    assert idle_timeout_s({"last_activity": until, "expires_at": at}) is None
    assert idle_timeout_s({"success": False}) is None
    assert idle_timeout_s({"last_activity": "now", "expires_at": "then"}) is None


def test_what_is_shown_of_a_state_opens_no_door():
    shown = f"{STATE!r} {STATE}"
    assert "the-session" in shown
    assert not [secret for secret in ("handle", "cookie", "token") if f"the-{secret}" in shown]
    assert SavedState.from_json(STATE.to_json()) == STATE


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"era": "future"},
        {"url": None},
        {"mcp_session_id": 7},
        {"handshake": "hello"},
        {"reconnect_count": "many"},
    ],
)
def test_a_state_that_is_damaged_is_refused(change):
    with pytest.raises(MCPSessionError, match="saved state"):
        SavedState.from_dict({**STATE.to_dict(), **change})


@pytest.mark.parametrize("text", ["", "[]", "{}", "{"])
def test_a_text_that_is_no_state_is_refused(text):
    with pytest.raises(MCPSessionError, match="saved state"):
        SavedState.from_json(text)
