"""Sessions in PostgreSQL: what SQLite's tests show, as far as the database could make a difference."""

from __future__ import annotations

import subprocess
import threading

import pytest

from harness import Archon, archon_bin, wait_for
from postgres import PASSWORD, Postgres
from wire import LegacyClient, ModernClient, get_json

pytestmark = pytest.mark.timeout(180)

ECHOED = "SELECT count(*) FROM archon_mcp_requests WHERE tool_name = 'echo'"


def assert_no_password(gateway: Archon) -> None:
    """It is neither in what the gateway prints nor in what it logs."""
    assert "PostgreSQL" in gateway.log()
    assert PASSWORD not in gateway.log()


@pytest.mark.parametrize("parameters", ["", "?pgbouncer=true"])
def test_clients_of_both_eras_are_recorded(start_fixture, start_archon, postgres, parameters):
    url = postgres.url + parameters
    gateway = start_archon(upstream=start_fixture(), env={"DATABASE_URL": url, "ARCHON_LOG": "debug"})
    legacy = LegacyClient.connect(gateway.url, name="Cursor")
    assert legacy.text("echo", text="1") == "1"
    modern = ModernClient(gateway.url, name="claude-code").call("echo", {"text": "2"})
    assert modern.text == "2"

    postgres.expect(
        [["Claude Code", "modern", "success"], ["Cursor", "legacy", "success"]],
        """SELECT client_type, era, r.status FROM archon_mcp_sessions s
           JOIN archon_mcp_requests r ON r.session_id = s.session_id
           WHERE tool_name = 'echo' ORDER BY 1""",
    )
    active = postgres.query(
        """SELECT session_id, client_type, client_version, connected_at, last_activity, status
           FROM archon_mcp_sessions WHERE status='active' ORDER BY last_activity DESC"""
    )
    assert {row[0] for row in active} == {legacy.session, modern.session}
    today = "SELECT count(*) FROM archon_mcp_requests_default"
    assert postgres.query(today) == [["0"]], "each day has a partition"
    assert get_json(gateway.api_url + "/health")[0] == 200

    assert legacy.end().status < 300
    postgres.expect(
        [["disconnected", "client_disconnect"]],
        f"""SELECT status, disconnect_reason FROM archon_mcp_sessions
            WHERE session_id = '{legacy.session}'""",
    )
    assert_no_password(gateway)


def test_sessions_outlive_the_gateway(start_fixture, start_archon, postgres):
    gateway = start_archon(upstream=start_fixture(), db=postgres.url)
    legacy = LegacyClient.connect(gateway.url)
    modern = ModernClient(gateway.url)
    cookie = {"cookie": modern.call("echo", {"text": "1"}).cookie}
    session = modern.call("echo", {"text": "2"}, cookie).session

    for _ in range(3):
        gateway.kill()
        gateway.start()
        answer = legacy.call("echo", {"text": "3"})
        assert (answer.text, answer.session) == ("3", legacy.session)
        assert modern.call("echo", {"text": "4"}, cookie).session == session

    postgres.expect(
        [["active", "2"]], "SELECT status, count(*) FROM archon_mcp_sessions GROUP BY 1"
    )
    assert_no_password(gateway)


def test_an_upgrade_finds_the_process_without_a_file_of_the_database(
    start_fixture, start_archon, postgres
):
    gateway = start_archon(upstream=start_fixture(), db=postgres.url)
    legacy = LegacyClient.connect(gateway.url)
    done = subprocess.run(
        [archon_bin(), "upgrade", "--db", postgres.url],
        cwd=gateway.directory,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert legacy.call("echo", {"text": "1"}).session == legacy.session
    wait_for("the old process is gone", lambda: not gateway.is_running)


def test_all_rows_arrive_after_the_server_was_away(start_fixture, start_archon, postgres):
    gateway = start_archon(upstream=start_fixture(), db=postgres.url)
    legacy = LegacyClient.connect(gateway.url)
    calls = Calls(legacy)
    calls.start()
    late = None
    for _ in range(2):
        wait_for("calls are going on", calls.more(20))
        postgres.stop()
        try:
            wait_for("calls go on without it", calls.more(20))
            wait_for("the loss is noticed", lambda: health(gateway) == (503, "unhealthy"))
            # A client that comes now has a session as well, and it is stored later.
            late = LegacyClient.connect(gateway.url)
            assert late.text("echo", text="late") == "late"
        finally:
            postgres.start()
        wait_for("it is noticed that it is back", lambda: health(gateway) == (200, "healthy"))
    calls.end()

    postgres.expect([[str(calls.done + 2)]], ECHOED)
    lost = f"SELECT status FROM archon_mcp_sessions WHERE session_id = '{late.session}'"
    postgres.expect([["active"]], lost)
    assert "the session store is back; 0 rows were dropped" in gateway.log()
    assert_no_password(gateway)


def health(gateway: Archon) -> tuple[int, str]:
    """What the API's port says."""
    status, body = get_json(gateway.api_url + "/health")
    return status, body["status"]


class Calls(threading.Thread):
    """A client that calls again and again."""

    def __init__(self, client: LegacyClient) -> None:
        super().__init__()
        self.client = client
        self.done = 0
        self.failed: BaseException | None = None
        self._is_ending = threading.Event()

    def run(self) -> None:
        try:
            while not self._is_ending.is_set():
                assert self.client.text("echo", text="x") == "x"
                self.done += 1
        except BaseException as error:
            self.failed = error

    def more(self, count: int):
        """Whether there were so many more calls since this was asked for."""
        target = self.done + count

        def are_done() -> bool:
            assert self.failed is None, self.failed
            return self.done >= target

        return are_done

    def end(self) -> None:
        """Makes the last call, and waits for its answer."""
        self._is_ending.set()
        self.join()
        assert self.failed is None, self.failed


def test_a_database_that_is_not_there_is_said_without_its_password(postgres: Postgres, tmp_path):
    url = postgres.url.replace("/d", "/no-such-", 1)
    command = [archon_bin(), "serve", "--mcp-port", "0", "--server-port", "0", "--db", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode != 0
    assert "no-such-" in done.stderr and "does not exist" in done.stderr
    assert PASSWORD not in done.stderr + done.stdout
