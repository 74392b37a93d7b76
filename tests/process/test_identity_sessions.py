"""Whose sessions and handles are whose: another principal's are unknown to you."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import rows
from issuer import Issuer
from wire import (
    JSON_HEADERS,
    Answer,
    LegacyClient,
    ModernClient,
    encoded,
    events,
    initialize,
    opened,
    send,
)

IDLE = {"idle_timeout_seconds": 2, "reap_every_seconds": 0.2}
NO_SESSION = -31006


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer("ES256") as issuer:
        yield issuer


@pytest.fixture
def start(start_archon, config, issuer):
    """Starts a gateway that trusts the issuer."""

    def start(*args: str, tables: dict[str, Any] | None = None, **auth: Any) -> Any:
        return start_archon(*config(auth={"issuer": issuer.url, **auth}, **(tables or {})), *args)

    return start


@pytest.fixture
def of(issuer):
    """The credentials of somebody, in a new token each time."""
    audience = "http://127.0.0.1"

    def of(subject: str, **claims: Any) -> dict[str, str]:
        token = issuer.token(subject, audience, **claims)
        return {"authorization": f"Bearer {token}"}

    of.audience = audience
    return of


def strange(client: LegacyClient, stranger: dict[str, str]) -> list[Answer]:
    """What somebody else gets who shows this client's handle."""
    headers = client.headers(stranger)
    resuming = {**headers, "last-event-id": "0-0", "accept": "text/event-stream"}
    return [
        client.request("tools/list", headers=stranger),
        send(client.url, "GET", headers=headers),
        send(client.url, "GET", headers=resuming),
        send(client.url, "DELETE", headers=headers),
    ]


def is_unknown(answer: Answer) -> bool:
    """Whether a handle means nothing to its sender."""
    return (answer.status, answer.error["code"], answer.session) == (404, NO_SESSION, None)


def joined(url: str, credentials: dict[str, str], session: str | None) -> set[str | None]:
    """The sessions that somebody is in who shows the id of one, in every way that there is."""
    header, cookie = {"x-archon-session-id": session}, {"cookie": f"archon_session={session}"}
    body = encoded(initialize())
    answers = []
    for shown in (header, cookie):
        headers = {**JSON_HEADERS, **credentials, **shown}
        answers.append(send(url, "POST", body, headers))
        answers.append(ModernClient(url).call("find_projects", headers={**credentials, **shown}))
    assert all(answer.result for answer in answers)
    return {answer.session for answer in answers}


@pytest.mark.parametrize("stranger", ["bob", None])
def test_what_is_anothers_is_unknown(start, of, stranger):
    gateway = start(audience=of.audience, required=False)
    ada = LegacyClient.connect(gateway.url, credentials=of("ada"))
    modern = ModernClient(gateway.url).call("find_projects", headers=of("ada"))
    foreign = of(stranger) if stranger else {}
    shown = LegacyClient(ada.url, ada.handle, ada.session)
    assert all(map(is_unknown, strange(shown, foreign)))
    taken = {ada.session, modern.session}
    assert not taken & joined(gateway.url, foreign, ada.session)
    assert not taken & joined(gateway.url, foreign, modern.session)
    # The same client of somebody else is no kin.
    assert ModernClient(gateway.url).call("find_projects", headers=foreign).session not in taken
    # A legacy request that shows only its session finds none.
    body, headers = ada.body("tools/list"), {**JSON_HEADERS, **foreign}
    by_session = send(gateway.url, "POST", body, {**headers, "x-archon-session-id": ada.session})
    assert by_session.status == 400
    assert ada.call("find_projects").session == ada.session
    rows.expect_session(gateway.db, ada.session, status="active")


def test_what_is_anothers_stays_unknown_over_restarts_and_silences(start, of):
    gateway = start(audience=of.audience, tables={"sessions": IDLE})
    ada = LegacyClient.connect(gateway.url, credentials=of("ada"))
    modern = ModernClient(gateway.url).call("find_projects", headers=of("ada")).session
    bob = of("bob")

    def none_of_hers() -> None:
        assert all(map(is_unknown, strange(ada, bob)))
        assert not {ada.session, modern} & joined(gateway.url, bob, ada.session)
        assert not {ada.session, modern} & joined(gateway.url, bob, modern)

    gateway.kill()
    gateway.restart()
    none_of_hers()
    for session in (ada.session, modern):
        rows.expect_session(gateway.db, session, disconnect_reason="timeout_no_activity")
    none_of_hers()
    gateway.stop()
    gateway.restart()
    none_of_hers()
    # Now she comes back, and a session of hers continues the old one; that is not his either.
    heir = ada.call("find_projects").session
    rows.expect_session(gateway.db, heir, continues=ada.session)
    assert heir not in joined(gateway.url, bob, ada.session)
    assert all(map(is_unknown, strange(ada, bob)))


def test_a_new_token_for_the_same_person_keeps_the_session(start, of):
    gateway = start(audience=of.audience)
    first = {"email": "ada@example.com", "name": "Ada"}
    legacy = LegacyClient.connect(gateway.url, credentials=of("ada", **first))
    modern = ModernClient(gateway.url).call("find_projects", headers=of("ada")).session
    for restarts in (False, True):
        if restarts:
            gateway.kill()
            gateway.restart()
        later = of("ada", email="ada@other.example")
        assert legacy.call("find_projects", headers=later).session == legacy.session
        # Without any handle: the same person with the same client.
        again = ModernClient(gateway.url).call("find_projects", headers=later)
        assert again.session == modern
    columns = {"user_email": "ada@example.com", "user_name": "Ada", "user_id": "ada"}
    rows.expect_session(gateway.db, legacy.session, **columns)


def test_a_stream_is_resumed_by_its_own_principal_alone(start, start_fixture, of):
    upstream = start_fixture()
    gateway = start("--upstream", f"main={upstream.url}", audience=of.audience)
    ada = LegacyClient.connect(gateway.url, credentials=of("ada"))
    params = {"name": "sleep", "arguments": {"ms": 300}, "_meta": {"progressToken": "p"}}
    headers = ada.headers()
    with opened(gateway.url, "POST", ada.body("tools/call", params), headers) as stream:
        id, _ = next(events(stream))
    assert id
    resuming = {"last-event-id": id, "accept": "text/event-stream"}
    foreign = send(gateway.url, "GET", headers=ada.headers({**resuming, **of("bob")}))
    assert is_unknown(foreign)
    with opened(gateway.url, "GET", b"", ada.headers({**resuming, **of("ada")})) as stream:
        data = [json.loads(data) for _, data in events(stream) if data]
    assert data[-1]["result"]["content"]


def test_a_reconnect_token_is_of_no_use_to_another(start, of):
    gateway = start(audience=of.audience)
    ada = LegacyClient.connect(gateway.url, credentials=of("ada"))
    token = json.loads(ada.text("get_reconnect_token"))["reconnect_token"]

    def take_back(person: str) -> Any:
        client = LegacyClient.connect(gateway.url, credentials=of(person))
        shown = {"session_id": ada.session, "reconnect_token": token}
        return json.loads(client.text("reconnect_session", **shown))["success"]

    assert [take_back(person) for person in ("bob", "ada")] == [False, True]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [({"principal": "*#ada"}, [11, 300, 300]), ({"user": "*@example.com"}, [300, 11, 300])],
)
def test_timeouts_follow_who_it_is(start, of, rule, expected):
    rules = {"[sessions.timeouts]": {**rule, "idle_timeout_seconds": 11}}
    gateway = start(audience=of.audience, required=False, tables=rules)
    people = [of("ada"), of("bob", email="bob@example.com"), {}]
    for credentials, seconds in zip(people, expected, strict=True):
        client = LegacyClient.connect(gateway.url, credentials=credentials)
        rows.expect_session(gateway.db, client.session, idle_timeout_seconds=seconds)


def test_a_token_is_checked_by_many_requests_at_once(start, of):
    gateway = start(audience=of.audience)
    credentials, answers = of("ada"), []

    def call() -> None:
        answers.append(ModernClient(gateway.url).call("find_projects", headers=credentials))

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} == {200}
    assert len({answer.session for answer in answers}) == 1
