"""The comparison follows sessions that continue others, and finds what is wrong with them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from crash.books import (
    Books,
    Call,
    ClientBook,
    DatabaseBook,
    Execution,
    Fate,
    Kill,
    Outcome,
    Pause,
    Row,
    SessionNote,
    SessionRow,
)
from crash.compare import compare
from crash.schedule import UPSTREAM
from crash.violations import GATEWAY, Promise, Wrong

PATIENT = Promise(is_strict=True, keeps_sockets=True, idle_s=2)

SILENT = SessionRow("s", "ada", "disconnected", "timeout_no_activity", None, 12.5)
NEXT = SessionRow("t", "ada", "active", None, "s")
CALL = Call(
    client="ada",
    session="t",
    key="ada/2",
    tool="count",
    value="7",
    request_bytes=100,
    connected_at=14.0,
    sent_at=14.0,
    ended_at=14.5,
    outcome=Outcome.RESULT,
    text="7",
    is_session_told=True,
)
ROW = Row(1, "t", "count", 100, "success", None, "2026-11-21T03:00:00.000000Z")
KILL = Kill(GATEWAY, killed_at=10.5, dead_at=10.51, ready_at=11.0)
PAUSE = Pause("ada", 10.0, 14.9, "s", "t", "Version 1", "Version 1", (GATEWAY, UPSTREAM))


def books(
    sessions: tuple[SessionRow, ...] = (SILENT, NEXT),
    call: Call = CALL,
    row: Row = ROW,
    told: tuple[str, ...] = ("s", "t"),
    bound: str = "t",
    heard_at: float = 10.0,
    pause: Pause = PAUSE,
    kills: tuple[Kill, ...] = (),
) -> Books:
    """A client that was silent from 10 to 14, and called; nothing is wrong unless an argument says so."""
    before = replace(
        CALL, session="s", key="ada/1", request_bytes=90, sent_at=heard_at, ended_at=heard_at + 0.1
    )
    clients = ClientBook(calls=[before, call], pauses=[pause])
    clients.sessions = [SessionNote("ada", id, Fate.TOLD, 9.0, "h") for id in told]
    first = replace(ROW, id=0, session="s", request_bytes=90)
    database = DatabaseBook(rows=(first, row), sessions=sessions, connections={"h": bound})
    return Books(clients, {c.key: Execution(1, 1) for c in (before, call)}, database, kills)


def found(books: Books, promise: Promise = PATIENT) -> Counter[Wrong]:
    """What is wrong, counted."""
    return Counter(violation.wrong for violation in compare(books, promise))


def test_a_session_that_was_silent_is_continued():
    assert not found(books())


def test_a_session_times_out_only_where_that_is_short():
    assert found(books(), replace(PATIENT, idle_s=None)) == {Wrong.FALSE_SESSION: 1}


def test_a_session_that_was_heard_of_has_not_timed_out():
    assert found(books(heard_at=10.6)) == {Wrong.FALSE_SESSION: 1}
    # A crash may lose the latest sign of life, and only those before it.
    assert not found(books(heard_at=10.6, kills=(replace(KILL, killed_at=11.5, dead_at=11.6),)))
    assert found(books(heard_at=10.6, kills=(KILL,))) == {Wrong.FALSE_SESSION: 1}
    assert found(books(heard_at=10.6, kills=(replace(KILL, killed_at=12.2, dead_at=12.3),)))
    upstream = replace(KILL, victim=UPSTREAM, killed_at=11.5, dead_at=11.6)
    assert found(books(heard_at=10.6, kills=(upstream,))) == {Wrong.FALSE_SESSION: 1}


def test_a_session_that_goes_on_from_none_is_lost():
    anew = replace(NEXT, continues=None)
    assert found(books(sessions=(SILENT, anew)))[Wrong.LOST_SESSION] >= 1
    assert found(books(sessions=(NEXT,)))[Wrong.LOST_SESSION] >= 1


def test_a_handle_is_bound_to_the_session_that_goes_on():
    assert found(books(bound="s")) == {Wrong.LOST_SESSION: 1}


@pytest.mark.parametrize(
    "before",
    [
        replace(SILENT, status="active", reason=None),
        replace(SILENT, reason="client_disconnect"),
        replace(SILENT, client="grace"),
    ],
)
def test_only_a_silent_session_of_its_own_client_is_continued(before):
    assert found(books(sessions=(before, NEXT)))[Wrong.FALSE_SESSION] >= 1


def test_two_sessions_that_continue_one_are_found():
    other = replace(NEXT, id="u")
    three = books(sessions=(SILENT, NEXT, other), told=("s", "t", "u"), bound="u")
    assert found(three)[Wrong.FALSE_SESSION] == 1
    # One of which its client was not told needs a request that was not answered.
    untold = books(sessions=(SILENT, NEXT, other))
    assert found(untold) == {Wrong.FALSE_SESSION: 1}
    untold.clients.note_unanswered("ada")
    assert not found(untold)


def test_a_row_is_in_the_session_that_its_answer_named():
    assert found(books(row=replace(ROW, session="s"))) == {Wrong.FALSE_ROW: 1}
    # Without an answer its client knows of the session before only.
    unanswered = replace(CALL, session="s", is_session_told=False)
    assert not found(books(call=unanswered))
    assert found(books(call=replace(unanswered, is_session_told=True)))[Wrong.FALSE_ROW] == 1


def test_a_state_that_is_gone_is_found_unless_a_kill_took_it():
    lost = replace(PAUSE, held_after="Version 0")
    assert found(books(pause=lost)) == {Wrong.LOST_STATE: 1}
    assert not found(books(pause=lost, kills=(KILL,)))
    # The upstream session outlives the gateway.
    link = replace(lost, ends_with=(UPSTREAM,))
    assert found(books(pause=link, kills=(KILL,))) == {Wrong.LOST_STATE: 1}
    assert not found(books(pause=replace(lost, held_after="")))
