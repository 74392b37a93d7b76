"""The comparison of two runs sees what it should."""

import pytest

import suite

PASSED = {"id": "a", "name": "A", "status": "SUCCESS"}
FAILED = {"id": "a", "name": "A", "status": "FAILURE", "errorMessage": "no answer"}


def test_equal_runs_have_no_differences():
    run = suite.collect("ping", [PASSED, PASSED])
    assert suite.differences(run, dict(run)) == []


@pytest.mark.parametrize(
    ("direct", "gateway", "expected"),
    [
        ([PASSED], [FAILED], "A (a): SUCCESS directly, FAILURE through the gateway. no answer"),
        ([FAILED], [PASSED], "A (a): FAILURE directly, SUCCESS through the gateway. no answer"),
        ([PASSED], [], "A (a): SUCCESS directly, missing through the gateway."),
        ([], [PASSED], "A (a): missing directly, SUCCESS through the gateway."),
        (
            [PASSED, PASSED],
            [PASSED, FAILED],
            "A #2 (a): SUCCESS directly, FAILURE through the gateway. no answer",
        ),
    ],
)
def test_any_difference_is_named(direct, gateway, expected):
    direct, gateway = suite.collect("ping", direct), suite.collect("ping", gateway)
    assert suite.differences(direct, gateway) == [f"ping: {expected}"]


def test_a_transcript_is_not_compared_but_its_failures_are():
    line = {"id": "incoming-sse-event", "name": "IncomingSseEvent", "status": "INFO"}
    short, long = suite.collect("poll", [line]), suite.collect("poll", [line, line, line])
    assert suite.differences(short, long) == []

    failed = suite.collect("poll", [line, {**line, "status": "FAILURE"}])
    assert len(suite.differences(short, failed)) == 1


def test_an_accepted_difference_is_accepted_one_way_only():
    def polled(status):
        check = {"id": "server-sse-disconnect-resume", "name": "Resume", "status": status}
        return suite.collect("server-sse-polling", [check])

    assert suite.differences(polled("SUCCESS"), polled("INFO")) == []
    assert suite.differences(polled("INFO"), polled("SUCCESS")) != []
    assert suite.differences(polled("SUCCESS"), polled("WARNING")) != []


@pytest.mark.timeout(300)
def test_a_server_without_sessions_is_noticed(start_fixture, tmp_path):
    version = "2025-11-25"
    whole = suite.run(start_fixture().url, version, tmp_path / "whole")
    without = suite.run(start_fixture("--json-response").url, version, tmp_path / "without")

    differences = suite.differences(whole, without)

    scenarios = {difference.split(":")[0] for difference in differences}
    assert {"server-session-lifecycle", "tools-call-sampling", "server-sse-polling"} <= scenarios
