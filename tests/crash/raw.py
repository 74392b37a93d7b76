"""What clients that speak plain HTTP have in common: calls, answers, and when to stop."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crash.books import Call, ClientBook, Fate, Outcome, SessionNote
from crash.pauses import Pauses, held
from crash.sender import BROKEN, PAUSE_S, NetworkWentDark, Sender
from process.wire import events

# The longest that a call takes upstream.
TAKES_MS_MAX = 300
# A client that resumes and resumes gives up after this time.
RESUME_S = 30
# A handshake is retried for this time.
CONNECT_S = 60
# Between two calls, at most; and after one that did not reach its upstream.
THINKS_S, WAITS_S = 0.03, 0.3

COUNT, COUNT_READ_ONLY = "count", "count_read_only"
TOOLS = (COUNT, COUNT_READ_ONLY)
SESSION, HANDLE = "x-archon-session-id", "mcp-session-id"
# An upstream may call a tool read-only that is not: a gateway must not take its word for it.
READ_ONLY_SHARE = 0.1
# The ids of requests other than calls begin here.
QUESTIONS = 1_000_000

Message = Mapping[str, Any]


@dataclass
class Draft:
    """A call that is being made."""

    client: str
    session: str
    number: int
    tool: str
    takes_ms: int
    more_padding: int = 0
    is_session_told: bool = False  # by the head of its answer

    @property
    def key(self) -> str:
        """What the upstream's journal calls it."""
        return f"{self.client}/{self.number}"

    @property
    def value(self) -> str:
        """What it must be answered: no other call of a run adds the same to a new counter."""
        return str(1 + self.number + 1_000_000 * (hash_of(self.client) % 1_000_000))

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of `tools/call`, with a different size for each call of a client."""
        padding = self.number + self.more_padding
        arguments = {"key": self.key, "add": int(self.value), "ms": self.takes_ms}
        return {"name": self.tool, "arguments": {**arguments, "pad": "pad " * padding}}


@dataclass
class Seen:
    """What came on the streams of one call."""

    answer: Message | None = None
    last_event_id: str = ""
    resumptions: int = 0
    detail: str = ""
    is_odd: bool = False

    def read(
        self, response: http.client.HTTPResponse, id: int, goes_dark: bool = False
    ) -> None:
        """Reads an answer, as JSON or as events, until it is there or the stream ends; or until the network
        `goes_dark`, once there is an event to resume after."""
        if "text/event-stream" not in response.headers.get("content-type", ""):
            self._read_json(response)
            return
        for event_id, data in events(response):
            self.last_event_id = event_id or self.last_event_id
            message = json.loads(data) if data else {}
            if message.get("id") == id and ("result" in message or "error" in message):
                self.answer = message
                break
            if goes_dark and self.last_event_id:
                raise NetworkWentDark
        if self.answer is None:
            raise ConnectionError("the stream ended without an answer")
        # The stream ends with its answer; what breaks now takes nothing away.
        with contextlib.suppress(*BROKEN):
            response.read()

    def _read_json(self, response: http.client.HTTPResponse) -> None:
        body = response.read()
        try:
            self.answer = json.loads(body)
        except ValueError:
            self.is_odd, self.detail = True, f"status {response.status}: {body[:500]!r}"


def hash_of(text: str) -> int:
    """A number that is the same in each run, unlike `hash`."""
    return int.from_bytes(random.Random(text).randbytes(4))


def draft(client: str, session: str, number: int, chance: random.Random) -> Draft:
    """Chooses what the next call is."""
    tool = COUNT_READ_ONLY if chance.random() < READ_ONLY_SHARE else COUNT
    # Most calls are quick, and some are slow enough to be met by a kill.
    takes_ms = chance.randint(0, 20) if chance.random() < 0.5 else chance.randint(20, TAKES_MS_MAX)
    return Draft(client, session, number, tool, takes_ms)


def pause_after(call: Call) -> float:
    """The longest pause after a call."""
    return WAITS_S if call.outcome is Outcome.ERROR else THINKS_S


def outcome_of(answer: Message) -> tuple[Outcome, int | None, str]:
    """What an answer means: outcome, code, text."""
    if "error" in answer:
        error = answer["error"]
        return Outcome.ERROR, error.get("code"), str(error.get("message"))
    result = answer.get("result") or {}
    texts = [part.get("text", "") for part in result.get("content", ())]
    if result.get("isError") or len(texts) != 1:
        return Outcome.ODD, None, json.dumps(answer)[:500]
    return Outcome.RESULT, None, texts[0]


def ended(
    draft: Draft,
    request_bytes: int,
    connected_at: float,
    sent_at: float,
    seen: Seen,
    is_library: bool = False,
) -> Call:
    """The call as it goes into the book, now that it is over."""
    outcome, code, text = Outcome.ODD if seen.is_odd else Outcome.NO_ANSWER, None, seen.detail
    if seen.answer is not None:
        outcome, code, text = outcome_of(seen.answer)
    return Call(
        client=draft.client,
        session=draft.session,
        key=draft.key,
        tool=draft.tool,
        value=draft.value,
        request_bytes=request_bytes,
        connected_at=min(connected_at, sent_at),
        sent_at=sent_at,
        ended_at=time.time(),
        outcome=outcome,
        code=code,
        text=text,
        last_event_id=seen.last_event_id,
        resumptions=seen.resumptions,
        is_library=is_library,
        is_session_told=draft.is_session_told,
    )


@dataclass
class RawClient:
    """A client on plain HTTP, from its handshake to its goodbye. Each is used once."""

    url: str
    name: str
    book: ClientBook
    chance: random.Random
    session: str = ""
    handle: str = ""  # of a legacy connection
    was_lost: bool = False
    dark_share: float = 0  # of calls whose network goes dark once they can be resumed
    pauses: Pauses | None = None
    asked: int = 0  # requests that are no calls
    sender: Sender = field(init=False)

    def __post_init__(self) -> None:
        self.sender = Sender(self.url, self.chance.random() < 0.5, self.book)

    def use(self, calls: int, is_over: Callable[[], bool]) -> None:
        """Connects, calls so many times or until it is over, and leaves."""
        try:
            self.connect()
            for number in itertools.islice(itertools.count(1), calls):
                if is_over():
                    break
                call = self.call(draft(self.name, self.session, number, self.chance))
                self.book.calls.append(call)
                if self.was_lost:
                    return  # It is in the book; the next client takes this one's place.
                if not self.pause():
                    time.sleep(self.chance.uniform(0, pause_after(call)))
            self.leave()
        finally:
            self.sender.close()

    def connect(self) -> None:
        """Gets a session, however often that breaks."""
        deadline = time.monotonic() + CONNECT_S
        while not self.try_to_connect():
            self.book.note_unanswered(self.name)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name}: no session within {CONNECT_S} s")
            time.sleep(PAUSE_S)

    def pause(self) -> bool:
        """Falls silent after a call, if that is due; and asks after a pause what is held."""
        if not self.pauses:
            return False
        if self.pauses.asks_now(has_called=True):
            self.pauses.end(self.session, self.held())
        if not self.pauses.are_due():
            return False
        asked_at = time.time()
        self.pauses.begin(asked_at, self.session, self.held())
        time.sleep(self.pauses.length())
        if self.pauses.asks_now(has_called=False):
            self.pauses.end(self.session, self.held())
        return True

    def held(self) -> str:
        """What its server holds for it now; "" if that cannot be known."""
        assert self.pauses
        answers = [self.ask(*question) for question in self.pauses.questions()]
        return held(answers[-1]) if self.is_proven() else ""

    def ask(self, method: str, params: dict[str, Any]) -> Message:
        """Makes a request that is no call of the books, once; its result, or nothing."""
        self.asked += 1
        id, seen = QUESTIONS + self.asked, Seen()
        body, headers = self.request(method, params, id)
        with contextlib.suppress(*BROKEN), self.sender.opened("POST", body, headers) as response:
            self.check(response)
            seen.read(response, id)
        if seen.answer is None:
            self.book.note_unanswered(self.name)
        return (seen.answer or {}).get("result") or {}

    def call(self, draft: Draft) -> Call:
        """Makes one call, once, and returns how it ended."""
        body, headers = self.request("tools/call", draft.params, draft.number)
        seen, sent_at = Seen(), time.time()
        try:
            with self.sender.opened("POST", body, headers) as response:
                draft.is_session_told = self.check(response)
                draft.session = self.session
                seen.read(response, draft.number, self.chance.random() < self.dark_share)
            connected_at = self.sender.opened_at
        except BROKEN as error:
            connected_at = self.sender.opened_at
            seen.detail = f"{type(error).__name__}: {error}"
            if seen.last_event_id:
                self.resume(seen, draft.number)
        return ended(draft, len(body), connected_at, sent_at, seen)

    def check(self, response: http.client.HTTPResponse) -> bool:
        """Notes which session a request was answered in, or that it was lost. Whether the answer named one.

        Raises ConnectionError for what a proxy says in the gateway's place: the call may have run.
        """
        if response.status >= 500 and response.headers.get("server", "").startswith("nginx"):
            raise ConnectionError(f"the proxy answered {response.status}")
        session, handle = response.headers.get(SESSION), response.headers.get(HANDLE)
        lost = "answered with 404" if response.status == 404 else ""
        if handle is not None and handle != self.handle:
            lost = f"{HANDLE} was {self.handle} and is now {handle}"
        if lost:
            self.was_lost = True
            self.note(Fate.LOST, lost)
        elif session and session != self.session:
            # The comparison knows whether it continues the one before.
            self.session = session
            self.note(Fate.TOLD)
        return bool(session)

    def note(self, fate: Fate, detail: str = "") -> None:
        """Writes down what it learned about its session."""
        note = SessionNote(self.name, self.session, fate, time.time(), self.handle, detail)
        self.book.sessions.append(note)

    def try_to_connect(self) -> bool:
        """Asks for a session; whether it got one."""
        raise NotImplementedError

    def request(
        self, method: str, params: dict[str, Any], id: int
    ) -> tuple[bytes, dict[str, str]]:
        """The body and the headers of a request."""
        raise NotImplementedError

    def is_proven(self) -> bool:
        """Whether it shows what gives it its own state at the upstream."""
        return True

    def resume(self, seen: Seen, id: int) -> None:
        """Gets the rest of a broken stream, if its era has a way to."""

    def leave(self) -> None:
        """Says goodbye, if its era has a way to."""
