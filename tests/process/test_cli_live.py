"""`archon doctor`, `archon sessions` and `archon watch` on running gateways."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from command import archon, at
from harness import Archon, archon_bin, wait_for
from wire import LegacyClient

pytestmark = pytest.mark.timeout(240)


def results(printed: str) -> dict[str, str]:
    """What the doctor said of each check."""
    lines = [line for line in printed.splitlines() if line.startswith("[")]
    return {line[7:].split(":")[0]: line[1:5] for line in lines}


def check_well(gateway: Archon, folder: Path) -> None:
    """Expects that the doctor finds nothing wrong, and could look at everything but a restart."""
    done = archon("doctor", cwd=folder, env=at(gateway))
    found = results(done.stdout)
    assert "FAIL" not in found.values(), done.stdout
    skipped = {name for name, result in found.items() if result == "SKIP"}
    assert skipped <= {"recovery"}, done.stdout
    assert {"legacy client", "modern client", "reconnect token", "WebSocket", "goodbye"} <= set(found)


def test_the_doctor_finds_a_deployment_on_postgresql_well(start_archon, postgres, tmp_path):
    check_well(start_archon(env={"DATABASE_URL": postgres.url}), tmp_path)


def test_the_doctor_finds_a_good_deployment_well_and_sees_its_restart(start_archon, tmp_path):
    gateway = start_archon()
    check_well(gateway, tmp_path)
    client = LegacyClient.connect(gateway.url)
    gateway.kill()
    gateway.restart()
    again = archon("doctor", "--json", cwd=tmp_path, env=at(gateway))
    checks = {check["name"]: check for check in json.loads(again.stdout)}
    assert checks["recovery"]["result"] == "PASS" and client.session in checks["recovery"]["detail"]


def test_the_doctor_says_what_is_wrong_and_what_helps(start_archon, start_fixture, tmp_path):
    upstream = start_fixture()
    gateway = start_archon(upstream=upstream)
    upstream.kill()
    sick = archon("doctor", cwd=tmp_path, env=at(gateway), code=1)
    assert results(sick.stdout)["legacy client"] == "FAIL" and "failed" in sick.stderr
    gateway.kill()
    gone = archon("doctor", cwd=tmp_path, env=at(gateway), code=1)
    found = results(gone.stdout)
    assert (found["MCP endpoint"], found["API"], found["sessions"]) == ("FAIL", "FAIL", "SKIP")
    assert "archon serve" in gone.stdout


def test_commands_find_the_gateway_that_is_configured(start_archon, tmp_path):
    gateway = start_archon()
    session = LegacyClient.connect(gateway.url, name="configured").session
    ports = [url.rsplit(":", 1)[1].split("/")[0] for url in (gateway.url, gateway.api_url)]
    server = f'[server]\nhost = "0.0.0.0"\nmcp_port = {ports[0]}\nserver_port = {ports[1]}\n'
    (tmp_path / "archon.toml").write_text(server)
    assert session in archon("sessions", "list", cwd=tmp_path).stdout
    exported = archon("export", cwd=tmp_path).stdout
    assert session in exported
    archon("import", "-", cwd=tmp_path, input=exported)
    assert "[FAIL]" not in archon("doctor", cwd=tmp_path).stdout
    # Elsewhere the file is named, and what is said wins over it.
    other = tmp_path / "other"
    other.mkdir()
    file = str(tmp_path / "archon.toml")
    assert session in archon("sessions", "list", "--config", file, cwd=other).stdout
    env = {"ARCHON_CONFIG": file, "ARCHON_SERVER_PORT": "9"}
    assert "127.0.0.1:9" in archon("sessions", "list", cwd=other, env=env, code=1).stderr
    (tmp_path / "archon.toml").write_text("[server")
    assert "archon.toml" in archon("sessions", "list", cwd=tmp_path, code=1).stderr


def test_a_check_tries_the_database_and_the_ports(start_archon, start_fixture, tmp_path):
    gateway = start_archon()
    ports = [url.rsplit(":", 1)[1].split("/")[0] for url in (gateway.url, gateway.api_url)]
    check = ["serve", "--check", "--mcp-port", ports[0], "--db", str(tmp_path / "new" / "x.db")]
    good = archon(*check, "--server-port", ports[1], cwd=tmp_path).stdout
    assert good.count("is in use by the gateway that runs now") == 2
    assert "the configuration is good" in good and not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("no database\n" * 500)
    taken = start_fixture().url.rsplit(":", 1)[1].split("/")[0]
    check[-1] = str(tmp_path / "file")
    bad = archon(*check, "--server-port", taken, cwd=tmp_path, code=1)
    assert f"API port {taken} cannot be used: another program listens there" in bad.stdout
    assert "cannot be used: could not read the database" in bad.stdout


def test_sessions_are_listed_shown_and_ended(start_archon, tmp_path):
    gateway = start_archon()
    env = at(gateway)
    clients = [LegacyClient.connect(gateway.url, name=name) for name in ("cursor", "claude-code")]
    clients[0].text("find_projects", query="x")
    list_all = ["sessions", "list"]
    wait_for("both", lambda: "2 of 2" in archon(*list_all, cwd=tmp_path, env=env).stdout)
    page = archon(*list_all, "--limit", "1", cwd=tmp_path, env=env).stdout
    assert "1 of 2 sessions; more with --cursor " in page
    cursor = page.split("--cursor ")[1].strip()
    rest = archon(*list_all, "--limit", "1", "--cursor", cursor, cwd=tmp_path, env=env).stdout
    assert rest.splitlines()[0].split()[0] == "SESSION" and rest.splitlines()[1] not in page
    only = archon(*list_all, "--client", "Cursor", "--json", cwd=tmp_path, env=env)
    assert [s["session_id"] for s in json.loads(only.stdout)["sessions"]] == [clients[0].session]

    id = clients[0].session
    show = ["sessions", "show", id]
    wait_for("its call", lambda: "find_projects" in archon(*show, cwd=tmp_path, env=env).stdout)
    asked = archon("sessions", "end", id, cwd=tmp_path, env=env, code=1)
    assert "--yes" in asked.stderr
    ended = archon("sessions", "end", id, "--yes", cwd=tmp_path, env=env)
    assert "has ended: operator" in ended.stdout
    assert clients[0].request("tools/list").status == 404
    again = archon("sessions", "end", id, "--yes", cwd=tmp_path, env=env, code=1)
    assert "has ended" in again.stderr
    nobody = "3f2b8c1e-0000-4000-8000-000000000001"
    assert "there is no session" in archon("sessions", "show", nobody, cwd=tmp_path, env=env, code=1).stderr
    archon("sessions", "show", "x", cwd=tmp_path, env=env, code=2)


def test_a_gateway_that_is_not_there_is_told_in_one_line(tmp_path):
    for args in (["sessions", "list"], ["export"], ["watch"]):
        done = archon(*args, "--api", "http://127.0.0.1:9", cwd=tmp_path, code=1)
        assert "could not reach the API" in done.stderr and done.stderr.count("\n") == 1, done


def test_a_token_is_asked_for_and_taken_from_the_environment(start_archon, tmp_path):
    gateway = start_archon(env={"ARCHON_API_TOKEN": "s3cret-token"})
    refused = archon("sessions", "list", cwd=tmp_path, env=at(gateway), code=1)
    assert "ARCHON_API_TOKEN" in refused.stderr
    token = {**at(gateway), "ARCHON_API_TOKEN": "s3cret-token"}
    archon("sessions", "list", cwd=tmp_path, env=token)
    done = archon("doctor", cwd=tmp_path, env=token)
    assert "s3cret" not in done.stdout + done.stderr


def test_watch_prints_events_and_goes_on_after_a_restart(start_archon, tmp_path):
    gateway = start_archon()
    out, told = tmp_path / "out", tmp_path / "told"
    command = [str(archon_bin()), "watch", "--api", gateway.api_url]
    with out.open("wb") as stdout, told.open("wb") as stderr:
        watching = subprocess.Popen(command, stdout=stdout, stderr=stderr)
    try:
        wait_for("a snapshot", lambda: "snapshot" in out.read_text())
        client = LegacyClient.connect(gateway.url, name="cursor")
        client.text("find_projects", query="x")
        wait_for("its call", lambda: "find_projects" in out.read_text())
        assert f"created     {client.session[:8]} Cursor" in out.read_text()
        gateway.kill()
        wait_for("the loss", lambda: "the connection is lost" in told.read_text())
        gateway.restart()
        wait_for("the way back", lambda: "connected again" in told.read_text())
        client.end()
        wait_for("its end", lambda: "client_disconnect after" in out.read_text())
    finally:
        watching.send_signal(signal.SIGINT)
        watching.wait(30)


class Screen:
    """The other end of a terminal: what was printed, all of it."""

    def __init__(self) -> None:
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        os.set_blocking(self.ours, False)
        self.text = ""

    def shows(self, words: str) -> bool:
        """Reads on, and says whether the words have come."""
        try:
            self.text += os.read(self.ours, 65536).decode(errors="replace")
        except BlockingIOError:
            pass
        return words in self.text

    def settings(self) -> list:
        return termios.tcgetattr(self.theirs)

    def close(self) -> None:
        os.close(self.ours)
        os.close(self.theirs)


@pytest.mark.parametrize("end", ["q", "ctrl-c", "SIGTERM"])
def test_watch_gives_the_terminal_back(start_archon: Callable[..., Archon], end):
    gateway = start_archon()
    screen = Screen()
    before = screen.settings()
    ends = {"stdin": screen.theirs, "stdout": screen.theirs, "stderr": screen.theirs}
    env = {**os.environ, "TERM": "xterm-256color"}
    command = [str(archon_bin()), "watch", "--api", gateway.api_url]
    watching = subprocess.Popen(command, env=env, start_new_session=True, **ends)
    try:
        # Blank cells are not printed, so no words with spaces.
        wait_for("the screen", lambda: screen.shows("quits;"))
        assert screen.settings() != before, "keys come one by one"
        client = LegacyClient.connect(gateway.url, name="cursor")
        wait_for("the session", lambda: screen.shows(client.session[:8]))
        if end == "SIGTERM":
            watching.terminate()
        else:
            os.write(screen.ours, b"q" if end == "q" else b"\x03")
        wait_for("the end", lambda: screen.shows("\x1b[?1049l") and watching.poll() is not None)
        assert watching.returncode == 0
        assert screen.settings() == before
    finally:
        watching.kill()
        watching.wait(30)
        screen.close()


def test_watch_ends_with_its_terminal(start_archon: Callable[..., Archon]):
    gateway = start_archon()
    screen = Screen()
    ends = {"stdin": screen.theirs, "stdout": screen.theirs, "stderr": screen.theirs}
    env = {**os.environ, "TERM": "xterm-256color"}
    command = [str(archon_bin()), "watch", "--api", gateway.api_url]
    # It has no controlling terminal, so no SIGHUP tells it.
    watching = subprocess.Popen(command, env=env, start_new_session=True, **ends)
    try:
        wait_for("the screen", lambda: screen.shows("quits;"))
        screen.close()
        wait_for("the end", lambda: watching.poll() is not None)
    finally:
        watching.kill()
        watching.wait(30)
