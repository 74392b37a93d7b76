"""Two gateways on one database: a client may come to either, and neither takes what the other has in hand."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import threading
from typing import Any

import pytest

import rows
from harness import Archon, archon_bin, wait_for
from postgres import Postgres
from wire import LegacyClient

pytestmark = pytest.mark.timeout(180)

DATABASES = ["sqlite", "postgres"]
# Ends are looked for every second, by a gateway that has learned within twenty that it is not alone.
LEARNED_S = 60
SLEEPS = "SELECT status, count(*) FROM archon_mcp_requests WHERE tool_name = 'sleep' GROUP BY 1"


class Pair:
    """The gateways, and what they wrote."""

    def __init__(self, one: Archon, other: Archon, postgres: Postgres | None):
        self.one, self.other, self.postgres = one, other, postgres

    def query(self, sql: str) -> list[tuple[str, ...]]:
        """Rows as text, whichever database it is."""
        if self.postgres:
            return [tuple(row) for row in self.postgres.query(sql)]
        return [tuple(str(value) for value in row) for row in rows.query(self.one.db, sql)]


@pytest.fixture(params=DATABASES)
def pair(request, postgres, start_fixture, start_archon, tmp_path) -> Pair:
    """Two gateways in front of one server, on one database."""
    is_postgres = request.param == "postgres"
    db = postgres.url if is_postgres else tmp_path / "shared.db"
    upstream = start_fixture()
    names = [() if is_postgres else ("--node", name) for name in ("a", "b")]
    one, other = (start_archon(*args, upstream=upstream, db=db) for args in names)
    return Pair(one, other, postgres if is_postgres else None)


def test_a_second_gateway_on_a_file_is_refused_until_the_first_is_gone(
    start_fixture, start_archon, tmp_path
):
    upstream, db = start_fixture(), tmp_path / "shared.db"
    first = start_archon(upstream=upstream, db=db)
    client = LegacyClient.connect(first.url)
    answers: list[Any] = []
    arguments = {"ms": 4000, "key": "nap"}
    call = threading.Thread(target=lambda: answers.append(client.call("sleep", arguments)))
    call.start()
    wait_for("the call is known", lambda: rows.query(db, "SELECT node FROM archon_mcp_calls"))
    pid_file = tmp_path / "shared.db.pid"

    with pytest.raises(RuntimeError) as refused:
        start_archon(upstream=upstream, db=db)

    said = f"{db} is in use by process {first.pid} on "
    assert said in str(refused.value) and f"MCP at 127.0.0.1:{first.port}" in str(refused.value)
    assert pid_file.read_text() == f"{first.pid}\n"
    # What only reads goes on beside it.
    command = [str(archon_bin()), "sessions", "list", "--api", first.api_url]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert listed.returncode == 0 and client.session[:8] in listed.stdout, listed
    call.join(60)
    assert answers[0].text == "slept 4000 ms"
    lost = "SELECT count(*) FROM archon_mcp_requests WHERE error_message LIKE 'outcome unknown%'"
    rows.expect(db, [("success", 1)], SLEEPS)
    assert rows.query(db, lost) == [(0,)]

    # One with a name of its own is another node, with files of its own.
    other = start_archon("--node", "b c", upstream=upstream, db=db)
    own = tmp_path / "shared.db.b%20c.pid"
    # It says where it is, and then who.
    wait_for("it has written its pid", own.exists)
    assert own.read_text() == f"{other.pid}\n"
    assert pid_file.read_text() == f"{first.pid}\n"
    with pytest.raises(RuntimeError, match='node "b c" on .* is in use by process'):
        start_archon("--node", "b c", upstream=upstream, db=db)

    # A crash gives it back at once.
    first.kill()
    second = start_archon(upstream=upstream, db=db)
    assert at(second, client).call("echo", {"text": "hello"}).text == "hello"
    second.restart()


def at(gateway: Archon, client: LegacyClient) -> LegacyClient:
    """The same client, at another gateway."""
    return LegacyClient(gateway.url, client.handle, client.session, client.version, client.ids)


def test_a_client_may_come_to_either(pair):
    client = LegacyClient.connect(pair.one.url)
    for gateway in (pair.other, pair.one, pair.other):
        answer = at(gateway, client).call("echo", {"text": "hello"})
        assert (answer.text, answer.session) == ("hello", client.session)
    # What it keeps at one helps it at the other.
    token = client.call("get_reconnect_token").result["structuredContent"]["reconnect_token"]
    arguments = {"session_id": client.session, "reconnect_token": token}
    answer = LegacyClient.connect(pair.other.url).call("reconnect_session", arguments)
    assert answer.result["structuredContent"]["success"] and answer.session == client.session
    # And what it ends at one is over at the other.
    ended = LegacyClient.connect(pair.one.url)
    there = at(pair.other, ended)
    assert there.call("echo", {"text": "1"}).session == ended.session
    assert ended.end().status == 200
    is_over = lambda: there.call("echo", {"text": "2"}).status == 404  # noqa: E731
    wait_for("its handle is no good any more", is_over, LEARNED_S)


def test_a_gateway_that_starts_takes_only_its_own_calls(pair):
    client = LegacyClient.connect(pair.one.url)
    answers: list[Any] = []
    arguments = {"ms": 4000, "key": "nap"}
    call = threading.Thread(target=lambda: answers.append(client.call("sleep", arguments)))
    call.start()
    ledger = "SELECT node FROM archon_mcp_calls"
    wait_for("the call is in the ledger", lambda: pair.query(ledger))
    unknown = "SELECT count(*) FROM archon_mcp_requests WHERE error_message LIKE 'outcome unknown%'"

    pair.other.kill()
    pair.other.restart()

    assert pair.query(unknown) == [("0",)]
    call.join(60)
    assert answers[0].text == "slept 4000 ms"

    wait_for("the call has left the ledger", lambda: not pair.query(ledger))

    # Its own it takes at once.
    lost = LegacyClient.connect(pair.other.url)

    def call_in_vain() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            lost.call("sleep", arguments)

    call = threading.Thread(target=call_in_vain)
    call.start()
    wait_for("the call is in the ledger", lambda: pair.query(ledger))
    pair.other.kill()
    call.join(60)
    pair.other.restart()
    assert pair.query(unknown) == [("1",)]
    assert pair.query(ledger) == []
