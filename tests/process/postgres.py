"""A PostgreSQL server of our own: see tests/postgres/server.sh."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import time
import uuid
from pathlib import Path

from harness import LASTING, ROOT

SCRIPT = ROOT / "tests" / "postgres" / "server.sh"
USER = "archon"
# It is trusted whatever it is; so it must not be seen anywhere.
PASSWORD = "s3cret-of-the-database"

# Rows are written within a tenth of a second, or half a second after the server is back; a loaded machine is
# given more.
WRITTEN_S = 30


class Postgres:
    """The server, and a database on it."""

    def __init__(self) -> None:
        # PostgreSQL refuses to run as root.
        user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
        prefix = ["setpriv", *user] if os.geteuid() == 0 else []
        self._process = subprocess.Popen(
            [*prefix, "sh", "-c", SCRIPT.read_text()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        LASTING.add(self._process.pid)
        self._folder = self._line()
        assert self._folder, "PostgreSQL did not start: run scripts/install-system --test"
        self._database = "postgres"

    def __enter__(self) -> Postgres:
        return self

    def __exit__(self, *_: object) -> None:
        """Its input ends, and so does it."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    @property
    def url(self) -> str:
        """Where the database is, for a gateway."""
        host = self._folder.replace("/", "%2F")
        return f"postgres://{USER}:{PASSWORD}@{host}/{self._database}"

    def new_database(self) -> None:
        """Makes an empty database, and asks that one from now on."""
        name = f"d{uuid.uuid4().hex}"
        self._database = "postgres"
        self.query(f"CREATE DATABASE {name}")
        self._database = name

    def stop(self) -> None:
        """Stops the server as a crash would."""
        self._tell("stop")

    def start(self) -> None:
        """Starts it again."""
        self._tell("start")

    def query(self, sql: str) -> list[list[str]]:
        """Returns the rows, each value as text."""
        options = ["-X", "--csv", "-t", "-v", "ON_ERROR_STOP=1"]
        command = [_psql(), *options, "-h", self._folder, "-U", USER, "-d", self._database, "-c", sql]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return list(csv.reader(done.stdout.splitlines()))

    def expect(self, expected: list[list[str]], sql: str) -> None:
        """Waits until a query answers so, and shows what it answered if it never does."""
        deadline = time.monotonic() + WRITTEN_S
        while (found := self.query(sql)) != expected:
            if time.monotonic() > deadline:
                assert found == expected, sql
            time.sleep(0.05)

    def _tell(self, word: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        assert self._line() == word

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


def _psql() -> str:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/psql"))
    program = str(found[-1]) if found else shutil.which("psql")
    assert program, "psql is missing: run scripts/install-system --test"
    return program
