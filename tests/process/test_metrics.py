"""GET /metrics: that its numbers are right, in the format, and bounded whatever clients invent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from exposition import Metrics, parse, scrape
from harness import Archon, wait_for
from losses import without_tables
from wire import LEGACY, MODERN, LegacyClient, ModernClient, opened, send

DURATION = "mcp_server_operation_duration_seconds"
# OpenTelemetry's conventions for MCP name these.
BUCKETS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, float("inf")]


def expect(gateway: Archon, condition: Callable[[Metrics], bool]) -> Metrics:
    """Waits until a scrape is so, and returns it."""

    def look() -> Metrics | None:
        metrics = scrape(gateway)
        return metrics if condition(metrics) else None

    return wait_for("the metrics", look, 30)


def written(gateway: Archon, rows: int) -> Metrics:
    """Waits until so many rows are written: all else that is counted of a request comes before that."""
    return expect(gateway, lambda m: m.value("archon_store_batch_rows_sum") >= rows)


def requests(metrics: Metrics, **labels: str) -> float:
    return metrics.value("archon_requests_total", **labels)


def test_a_fresh_gateway_counts_nothing_and_says_what_it_is(start_archon):
    gateway = start_archon()
    metrics = scrape(gateway)
    assert metrics.value("archon_build_info") == 1
    assert metrics.value("archon_store_up") == 1
    assert metrics.value("archon_upstream_up", upstream="demo") == 1
    assert metrics.value("process_start_time_seconds") > 1.7e9
    assert metrics.value("process_resident_memory_bytes") > 1e6
    for name in ("store_errors", "rows_dropped", "rows_lost", "sessions_recovered"):
        assert metrics.samples[(f"archon_{name}_total", frozenset())] == 0
    assert set(metrics.kinds) == set(metrics.helps), "each is described"
    assert scrape(gateway).value("process_start_time_seconds") == metrics.value(
        "process_start_time_seconds"
    )


def test_requests_are_counted_by_tool_method_and_status(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture("--legacy-only"))
    client = LegacyClient.connect(gateway.url, name="cursor")
    for _ in range(3):
        client.text("echo", text="hello")
    client.call("test_error_handling")
    client.request("tools/list")
    client.request("no/such-method")

    metrics = written(gateway, 7)
    by = {"upstream": "fixture"}
    assert requests(metrics, tool="echo", status="success", **by) == 3
    assert requests(metrics, tool="test_error_handling", status="error", **by) == 1
    assert requests(metrics, method="tools/list", status="success", **by) == 1
    assert requests(metrics, method="no/such-method", status="error", **by) == 1
    assert requests(metrics, method="initialize", status="success", **by) == 1
    assert requests(metrics) == 7
    assert metrics.value(f"{DURATION}_count") == 7
    echo = {"mcp_method_name": "tools/call", "gen_ai_tool_name": "echo"}
    [(labels, _)] = metrics.series(f"{DURATION}_count", **echo)
    assert labels["mcp_protocol_version"] == LEGACY
    assert (labels["network_transport"], labels["upstream"]) == ("tcp", "fixture")
    assert "error_type" not in labels
    ends = [float(labels["le"]) for labels, _ in metrics.series(f"{DURATION}_bucket", **echo)]
    assert ends == BUCKETS
    assert metrics.value(f"{DURATION}_count", error_type="tool_error") == 1
    assert metrics.value(f"{DURATION}_count", error_type="-32601") == 1
    for name in ("request_bytes", "response_bytes"):
        assert metrics.value(f"archon_{name}_total", tool="echo") > 3 * 50
    for kind in ("prompt", "completion"):
        assert metrics.value("archon_tokens_total", tool="echo", kind=kind) > 0
    assert metrics.value("archon_store_commit_duration_seconds_count") > 0
    assert metrics.value("archon_store_batch_rows_sum") == 7


def test_modern_requests_are_counted_with_their_version(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture())
    client = ModernClient(gateway.url)
    assert client.text("echo", text="hello") == "hello"
    metrics = written(gateway, 1)
    assert requests(metrics, tool="echo") == 1
    [(labels, _)] = metrics.series(f"{DURATION}_count", gen_ai_tool_name="echo")
    assert labels["mcp_protocol_version"] == MODERN
    began = {"client_type": "raw client", "era": "modern"}
    assert metrics.value("archon_sessions_started_total", **began) == 1


def test_sessions_are_counted_from_start_to_end(start_archon, config):
    gateway = start_archon(*config(sessions={"reap_every_seconds": 0.1}))
    first = LegacyClient.connect(gateway.url, name="claude-code")
    active = {"client_type": "Claude Code", "status": "active"}
    assert scrape(gateway).value("archon_sessions_active", **active) == 1
    soon = {"x-archon-session-timeout": "1"}
    LegacyClient.connect(gateway.url, name="claude-code", headers=soon)
    assert scrape(gateway).value("archon_sessions_started_total", client_type="Claude Code") == 2
    first.end()
    ended, lasted = "archon_sessions_ended_total", "mcp_server_session_duration_seconds"
    metrics = expect(
        gateway,
        lambda m: m.value(f"{lasted}_count") == 2 and m.value("archon_sessions_reaped_total") == 1,
    )
    assert metrics.value("archon_sessions_active", **active) == 0
    assert metrics.value(ended, client_type="Claude Code", reason="client_disconnect") == 1
    assert metrics.value(ended, reason="timeout_no_activity") == 1
    assert metrics.value("archon_reaper_sweeps_total") > 1
    assert metrics.value(f"{lasted}_count", mcp_protocol_version=LEGACY) == 2
    assert metrics.value(f"{lasted}_sum") > 1


def test_recovered_sessions_are_active_again(start_archon):
    gateway = start_archon()
    LegacyClient.connect(gateway.url, name="cursor")
    gateway.kill()
    gateway.restart()
    metrics = scrape(gateway)
    assert metrics.value("archon_sessions_recovered_total") == 1
    assert metrics.value("archon_sessions_active", client_type="Cursor") == 1
    assert metrics.value("archon_sessions_started_total") == 0


def test_names_that_clients_invent_are_bounded_and_hide_nothing(start_fixture, start_archon):
    gateway = start_archon(upstream=start_fixture("--legacy-only"))
    client = LegacyClient.connect(gateway.url)
    for number in range(60):
        client.call(f"invented \"{number}\"\n\\")
    for number in range(25):
        client.request(f"invented/{number}")
    client.text("echo", text="hello")
    for number in range(105):
        LegacyClient.connect(gateway.url, name=f"agent {number}")

    metrics = written(gateway, 86 + 106)
    tools = metrics.values_of("archon_requests_total", "tool")
    assert {"echo", "other", 'invented "3"\n\\'} <= tools
    assert len(tools) < 55
    assert requests(metrics, method="tools/call") == 61, "each is counted somewhere"
    assert len(metrics.values_of("archon_requests_total", "method")) < 20
    types = metrics.values_of("archon_sessions_active", "client_type")
    assert len(types) <= 101 and "other" in types
    assert metrics.value("archon_sessions_active") == 106


def test_while_the_store_is_away_the_counts_go_on(start_archon):
    gateway = start_archon()
    client = LegacyClient.connect(gateway.url)
    with without_tables(gateway):
        for _ in range(5):
            client.text("find_projects")
        metrics = expect(gateway, lambda m: requests(m, tool="find_projects") == 5)
        metrics = expect(gateway, lambda m: m.value("archon_store_up") == 0)
        assert metrics.value("archon_store_errors_total") > 0
        client.text("find_projects")
        expect(gateway, lambda m: requests(m, tool="find_projects") == 6)
    metrics = expect(gateway, lambda m: m.value("archon_store_up") == 1)
    assert requests(metrics, tool="find_projects") == 6, "nothing is counted twice"
    # The row of the handshake was written before, those of six calls are written now.
    metrics = written(gateway, 7)
    assert metrics.value("archon_rows_queued") == 0
    assert metrics.value("archon_tokens_total", tool="find_projects") > 0


def test_an_upstream_that_is_away_is_down(start_fixture, start_archon, config):
    upstream = start_fixture("--legacy-only")
    named = {"url": upstream.url, "restart_grace_seconds": 0.1}
    gateway = start_archon(*config(health={"probe_seconds": 0}, **{"upstreams.fixture": named}))
    assert not scrape(gateway).series("archon_upstream_up"), "nobody knows before the first call"
    client = LegacyClient.connect(gateway.url)
    assert scrape(gateway).value("archon_upstream_up", upstream="fixture") == 1
    upstream.kill()
    assert client.call("echo", {"text": "x"}).error["code"] == -31001
    metrics = written(gateway, 2)
    assert metrics.value(f"{DURATION}_count", error_type="-31001") == 1
    assert metrics.series("archon_upstream_up") == [({"upstream": "fixture"}, 0)]


def test_connections_are_counted_on_both_ports(start_archon):
    gateway = start_archon()
    # The scrape itself is one.
    assert scrape(gateway).value("archon_connections_open", port="api") == 1
    client = LegacyClient.connect(gateway.url)
    with opened(gateway.url, "GET", b"", client.headers()) as stream:
        assert stream.status == 200
        # Those of the handshake close in their own time.
        expect(gateway, lambda m: m.value("archon_connections_open", port="mcp") == 1)
    expect(gateway, lambda m: m.value("archon_connections_open", port="mcp") == 0)


def test_another_host_name_learns_nothing(start_archon):
    gateway = start_archon()
    answer = send(gateway.api_url + "/metrics", "GET", headers={"host": "evil.example"})
    assert answer.status == 403


@pytest.mark.parametrize(
    "bad",
    [
        "a 1",
        "# TYPE a counter\na{b=c} 1\n",
        '# TYPE a counter\na{b="c"} x\n',
        "# TYPE a counter\na 1\na 1\n",
        "# TYPE a counter\n# TYPE b counter\na 1\n",
        '# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_count 1\n',
    ],
)
def test_the_parser_of_these_tests_is_strict(bad):
    with pytest.raises((AssertionError, KeyError)):
        parse(bad)
