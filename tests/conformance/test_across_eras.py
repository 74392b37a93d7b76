"""A server of one era conforms to the other, as its clients meet it through the gateway."""

import pytest

import suite

pytestmark = pytest.mark.timeout(300)

# By cell: what the server speaks, what it is asked in, and what does not succeed there.
CELLS = {
    "a legacy client of a modern server": (
        "--modern-only",
        "2025-11-25",
        [
            # An answer that needs no stream comes as JSON, which the suite notes as INFO.
            "server-sse-multiple-streams: ServerSSEStreamsFunctional",
            "server-sse-polling: ServerSSEContentType",
        ],
    ),
    "a modern client of a legacy server": (
        "--legacy-only",
        "2026-07-28 without tasks",
        [
            # A legacy server asks one thing at a time, and its questions have no keys of its own.
            "input-required-result-basic-elicitation: InputRequiredResultElicitationIncomplete",
            "input-required-result-ignore-extra-params: IgnoreUnexpectedParams",
            "input-required-result-multiple-input-requests: InputRequiredResultMultipleInputsIncomplete",
            "server-sse-multiple-streams: ServerSSEStreamsFunctional",
        ],
    ),
}
# So that a suite that ran into nothing does not pass.
PASSED_MIN = 80


@pytest.mark.parametrize("cell", CELLS)
def test_crossing_conforms(start_fixture, start_archon, tmp_path, monkeypatch, cell):
    server, version, not_passed = CELLS[cell]
    # The extension's tasks do not cross.
    core = [["--suite", "all", "--spec-version", "2026-07-28"]]
    monkeypatch.setitem(suite.RUNS, "2026-07-28 without tasks", core)
    # The suite speaks the modern era alone, and begins with `server/discover`.
    settings = f'[upstreams.fixture]\nurl = "{start_fixture(server).url}"\nbridge = "always"\n'
    (tmp_path / "archon.toml").write_text(settings)
    gateway = start_archon("--config", str(tmp_path / "archon.toml"))
    checks = suite.run(gateway.url, version, tmp_path / "suite")
    failures = suite.failures(checks)
    unexpected = [f for f in failures if not f.startswith(tuple(not_passed))]
    assert not unexpected, "\n" + "\n".join(unexpected)
    assert len(checks) - len(failures) >= PASSED_MIN
