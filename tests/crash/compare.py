"""Compares the three books of a run, and says what cannot be.

Nothing here depends on how fast anything was. Times are used for two questions only: whether a
connection may have broken because the gateway was killed, and, in relaxed mode, whether a row may
be missing because its call ended in the moment before a kill.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from crash.books import Books, Call, Execution, Kill, Outcome, Row
from crash.sessions import Chains, compare_sessions, place_fault
from crash.violations import RELAXED_S, Promise, Violation, Wrong

# The gateway's own answers (crates/archon-sessions/src/protocol/codes.rs).
DID_NOT_RUN = -31001
OUTCOME_UNKNOWN = -31002
TIMED_OUT = -31003

# Of the kills that a call met, the first ones tell what happened.
KILLS_SHOWN = 4


def compare(books: Books, promise: Promise) -> list[Violation]:
    """Returns everything that is wrong."""
    return [
        *_calls(books),
        *_rows(books, promise),
        *compare_sessions(books, promise),
        *_gateway(books, promise),
    ]


def _calls(books: Books) -> Iterator[Violation]:
    """Holds what clients saw against what the upstream executed."""
    known = {call.key for call in books.clients.calls}
    for key, execution in sorted(books.executions.items()):
        if execution.started > 1:
            what = f"{key} was executed {execution.started} times"
            call = next((c for c in books.clients.calls if c.key == key), None)
            told = f"; {_told(call, books.kills)}" if call else ""
            yield Violation(Wrong.DOUBLED_CALL, what + told)
        if key not in known:
            yield Violation(Wrong.NO_OUTCOME, f"{key} was executed, and no client ended it")
    for call in books.clients.calls:
        execution = books.executions.get(call.key, Execution())
        if fault := _fault(call, execution, books.kills):
            wrong, why = fault
            yield Violation(wrong, f"{why}: {_told(call, books.kills)}, {execution}")
    for client in books.clients.broken:
        yield Violation(Wrong.NO_OUTCOME, f"a client could not go on: {client}")


def _fault(call: Call, execution: Execution, kills: Iterable[Kill]) -> tuple[Wrong, str] | None:
    """What is wrong with how a call ended for its client."""
    match call.outcome:
        case Outcome.RESULT:
            if call.text != call.value:
                return Wrong.FALSE_ANSWER, f"answered {call.text!r} instead of {call.value!r}"
            if not execution.ended:
                return Wrong.FALSE_ANSWER, "answered without having been executed to its end"
        case Outcome.ERROR:
            if call.code == DID_NOT_RUN and execution.started:
                return Wrong.FALSE_ANSWER, "said not to have run, and it ran"
            if call.code not in (DID_NOT_RUN, OUTCOME_UNKNOWN, TIMED_OUT):
                return Wrong.FALSE_ANSWER, "an error that no crash explains"
        case Outcome.NO_ANSWER:
            if not _may_have_broken(call, kills):
                return Wrong.NO_OUTCOME, "broke off although the gateway was not killed"
            # A library gives up earlier than the specification asks of it.
            if call.last_event_id and not call.is_library:
                return Wrong.NO_OUTCOME, "resumed, and not answered"
        case Outcome.ODD:
            return Wrong.FALSE_ANSWER, "answered with what no client can read"
    return None


def _rows(books: Books, promise: Promise) -> Iterator[Violation]:
    """Holds what clients saw against the rows of the database."""
    chains = Chains(books.database.sessions)
    rows = defaultdict[tuple[str, str, int], list[Row]](list)
    for row in books.database.rows:
        rows[chains.first(row.session), row.tool, row.request_bytes].append(row)
    for call in books.clients.calls:
        execution = books.executions.get(call.key, Execution())
        found = rows.pop((chains.first(call.session), call.tool, call.request_bytes), [])
        told = _told(call, books.kills)
        if len(found) > 1:
            yield Violation(Wrong.DOUBLED_ROW, f"{len(found)} rows of one call: {told}: {found}")
        elif found:
            false = _false_row(call, execution, found[0], books.kills, promise)
            if why := false or place_fault(call, found[0], chains):
                yield Violation(Wrong.FALSE_ROW, f"{why}: {told}, {execution}: {found[0]}")
        elif _must_have_row(call, execution, books.kills, promise):
            yield Violation(Wrong.LOST_ROW, f"no row: {told}, {execution}")
    for left in rows.values():
        yield Violation(Wrong.FALSE_ROW, f"a row of a call that no client made: {left}")


def _must_have_row(
    call: Call, execution: Execution, kills: Iterable[Kill], promise: Promise
) -> bool:
    """Whether it is wrong that a call has no row."""
    if promise.is_strict:
        return call.outcome in (Outcome.RESULT, Outcome.ERROR) or execution.started > 0
    was_answered = call.outcome in (Outcome.RESULT, Outcome.ERROR)
    return was_answered and not _may_be_missing(call, kills, promise)


def _false_row(
    call: Call, execution: Execution, row: Row, kills: Iterable[Kill], promise: Promise
) -> str | None:
    """What is wrong with the one row of a call."""
    if row.status == "success" and not execution.ended:
        return "a row says success of a call that did not run to its end"
    if not promise.is_strict and _may_be_missing(call, kills, promise):
        # The row with its outcome may be missing, and recovery have written one without.
        return None
    if call.outcome is Outcome.RESULT and row.status != "success":
        return "a row says that an answered call failed"
    if call.outcome is Outcome.ERROR and row.status == "success":
        return "a row says success of a call that failed for its client"
    return None


def _gateway(books: Books, promise: Promise) -> Iterator[Violation]:
    """Holds the gateway to what it promises about itself."""
    if promise.keeps_sockets and books.clients.refused:
        yield Violation(Wrong.REFUSED, f"{books.clients.refused} connections were refused")
    for damage in books.database.damage:
        yield Violation(Wrong.DAMAGE, damage)
    for panic in books.panics:
        yield Violation(Wrong.PANIC, panic)


def _may_have_broken(call: Call, kills: Iterable[Kill]) -> bool:
    """Whether the gateway was killed while the call's connection was open."""
    # A connection cannot be opened to a dead process; one that waits to be accepted is open
    # already, so the time until the next process accepts counts as well.
    return any(
        kill.is_of_gateway
        and call.connected_at <= kill.ready_at
        and kill.killed_at <= call.ended_at
        for kill in kills
    )


def _may_be_missing(call: Call, kills: Iterable[Kill], promise: Promise) -> bool:
    """Whether the gateway was killed before it had to have written the row of a call."""
    # A client reads its answer after it was sent, so its call may seem to end after the kill.
    return any(
        kill.is_of_gateway
        and call.sent_at <= kill.dead_at
        and kill.killed_at <= call.ended_at + promise.relaxed_s
        for kill in kills
    )


def _told(call: Call, kills: Iterable[Kill]) -> str:
    """A call on one line, with the kills that it met."""
    met = [
        f"{kill.victim} killed {kill.killed_at - call.sent_at:+.3f} s"
        for kill in kills
        if kill.killed_at <= call.ended_at + RELAXED_S and call.sent_at <= kill.ready_at
    ]
    met[KILLS_SHOWN:] = [f"{len(met) - KILLS_SHOWN} more"] if len(met) > KILLS_SHOWN else []
    code = "" if call.code is None else f" {call.code}"
    resumed = f" after {call.resumptions} resumptions" if call.resumptions else ""
    return (
        f"{call.key} [{call.tool}, {call.request_bytes} bytes, session {call.session}] sent at"
        f" {call.sent_at:.3f}, {call.ended_at - call.sent_at:.3f} s: {call.outcome}{code}{resumed}"
        f" {call.text!r} ({', '.join(met) or 'no kill'})"
    )
