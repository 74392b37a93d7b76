"""Runs the official conformance suite against an endpoint, and compares what two runs found."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from harness import tool

# The suite's own limit is 30 s for a scenario, and the longest version takes a few seconds.
SUITE_S = 300

# What each version is run with. The requirements of 2026-07-28 are all its scenarios and those of
# the tasks extension; the scenarios of the skills extension belong to no version and are named.
RUNS = {
    "2025-03-26": [["--suite", "all", "--spec-version", "2025-03-26"]],
    "2025-06-18": [["--suite", "all", "--spec-version", "2025-06-18"]],
    "2025-11-25": [["--suite", "all", "--spec-version", "2025-11-25"]],
    "2026-07-28": [["--requirements", "2026-07-28"]],
    "skills": [
        ["--scenario", scenario, "--spec-version", "2026-07-28", "--force"]
        for scenario in (
            "sep-2640-skills-directory",
            "sep-2640-skills-enumeration",
            "sep-2640-skills-manifest",
        )
    ],
}

# Lines of a scenario's transcript, which the suite writes among its checks. How many there are
# depends on how a hop cuts and resumes streams; what they add up to is in the checks proper.
TRANSCRIPT = {
    *["outgoing-request", "incoming-response", "incoming-sse-event", "stream-closed"],
    *["incoming-request", "outgoing-response", "outgoing-sse-event", "outgoing-stream-close"],
}

# By scenario and id: the statuses directly and through the gateway.
Accepted = dict[tuple[str, str], tuple[str, str]]

# Checks that may come out otherwise through the gateway, as (direct, gateway), and why.
ACCEPTED: Accepted = {
    # The fixture closes the stream of this call early and has it resumed. A gateway that does the
    # resuming itself keeps its client's stream open, which the suite notes as INFO.
    ("server-sse-polling", "server-sse-disconnect-resume"): ("SUCCESS", "INFO"),
}

# What comes out otherwise where the gateway itself makes the streams, for a server on stdio.
ON_STDIO: Accepted = {
    # An answer that needs no stream comes as JSON, which the suite notes as INFO.
    ("server-sse-multiple-streams", "server-sse-streams-functional"): ("SUCCESS", "INFO"),
    # The call cannot close its stream on stdio, and is answered at once: its client has nothing to come back for.
    ("server-sse-polling", "server-sse-priming-event"): ("SUCCESS", "WARNING"),
    ("server-sse-polling", "server-sse-retry-field"): ("SUCCESS", "WARNING"),
}


@dataclass(frozen=True, order=True)
class Key:
    """One check of one scenario; a check made several times is numbered."""

    scenario: str
    id: str
    name: str
    nth: int

    def __str__(self) -> str:
        nth = f" #{self.nth + 1}" if self.nth else ""
        return f"{self.scenario}: {self.name}{nth} ({self.id})"


@dataclass(frozen=True)
class Check:
    """What came of a check."""

    status: str
    message: str = ""


Checks = dict[Key, Check]


def run(url: str, version: str, directory: Path) -> Checks:
    """Runs every scenario of a version against `url`."""
    for number, args in enumerate(RUNS[version]):
        directory.mkdir(parents=True, exist_ok=True)
        results = directory / "results"
        log = directory / f"suite-{number}.log"
        command = [str(tool("conformance")), "server", "--url", url, *args, "-o", str(results)]
        with log.open("wb") as output:
            # Its exit status says that a check failed, which the checks themselves say better.
            subprocess.run(
                command, stdout=output, stderr=subprocess.STDOUT, timeout=SUITE_S, check=False
            )
        if not results.exists():
            raise RuntimeError(f"the suite left no results:\n{log.read_text()}")
    return load(results)


def run_client(command: list[str], scenario: str, version: str, directory: Path) -> Checks:
    """Runs one scenario of a version against a client, whose command gets the URL of the scenario's server."""
    directory.mkdir(parents=True, exist_ok=True)
    results = directory / "results"
    command_line = [str(tool("conformance")), "client", "--command", shlex.join(command)]
    done = subprocess.run(
        [*command_line, "--scenario", scenario, "--spec-version", version, "-o", str(results)],
        capture_output=True,
        text=True,
        timeout=SUITE_S,
        check=False,
    )
    if not results.exists():
        raise RuntimeError(f"the suite left no results:\n{done.stdout}\n{done.stderr}")
    return load(results)


def load(results: Path) -> Checks:
    """Reads the checks of every scenario in the suite's output directory."""
    checks: Checks = {}
    for file in sorted(results.glob("*/checks.json")):
        directory = re.fullmatch(r"(?:server-)?(.+)-\d{4}-\d\d-\d\dT[\d-]+Z", file.parent.name)
        assert directory, f"unexpected directory {file.parent.name}"
        checks |= collect(directory[1], json.loads(file.read_text()))
    return checks


def collect(scenario: str, found: list[dict]) -> Checks:
    """Names the checks of one scenario, leaving out its transcript."""
    checks: Checks = {}
    seen: Counter[tuple[str, str]] = Counter()
    for entry in found:
        id, name, status = entry["id"], entry["name"], entry["status"]
        if id in TRANSCRIPT and status == "INFO":
            continue
        key = Key(scenario, id, name, seen[id, name])
        seen[id, name] += 1
        checks[key] = Check(status, entry.get("errorMessage") or "")
    return checks


def failures(checks: Checks) -> list[str]:
    """Says which checks did not succeed."""
    return [
        f"{key}: {check.status} {check.message}".rstrip()
        for key, check in sorted(checks.items())
        if check.status != "SUCCESS"
    ]


def differences(
    direct: Checks, gateway: Checks, accepted: Accepted | None = None
) -> list[str]:
    """Says which checks came out otherwise through the gateway, or only on one side."""
    accepted = ACCEPTED | (accepted or {})
    missing = Check("missing")
    found = []
    for key in sorted(direct.keys() | gateway.keys()):
        theirs, ours = direct.get(key, missing), gateway.get(key, missing)
        if ours.status == theirs.status:
            continue
        if accepted.get((key.scenario, key.id)) == (theirs.status, ours.status):
            continue
        statuses = f"{theirs.status} directly, {ours.status} through the gateway"
        found.append(f"{key}: {statuses}. {ours.message or theirs.message}".rstrip())
    return found
