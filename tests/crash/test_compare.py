"""The comparison finds each thing that can be wrong, in books that were made up for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from crash import cluster
from crash.books import (
    Books,
    Call,
    ClientBook,
    DatabaseBook,
    Execution,
    Fate,
    Kill,
    Outcome,
    Row,
    SessionNote,
    SessionRow,
    read_journal,
)
from crash.compare import compare
from crash.raw import Draft
from crash.schedule import UPSTREAM, schedule
from crash.violations import GATEWAY, Promise, Wrong
from process.wire import encoded, message

STRICT = Promise(is_strict=True, keeps_sockets=True)
RELAXED = Promise(is_strict=False, keeps_sockets=True)

CALL = Call(
    client="ada",
    session="s",
    key="ada/1",
    tool="count",
    value="7",
    request_bytes=100,
    connected_at=10.0,
    sent_at=10.0,
    ended_at=10.5,
    outcome=Outcome.RESULT,
    text="7",
)
ROW = Row(1, "s", "count", 100, "success", None, "2026-11-21T03:00:00.000000Z")
RAN = Execution(started=1, ended=1)
BEGAN = Execution(started=1, ended=0)
NEVER = Execution()
KILL = Kill(GATEWAY, killed_at=10.2, dead_at=10.21, ready_at=10.4)
LATER = Kill(GATEWAY, killed_at=99.0, dead_at=99.1, ready_at=99.2)


def books(
    call: Call | None = CALL,
    execution: Execution = RAN,
    rows: tuple[Row, ...] = (ROW,),
    kills: tuple[Kill, ...] = (),
    notes: tuple[Fate, ...] = (Fate.TOLD,),
    session: SessionRow | None = SessionRow("s", "ada", "active", None),
    handle: str = "h",
    bound: str = "s",
) -> Books:
    """One client with one session and one call; nothing is wrong unless an argument says so."""
    clients = ClientBook(calls=[call] if call else [])
    clients.sessions = [SessionNote("ada", "s", fate, 9.0, handle) for fate in notes]
    sessions = (session,) if session else ()
    database = DatabaseBook(rows=rows, sessions=sessions, connections={"h": bound})
    executions = {"ada/1": execution} if execution.started else {}
    return Books(clients, executions, database, kills)


def found(books: Books, promise: Promise = STRICT) -> Counter[Wrong]:
    """What is wrong, counted."""
    return Counter(violation.wrong for violation in compare(books, promise))


def failed(code: int) -> Call:
    """The call, answered with an error."""
    return replace(CALL, outcome=Outcome.ERROR, code=code, text="lost")


BROKE = replace(CALL, outcome=Outcome.NO_ANSWER, text="")
FAILED = replace(ROW, status="error", error="lost")


@pytest.mark.parametrize("promise", [STRICT, RELAXED], ids=["strict", "relaxed"])
@pytest.mark.parametrize(
    "call, execution, rows",
    [
        (CALL, RAN, (ROW,)),
        (failed(-31001), NEVER, (FAILED,)),
        (failed(-31002), NEVER, (FAILED,)),
        (failed(-31002), BEGAN, (FAILED,)),
        (failed(-31002), RAN, (FAILED,)),
        (failed(-31003), RAN, (replace(FAILED, status="timeout"),)),
        (BROKE, NEVER, ()),
        (BROKE, RAN, (ROW,)),
        (BROKE, RAN, (FAILED,)),
        (BROKE, BEGAN, (FAILED,)),
    ],
)
def test_what_may_happen_around_a_kill_is_not_wrong(call, execution, rows, promise):
    assert not found(books(call, execution, rows, (KILL,)), promise)


def test_a_call_that_ran_twice_is_found():
    twice = Execution(started=2, ended=1)
    assert found(books(execution=twice)) == {Wrong.DOUBLED_CALL: 1}
    assert found(books(BROKE, twice, (FAILED,), (KILL,))) == {Wrong.DOUBLED_CALL: 1}


@pytest.mark.parametrize(
    "call, execution, rows",
    [
        (CALL, BEGAN, (FAILED,)),
        (CALL, NEVER, (FAILED,)),
        (replace(CALL, text="8"), RAN, (ROW,)),
        (failed(-31001), RAN, (FAILED,)),
        (failed(-31001), BEGAN, (FAILED,)),
        (failed(-32603), RAN, (FAILED,)),
        (failed(-31004), NEVER, (FAILED,)),
        (replace(CALL, outcome=Outcome.ODD, text="<html>"), RAN, (ROW,)),
    ],
)
def test_an_answer_that_is_not_true_is_found(call, execution, rows):
    assert found(books(call, execution, rows, (KILL,)))[Wrong.FALSE_ANSWER] == 1


def test_a_connection_that_breaks_without_a_kill_is_found():
    assert found(books(BROKE)) == {Wrong.NO_OUTCOME: 1}
    assert found(books(BROKE, kills=(LATER,))) == {Wrong.NO_OUTCOME: 1}
    upstream = replace(KILL, victim=UPSTREAM)
    assert found(books(BROKE, kills=(upstream,))) == {Wrong.NO_OUTCOME: 1}


def test_a_stream_that_cannot_be_resumed_is_found():
    resumed = replace(BROKE, last_event_id="e1", resumptions=3)
    assert found(books(resumed, kills=(KILL,))) == {Wrong.NO_OUTCOME: 1}
    assert not found(books(replace(resumed, is_library=True), kills=(KILL,)))


def test_a_call_that_no_client_knows_is_found():
    assert found(books(call=None)) == {Wrong.NO_OUTCOME: 1, Wrong.FALSE_ROW: 1}


def test_a_client_that_never_finished_is_found():
    some = books()
    some.clients.broken.append("TimeoutError")
    assert found(some) == {Wrong.NO_OUTCOME: 1}


@pytest.mark.parametrize("call", [CALL, failed(-31001), failed(-31002)], ids=lambda c: str(c.code))
def test_a_row_that_is_missing_is_found(call):
    execution = NEVER if call.code == -31001 else RAN
    assert found(books(call, execution, ()), STRICT) == {Wrong.LOST_ROW: 1}
    assert found(books(call, execution, ()), RELAXED) == {Wrong.LOST_ROW: 1}
    assert found(books(call, execution, (), (LATER,)), RELAXED) == {Wrong.LOST_ROW: 1}


def test_a_kill_excuses_a_missing_row_in_relaxed_mode_only():
    soon_after = replace(KILL, killed_at=10.7, dead_at=10.71, ready_at=11.0)
    for kill in (KILL, soon_after):
        assert not found(books(rows=(), kills=(kill,)), RELAXED)
        assert found(books(rows=(), kills=(kill,)), STRICT) == {Wrong.LOST_ROW: 1}
    upstream = replace(KILL, victim=UPSTREAM)
    assert found(books(rows=(), kills=(upstream,)), RELAXED) == {Wrong.LOST_ROW: 1}
    too_late = replace(KILL, killed_at=10.8, dead_at=10.81, ready_at=11.0)
    assert found(books(rows=(), kills=(too_late,)), RELAXED) == {Wrong.LOST_ROW: 1}


def test_strict_mode_has_a_row_of_each_call_that_ran():
    assert found(books(BROKE, BEGAN, (), (KILL,)), STRICT) == {Wrong.LOST_ROW: 1}
    assert not found(books(BROKE, BEGAN, (), (KILL,)), RELAXED)
    assert not found(books(BROKE, NEVER, (), (KILL,)), STRICT)


@pytest.mark.parametrize("promise", [STRICT, RELAXED], ids=["strict", "relaxed"])
def test_two_rows_of_one_call_are_found(promise):
    rows = (ROW, replace(FAILED, id=2))
    assert found(books(rows=rows, kills=(KILL,)), promise) == {Wrong.DOUBLED_ROW: 1}


@pytest.mark.parametrize(
    "call, execution, row",
    [
        (CALL, RAN, FAILED),
        (failed(-31002), RAN, ROW),
        (failed(-31002), BEGAN, ROW),
        (BROKE, NEVER, ROW),
    ],
)
def test_a_row_that_says_something_else_is_found(call, execution, row):
    assert found(books(call, execution, (row,), (KILL,)))[Wrong.FALSE_ROW] == 1


@pytest.mark.parametrize("other", [{"session": "t"}, {"tool": "echo"}, {"request_bytes": 101}])
def test_a_row_of_no_call_is_found(other):
    rows = (replace(ROW, **other),)
    assert found(books(rows=rows)) == {Wrong.FALSE_ROW: 1, Wrong.LOST_ROW: 1}


def test_a_session_that_its_client_lost_is_found():
    assert found(books(notes=(Fate.TOLD, Fate.LOST))) == {Wrong.LOST_SESSION: 1}


def test_a_session_that_the_database_does_not_know_is_found():
    assert found(books(session=None)) == {Wrong.LOST_SESSION: 1}


def test_a_handle_that_leads_elsewhere_is_found():
    assert found(books(handle="unknown")) == {Wrong.LOST_SESSION: 1}
    assert found(books(bound="t")) == {Wrong.LOST_SESSION: 1}


@pytest.mark.parametrize(
    "notes, status, reason, is_wrong",
    [
        ((Fate.TOLD,), "active", None, False),
        ((Fate.TOLD,), "disconnected", "client_disconnect", True),
        ((Fate.TOLD,), "disconnected", "timeout_no_activity", True),
        ((Fate.TOLD, Fate.ENDED), "disconnected", "client_disconnect", False),
        ((Fate.TOLD, Fate.ENDED), "active", None, True),
        ((Fate.TOLD, Fate.PARTED), "active", None, False),
        ((Fate.TOLD, Fate.PARTED), "disconnected", "client_disconnect", False),
        ((Fate.TOLD, Fate.PARTED), "disconnected", "error", True),
    ],
)
def test_a_session_with_a_wrong_status_is_found(notes, status, reason, is_wrong):
    session = SessionRow("s", "ada", status, reason)
    assert found(books(notes=notes, session=session))[Wrong.FALSE_SESSION] == is_wrong


def test_a_session_that_nobody_asked_for_is_found():
    some = books()
    more = (*some.database.sessions, SessionRow("t", "ada", "active", None))
    some = replace(some, database=replace(some.database, sessions=more))
    assert found(some) == {Wrong.FALSE_SESSION: 1}
    # It may come of a handshake that was never answered.
    some.clients.note_unanswered("ada")
    assert not found(some)


def test_a_refused_connection_is_wrong_where_sockets_are_kept():
    some = books()
    some.clients.note_refused()
    assert found(some) == {Wrong.REFUSED: 1}
    assert not found(some, replace(STRICT, keeps_sockets=False))


def test_a_panic_is_found():
    assert found(replace(books(), panics=("thread 'main' panicked at",))) == {Wrong.PANIC: 1}


def test_a_damaged_database_is_found():
    some = books()
    some = replace(some, database=replace(some.database, damage=("row 1 missing from index",)))
    assert found(some) == {Wrong.DAMAGE: 1}


def test_a_seed_repeats_its_schedule():
    first = schedule(7, 50, (0.2, 1.5))
    assert schedule(7, 50, (0.2, 1.5)) == first
    assert schedule(8, 50, (0.2, 1.5)) != first
    assert all(0.2 <= blow.pause_s <= 1.5 for blow in first)
    assert {name for blow in first for name in blow.victims} == {GATEWAY, UPSTREAM}


def test_each_node_is_killed_paused_and_stopped():
    blows = schedule(7, 100, (0.2, 1.5), cluster.choices("abc"), cluster.AWAY_S)
    expected = {f"{GATEWAY} {name}, {how}" for name in "abc" for how in ("killed", "paused", "stopped")}
    assert {name for blow in blows for name in blow.victims} == {UPSTREAM, *expected}
    assert all(Kill(name, 0, 0, 0).is_of_gateway for name in expected)
    assert not Kill(UPSTREAM, 0, 0, 0).is_of_gateway
    assert any(blow.away_s > 10 for blow in blows)


def test_each_call_of_a_client_has_another_size():
    drafts = [Draft("ada", "s", number, "count", (1, 300)[number % 2]) for number in range(1, 200)]
    sizes = [len(encoded(message("tools/call", draft.params, draft.number))) for draft in drafts]
    assert sizes == sorted(set(sizes))


def test_a_journal_is_counted_by_key(tmp_path: Path):
    path = tmp_path / "journal.jsonl"
    assert read_journal(path) == {}
    path.write_text(
        '{"key":"a","event":"started"}\n{"key":"b","event":"started"}\n'
        '{"key":"a","event":"ended"}\n{"key":"a","event":"started"}\n'
    )
    assert read_journal(path) == {"a": Execution(2, 1), "b": Execution(1, 0)}
