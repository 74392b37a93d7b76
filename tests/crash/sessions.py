"""Compares what clients learned about their sessions with the sessions of the database.

A session that was silent for too long ends, and the next request of its client starts one that continues it. Such
sessions are a chain, and whatever a client did is in one session of its chain.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from crash.books import Books, Call, Fate, Kill, Outcome, Pause, Row, SessionRow
from crash.violations import Promise, Violation, Wrong

# Signs of life are written this often, whatever the durability: a crash may lose the latest.
TOUCHES_S = 1.0

ENDED, ACTIVE = ("disconnected", "client_disconnect"), ("active", None)
TIMED_OUT = ("disconnected", "timeout_no_activity")


class Chains:
    """Which sessions continue which."""

    def __init__(self, sessions: Iterable[SessionRow]) -> None:
        self._continues = {s.id: s.continues for s in sessions if s.continues}

    def back_from(self, session: str) -> list[str]:
        """The session, and those that it continues, back to the first. A ring ends where it closes."""
        chain = [session]
        while (before := self._continues.get(chain[-1])) and before not in chain:
            chain.append(before)
        return chain

    def first(self, session: str) -> str:
        """The session that a chain began with."""
        return self.back_from(session)[-1]

    def leads(self, old: str, new: str | None) -> bool:
        """Whether the new session is the old one, or continues it."""
        return new is not None and old in self.back_from(new)


def compare_sessions(books: Books, promise: Promise) -> Iterator[Violation]:
    """Yields what is wrong with the sessions, one by one and as chains."""
    chains = Chains(books.database.sessions)
    yield from _told(books, chains)
    yield from _stored(books, promise)
    yield from _chained(books)
    yield from _counted(books)
    yield from _paused(books)


def place_fault(call: Call, row: Row, chains: Chains) -> str | None:
    """What is wrong with the session that has the row of a call."""
    if call.is_session_told and row.session != call.session:
        return "its row is in another session than its answer said"
    if not chains.leads(call.session, row.session):
        return "its row is in a session that is over"
    return None


def _told(books: Books, chains: Chains) -> Iterator[Violation]:
    """What clients were told is there, and each session goes on from the one before."""
    stored = {session.id for session in books.database.sessions}
    latest: dict[str, str] = {}
    for note in books.clients.sessions:
        if note.fate is Fate.LOST:
            yield Violation(Wrong.LOST_SESSION, f"{note.client}, {note.session}: {note.detail}")
        if note.session not in stored:
            what = f"{note.client} was told {note.session}, which the database does not know"
            yield Violation(Wrong.LOST_SESSION, what)
        before = latest.setdefault(note.client, note.session)
        if not chains.leads(before, note.session):
            what = f"{note.client} was in {before} and then in {note.session}, which does not continue it"
            yield Violation(Wrong.LOST_SESSION, what)
        latest[note.client] = note.session
        bound = books.database.connections.get(note.handle)
        if note.handle and not chains.leads(note.session, bound):
            what = f"{note.client}: handle {note.handle} of {note.session} is bound to {bound}"
            yield Violation(Wrong.LOST_SESSION, what)


def _stored(books: Books, promise: Promise) -> Iterator[Violation]:
    """Each session has the status that its client gave it, or its client's silence."""
    fates, said_goodbye_at = defaultdict[str, set[Fate]](set), dict[str, float]()
    for note in books.clients.sessions:
        fates[note.session].add(note.fate)
        if note.fate is Fate.ENDED:
            said_goodbye_at[note.session] = note.at
    heard = _heard(books, promise)
    for session in books.database.sessions:
        state = (session.status, session.reason)
        if promise.idle_s is not None and state == TIMED_OUT:
            why = _false_timeout(session, heard.get(session.id), promise.idle_s)
            if not why and (session.ended_at or 0) > said_goodbye_at.get(session.id, float("inf")):
                why = "its client ended it, and was told so, before it timed out"
        else:
            why = _false_status(state, fates[session.id])
        if why:
            yield Violation(Wrong.FALSE_SESSION, f"{why}: {session}")


def _heard(books: Books, promise: Promise) -> dict[str, float]:
    """When the last call of a session was sent, of those that were answered and that no crash can have forgotten."""
    heard: dict[str, float] = {}
    kills = [kill for kill in books.kills if kill.is_of_gateway]
    for call in books.clients.calls:
        was_answered = call.is_session_told and call.outcome in (Outcome.RESULT, Outcome.ERROR)
        is_forgotten = any(
            call.sent_at <= kill.dead_at
            and kill.killed_at <= call.ended_at + TOUCHES_S + promise.relaxed_s
            for kill in kills
        )
        if was_answered and not is_forgotten:
            heard[call.session] = max(call.sent_at, heard.get(call.session, 0))
    return heard


def _false_timeout(session: SessionRow, heard_at: float | None, idle_s: float) -> str | None:
    """What is wrong with a session that ended in silence."""
    if session.ended_at is None:
        return "it ended, and has no time of that"
    silent_s = session.ended_at - (heard_at or 0)
    return f"it was silent for {silent_s:.3f} s only" if silent_s < idle_s else None


def _false_status(state: tuple[str, str | None], fates: set[Fate]) -> str | None:
    """What is wrong with the status of a session that did not time out."""
    if Fate.ENDED in fates:
        return None if state == ENDED else "its client ended it, and was told so"
    if Fate.PARTED in fates:
        return None if state in (ENDED, ACTIVE) else "its client may have ended it"
    return None if state == ACTIVE else "nobody ended it"


def _chained(books: Books) -> Iterator[Violation]:
    """A session continues one that was silent for too long, and is the only one to do so that a client was told of."""
    stored = {session.id: session for session in books.database.sessions}
    told = {note.session for note in books.clients.sessions}
    heirs = Counter(s.continues for s in books.database.sessions if s.continues and s.id in told)
    for session in books.database.sessions:
        if not session.continues:
            continue
        before = stored.get(session.continues)
        if before is None:
            yield Violation(Wrong.LOST_SESSION, f"the session that it continues is gone: {session}")
        elif (before.status, before.reason) != TIMED_OUT:
            what = f"{session} continues one that did not time out: {before}"
            yield Violation(Wrong.FALSE_SESSION, what)
        elif before.client != session.client:
            what = f"{session} continues another client's: {before}"
            yield Violation(Wrong.FALSE_SESSION, what)
    for continued, count in heirs.items():
        if count > 1:
            yield Violation(Wrong.FALSE_SESSION, f"{count} sessions continue {continued}")


def _counted(books: Books) -> Iterator[Violation]:
    """A client has the sessions that it was told of, and one at most for each request without an answer."""
    told = {note.session for note in books.clients.sessions}
    unheard = Counter(call.client for call in books.clients.calls if call.outcome is Outcome.NO_ANSWER)
    unheard.update({call.client: call.resumptions for call in books.clients.calls if call.resumptions})
    unheard.update(note.client for note in books.clients.sessions if note.fate is Fate.PARTED)
    untold = [session for session in books.database.sessions if session.id not in told]
    begun = Counter(session.client for session in untold if not session.continues)
    continuing = Counter(session.client for session in untold if session.continues)
    for client in begun | continuing:
        unanswered = books.clients.unanswered[client]
        if begun[client] > unanswered:
            what = (
                f"{client} has {begun[client]} sessions that it was not told of"
                f" and left {unanswered} handshakes unanswered"
            )
            yield Violation(Wrong.FALSE_SESSION, what)
        elif continuing[client] > unanswered + unheard[client]:
            what = f"{client} was continued {continuing[client]} times that it was not told of"
            yield Violation(Wrong.FALSE_SESSION, what)


def _paused(books: Books) -> Iterator[Violation]:
    """What a server holds for a client is there after a pause."""
    for pause in books.clients.pauses:
        if pause.held_before != pause.held_after and is_compared(pause, books.kills):
            yield Violation(Wrong.LOST_STATE, f"{pause.held_before} became {pause.held_after}: {pause}")


def is_compared(pause: Pause, kills: Iterable[Kill]) -> bool:
    """Whether a server must hold after a pause what it held before: it is known, and no kill took it away."""
    took = any(
        kill.victim in pause.ends_with
        and kill.killed_at <= pause.ended_at
        and pause.began_at <= kill.ready_at
        for kill in kills
    )
    return bool(pause.held_before and pause.held_after) and not took
