"""Commands that need no running gateway, and what they print used on one."""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import tomllib
from hashlib import sha256
from pathlib import Path

import pytest

import rows
from command import archon
from harness import ROOT, archon_bin

pytestmark = pytest.mark.timeout(180)


def test_what_is_printed_for_curl_and_python_works_when_pasted(start_archon, tmp_path):
    gateway = start_archon()
    curl = archon("client-config", "curl", "--url", gateway.url, cwd=tmp_path).stdout
    answer = subprocess.run(["sh", "-c", curl], capture_output=True, text=True, timeout=60)
    assert "x-archon-session-id:" in answer.stdout.lower(), answer
    script = archon("client-config", "python", "--url", gateway.url, cwd=tmp_path).stdout
    client = Path(__file__).parents[2] / "clients" / "python" / "src"
    listed = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(client)},
    )
    assert "find_projects" in listed.stdout.split(), listed
    assert "archon-mcp" in listed.stdout, listed
    rows.expect(gateway.db, [(2,)], "SELECT count(*) FROM archon_mcp_sessions")


def test_client_config_speaks_of_the_configured_endpoint(tmp_path):
    (tmp_path / "archon.toml").write_text(
        '[server]\nhost = "0.0.0.0"\nallowed_hosts = ["mcp.example"]\nmcp_port = 9051\n'
    )
    printed = archon("client-config", "cursor", "--name", "work", cwd=tmp_path)
    configured = json.loads(printed.stdout)
    headers = configured["mcpServers"]["work"].pop("headers")
    assert configured == {"mcpServers": {"work": {"url": "http://127.0.0.1:9051/mcp"}}}
    assert len(headers["X-Archon-Client-Key"]) >= 32
    assert ".cursor/mcp.json" in printed.stderr
    moved = archon("client-config", "codex", cwd=tmp_path, env={"ARCHON_MCP_PORT": "9052"})
    assert tomllib.loads(moved.stdout)["mcp_servers"]["archon"]["url"].endswith(":9052/mcp")


@pytest.mark.parametrize(
    "args",
    [
        ["client-config", "nobody"],
        ["client-config", "cursor", "--name", "a b"],
        ["client-config", "cursor", "--url", "ftp://x/mcp"],
        ["token", "--name", 'a"b'],
        ["inspect", "--inspector", "../x"],
        ["no-such-command"],
    ],
)
def test_wrong_usage_is_told_from_failure(tmp_path, args):
    assert "--help" in archon(*args, cwd=tmp_path, code=2).stderr


def test_a_closed_pipe_is_no_error(tmp_path):
    read, write = os.pipe()
    os.close(read)
    command = [str(archon_bin()), "client-config", "cursor"]
    done = subprocess.run(command, cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, timeout=60)
    os.close(write)
    assert (done.returncode, b"pipe" in done.stderr) == (0, False), done


def test_a_token_is_printed_once_and_its_hash_is_what_is_configured(tmp_path):
    printed = archon("token", "--name", "ci", "--role", "operator", cwd=tmp_path)
    token = printed.stdout.strip()
    start = printed.stderr.index("[[api.tokens]]")
    lines = printed.stderr[start:].split("\n\n")[0]
    [configured] = tomllib.loads(lines)["api"]["tokens"]
    assert configured == {
        "name": "ci",
        "role": "operator",
        "sha256": sha256(token.encode()).hexdigest(),
    }
    assert token not in printed.stderr


def test_the_inspector_is_opened_on_this_endpoint(tmp_path):
    stub = tmp_path / "bin" / "npx"
    stub.parent.mkdir()
    stub.write_text('#!/bin/sh\nfor word; do echo "$word"; done\nexit 7\n')
    stub.chmod(0o755)
    path = {"PATH": f"{stub.parent}:/usr/bin:/bin"}
    more = ["--", "--method", "tools/list"]
    args = ["inspect", "--cli", "--url", "http://127.0.0.1:9/mcp", *more]
    words = archon(*args, cwd=tmp_path, env=path, code=7).stdout.split()
    package = "@modelcontextprotocol/inspector"
    tested = json.loads((ROOT / "tests/package.json").read_text())["dependencies"][package]
    assert words == [
        *["-y", f"{package}@{tested}", "--cli"],
        *["--transport", "http", "--server-url", "http://127.0.0.1:9/mcp"],
        *["--method", "tools/list"],
    ]
    chosen = archon("inspect", "--inspector", "latest", cwd=tmp_path, env=path, code=7).stdout
    assert f"{package}@latest" in chosen.split()
    installed = {**path, "ARCHON_INSPECTOR": str(stub), "MCP_CATALOG_PATH": "/mine.json"}
    stub.write_text('#!/bin/sh\necho "$1 ${MCP_CATALOG_PATH-none}"\n')
    # The Inspector takes a URL or a catalog, and not both.
    assert archon("inspect", cwd=tmp_path, env=installed).stdout.split() == ["--transport", "none"]
    missing = {"ARCHON_INSPECTOR": str(tmp_path / "nothing")}
    assert "could not start" in archon("inspect", cwd=tmp_path, env=missing, code=1).stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    refused = archon("inspect", cwd=tmp_path, env={"PATH": str(empty)}, code=1)
    assert "needs Node" in refused.stderr


def test_each_command_is_in_the_manual_of_the_command_line(tmp_path):
    help = archon("--help", cwd=tmp_path).stdout
    commands = re.findall(r"^  ([a-z-]+)  ", help.split("Options:")[0], re.MULTILINE)
    page = (ROOT / "docs/cli.md").read_text()
    assert "serve" in commands
    assert [name for name in commands if name != "help" and f"`archon {name}" not in page] == []


@pytest.mark.parametrize("shell", ["bash", "elvish", "fish", "powershell", "zsh"])
def test_what_completes_the_command_knows_what_people_see(tmp_path, shell):
    script = archon("completions", shell, cwd=tmp_path).stdout
    assert "client-config" in script and "--mcp-port" in script.replace("-l ", "--")
    assert "supervise" not in script


def test_bash_completes_commands_and_their_values(tmp_path):
    script = tmp_path / "archon.bash"
    script.write_text(archon("completions", "bash", cwd=tmp_path).stdout)

    def completed(*words: str) -> list[str]:
        typed = shlex.join(["archon", *words])
        lines = f"source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words)}"
        lines += f"; _archon archon {words[-1]} {words[-2] if len(words) > 1 else 'archon'}"
        bash = ["bash", "--norc", "-c", lines + '; echo "${COMPREPLY[@]}"']
        return subprocess.check_output(bash, text=True, timeout=60).split()

    assert completed("ins") == ["inspect"]
    assert completed("serve", "--mcp") == ["--mcp-port"]
    assert completed("serve", "--durability", "s") == ["strict"]


def test_the_manual_has_a_page_for_each_command_and_none_of_this_machines_secrets(tmp_path):
    secrets = {"DATABASE_URL": "postgres://a:s3cret@b/c", "ARCHON_API_TOKEN": "s3cret-token"}
    env = {**secrets, "ARCHON_DB": secrets["DATABASE_URL"]}
    archon("man", "--dir", "pages", cwd=tmp_path, env=env)
    pages = {page.name: page.read_text() for page in (tmp_path / "pages").iterdir()}
    assert {"archon.1", "archon-serve.1", "archon-sessions-end.1"} <= set(pages)
    assert not [name for name in pages if "supervise" in name or "openapi" in name]
    assert "ARCHON_MCP_PORT" in pages["archon-serve.1"]
    assert "s3cret" not in "".join(pages.values())
    printed = archon("man", cwd=tmp_path, env=env).stdout
    assert printed.strip() == pages["archon.1"].strip()
    (tmp_path / "file").write_text("")
    assert "file" in archon("man", "--dir", "file", cwd=tmp_path, code=1).stderr


def test_migrate_says_what_is_missing_and_does_it(start_archon, tmp_path):
    db = tmp_path / "new.db"
    first = archon("migrate", "--check", "--db", str(db), cwd=tmp_path).stdout
    assert "0001 sessions" in first and not db.exists(), "looking changes nothing"
    done = archon("migrate", "--db", str(db), cwd=tmp_path).stdout
    assert "is up to date after" in done
    assert "is up to date\n" in archon("migrate", "--check", "--db", str(db), cwd=tmp_path).stdout
    gateway = start_archon(db=db)
    assert "is up to date\n" in archon("migrate", "--db", str(db), cwd=tmp_path).stdout
    assert gateway.stop() == 0

    with sqlite3.connect(db) as connection:
        insert = "INSERT INTO _sqlx_migrations VALUES (9000, 'x', '', 1, x'00', 0)"
        connection.execute(insert)
    newer = archon("migrate", "--check", "--db", str(db), cwd=tmp_path, code=1).stderr
    assert "with schema 9000" in newer


def test_migrate_works_on_postgresql(postgres, tmp_path):
    env = {"DATABASE_URL": postgres.url}
    missing = archon("migrate", "--check", cwd=tmp_path, env=env).stdout
    assert "0001 sessions" in missing and "s3cret" not in missing
    assert postgres.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [["0"]]
    assert "after" in archon("migrate", cwd=tmp_path, env=env).stdout
    assert "is up to date\n" in archon("migrate", "--check", cwd=tmp_path, env=env).stdout
    assert not (Path(tmp_path) / "data").exists()
