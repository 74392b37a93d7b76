"""Three gateways on one PostgreSQL behind a balancer that knows nothing of sessions: any client, any node, each request."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import clients
from harness import Archon, archon_bin, fixture_command, wait_for
from nginx import in_front_of
from postgres import Postgres
from wire import JSON_HEADERS, KeepingClient, LegacyClient, ModernClient, encoded, initialize, message, send

pytestmark = pytest.mark.timeout(240)

NODES = ["a", "b", "c"]
# A node is gone when nothing was heard of it for ten seconds.
GONE_S = 60
UNKNOWN = "outcome unknown%"


@dataclass
class Cluster:
    """The nodes, the balancer's URL, and their database."""

    nodes: dict[str, Archon]
    url: str
    postgres: Postgres

    def owner_of(self, session: str) -> str:
        """The name of the node that has a session."""
        sql = f"SELECT owner FROM archon_mcp_sessions WHERE session_id = '{session}'"
        found = wait_for("the session is stored", lambda: self.postgres.query(sql))
        return found[0][0]

    def rows(self, where: str) -> int:
        """How many requests there are."""
        sql = f"SELECT count(*) FROM archon_mcp_requests WHERE {where}"
        return int(self.postgres.query(sql)[0][0])


@pytest.fixture
def start_cluster(postgres, start_archon) -> Iterator[Callable[..., Cluster]]:
    """Starts the nodes in front of an upstream; a node may have an environment of its own."""
    with contextlib.ExitStack() as stack:

        def start(upstream: Any, env: dict[str, dict[str, str]] | None = None) -> Cluster:
            nodes = {
                name: start_archon(
                    "--node", name, upstream=upstream, db=postgres.url, env=(env or {}).get(name)
                )
                for name in NODES
            }
            url = stack.enter_context(in_front_of(*[node.url for node in nodes.values()]))
            return Cluster(nodes, url, postgres)

        yield start


def at(url: str, client: LegacyClient) -> LegacyClient:
    """The same client, somewhere else."""
    return LegacyClient(url, client.handle, client.session, client.version, client.ids)


@pytest.mark.parametrize("upstream", ["http", "stdio"])
def test_each_request_may_come_to_any_node(start_cluster, start_fixture, upstream):
    """The server counts in its own memory, on stdio for each session: nobody sees it begin anew."""
    target = start_fixture() if upstream == "http" else fixture_command("--legacy-only")
    cluster = start_cluster(target)
    legacy = LegacyClient.connect(cluster.url)
    keeping = KeepingClient(cluster.url, name="keeps cookies")
    bare = ModernClient(cluster.url, name="shows nothing", agent="bare/1.0")
    sessions: dict[str, set[str]] = {"legacy": set(), "keeping": set(), "bare": set()}
    for number in range(1, 10):
        for name, client in (("legacy", legacy), ("keeping", keeping), ("bare", bare)):
            answer = client.call("count", {"key": name})
            # Whose session was only guessed has no state at a server that keeps it for sessions.
            expected = 1 if (name, upstream) == ("bare", "stdio") else number
            assert answer.text == str(expected), (name, answer)
            assert answer.session
            sessions[name].add(answer.session)
    assert len(sessions["legacy"]) == len(sessions["bare"]) == 1, sessions
    # A client that keeps cookies was guessed until it showed the first one.
    assert len(sessions["keeping"]) <= 2, sessions
    assert legacy.end().status == 200
    over = lambda: at(cluster.url, legacy).call("count", {"key": "x"}).status == 404  # noqa: E731
    assert all(over() for _ in NODES)


def test_a_call_is_not_run_twice_when_its_node_dies(start_cluster, start_fixture):
    cluster = start_cluster(start_fixture())
    client = LegacyClient.connect(cluster.url)
    owner = cluster.nodes[cluster.owner_of(client.session)]
    params = {"name": "sleep", "arguments": {"ms": 3000, "key": "nap"}}
    body = encoded(message("tools/call", params, 77))
    answers: list[Any] = []

    def call() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            answers.append(send(cluster.url, "POST", body, client.headers()))

    first = threading.Thread(target=call)
    first.start()
    wait_for("the call is in the ledger", lambda: cluster.postgres.query("SELECT 1 FROM archon_mcp_calls"))
    owner.kill()
    first.join(60)

    # Whoever asked another node first has been told already, and sends it again all the same.
    again = [answer for answer in answers if answer.status == 200 and answer.messages]
    if not again:
        again = [send(cluster.url, "POST", body, client.headers())]
    assert again[0].error["data"] == {"ran": "unknown"}, again
    told = wait_for("it is recorded", lambda: cluster.rows(f"error_message LIKE '{UNKNOWN}'"))
    assert told == 1
    assert cluster.rows("tool_name = 'sleep' AND status = 'success'") == 0
    # Its session goes on elsewhere.
    answer = client.call("echo", {"text": "hello"})
    assert (answer.text, answer.session) == ("hello", client.session)
    assert cluster.nodes[cluster.owner_of(client.session)] is not owner
    owner.restart()
    assert at(owner.url, client).call("echo", {"text": "back"}).text == "back"


def test_a_node_that_was_paused_lets_go_of_what_others_took(start_cluster, start_fixture):
    cluster = start_cluster(start_fixture())
    client = LegacyClient.connect(cluster.url)
    name = cluster.owner_of(client.session)
    paused = cluster.nodes[name]
    others = [node for node in cluster.nodes.values() if node is not paused]
    assert client.call("count", {"key": "k"}).text == "1"
    os.kill(paused.pid, signal.SIGSTOP)
    try:
        # What the paused node has been sent may still run there; what changes nothing is done elsewhere.
        lost = at(others[0].url, client).call("count", {"key": "lost"})
        answer = at(others[1].url, client).request("tools/list")
    finally:
        os.kill(paused.pid, signal.SIGCONT)
    assert lost.error["data"] == {"ran": "unknown"}
    assert answer.result["tools"] and answer.session == client.session
    assert cluster.owner_of(client.session) != name
    for number, node in enumerate([paused, *others], 2):
        answer = at(node.url, client).call("count", {"key": "k"})
        assert (answer.text, answer.session) == (str(number), client.session)


def test_clocks_of_nodes_decide_nothing(start_cluster, start_fixture):
    """One is forty seconds fast, one as slow: what an operator ends is over everywhere, and nothing else is."""
    library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
    assert os.path.exists(library), "faketime is missing: run scripts/install-system --test"
    skewed = {
        "a": {"LD_PRELOAD": library, "FAKETIME": "+40s"},
        "b": {"LD_PRELOAD": library, "FAKETIME": "-40s"},
    }
    cluster = start_cluster(start_fixture(), skewed)
    found = [LegacyClient.connect(node.url) for node in cluster.nodes.values()]
    for client in found:
        for node in cluster.nodes.values():
            assert at(node.url, client).call("echo", {"text": "1"}).session == client.session
    sql = "SELECT count(*) FROM archon_mcp_sessions WHERE abs(extract(epoch FROM last_activity - now())) > 20"
    assert cluster.postgres.query(sql) == [["0"]]
    for client, node in zip(found, reversed(list(cluster.nodes.values())), strict=True):
        command = [str(archon_bin()), "sessions", "end", client.session, "--api", node.api_url, "--yes"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0, ended
        for other in cluster.nodes.values():
            there = at(other.url, client)
            is_over = lambda there=there: there.call("echo", {"text": "2"}).status == 404  # noqa: E731
            wait_for("the session is over there", is_over, GONE_S)


def test_without_the_database_no_handle_is_told_and_none_is_lost(start_cluster, start_fixture):
    cluster = start_cluster(start_fixture())
    names = iter(cluster.nodes.values())
    first, second = next(names), next(names)
    assert LegacyClient.connect(second.url).call("echo", {"text": "1"}).text == "1"
    known = LegacyClient.connect(first.url)
    cluster.postgres.stop()
    try:
        # What is not stored is not told, and what is known goes on.
        refused = send(first.url, "POST", encoded(initialize()), JSON_HEADERS)
        assert refused.status == 503 and refused.headers["retry-after"]
        statuses = {at(node.url, known).call("echo", {"text": "2"}).status for node in (first, second)}
    finally:
        cluster.postgres.start()

    def is_served(node: Archon) -> bool:
        answer = at(node.url, known).call("echo", {"text": "3"})
        statuses.add(answer.status)
        return answer.status == 200 and answer.session == known.session

    for node in cluster.nodes.values():
        wait_for("it is served again", lambda node=node: is_served(node), GONE_S)
    assert statuses <= {200, 503}
    # A node notices by its next write that the database is back.
    again = lambda: send(cluster.url, "POST", encoded(initialize()), JSON_HEADERS).status == 200  # noqa: E731
    assert all(wait_for("handshakes are taken again", again, GONE_S) for _ in NODES)


def test_a_second_node_of_one_name_is_refused(postgres, start_fixture, start_archon):
    upstream = start_fixture()
    first = start_archon("--node", "a", upstream=upstream, db=postgres.url)
    with pytest.raises(RuntimeError, match='node "a" is in use by process'):
        start_archon("--node", "a", upstream=upstream, db=postgres.url)
    assert LegacyClient.connect(first.url).call("echo", {"text": "1"}).text == "1"
    first.kill()
    first.restart()


@pytest.mark.parametrize("upstream", ["http", "stdio"])
@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_questions_reach_their_client_from_any_node(start_cluster, start_fixture, mode, upstream):
    target = start_fixture() if upstream == "http" else fixture_command("--legacy-only")
    cluster = start_cluster(target)

    async def ask() -> list[str]:
        async with clients.connect("mcp", cluster.url, mode) as client:
            return [await client.text("test_elicitation", message="who?") for _ in range(25)]

    texts = asyncio.run(ask())
    assert len(set(texts)) == 1 and "accept" in texts[0], texts


def test_the_port_for_nodes_is_for_nodes(postgres, start_fixture, start_archon):
    node = start_archon("--node", "a", upstream=start_fixture(), db=postgres.url)
    address = postgres.query("SELECT address FROM archon_mcp_nodes")[0][0]
    for path, headers in (("/mcp", {}), ("/nodes/knows/x", {"x-archon-node-key": "0" * 64})):
        answer = send(f"http://{address}{path}", "POST", b"{}", headers)
        assert answer.status == 403 and "for other nodes" in answer.error["message"]
    assert LegacyClient.connect(node.url).call("echo", {"text": "1"}).text == "1"
