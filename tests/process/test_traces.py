"""Traces: a span for each request, under the client's own, sent to a collector that calls never wait for."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from collector import ERROR, SERVER, Collector
from exposition import scrape
from harness import wait_for
from wire import LEGACY, MODERN, LegacyClient, ModernClient


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
OTHER_TRACE, OTHER_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OTHER = f"00-{OTHER_TRACE}-{OTHER_SPAN}-01"

# Batches are sent every five seconds otherwise.
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "50"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that is there."""
    with Collector() as collector:
        yield collector


@pytest.fixture
def start_traced(start_archon, start_fixture, collector):
    """Starts a gateway that sends to the collector."""

    def start(*args, fixture=("--legacy-only",), **env):
        named = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **SOON, **env}
        return start_archon(*args, upstream=start_fixture(*fixture), env=named)

    return start


def call(client, tool="echo", meta=None, headers=None):
    """Calls a tool with something in `_meta`."""
    params = {"name": tool, "arguments": {"text": "hello"}}
    return client.request("tools/call", {**params, **({"_meta": meta} if meta else {})}, headers)


def test_a_call_is_a_span_below_the_clients_own(start_traced, collector):
    client = LegacyClient.connect(start_traced().url)
    before = time.time_ns()
    meta = {"traceparent": PARENT, "tracestate": "rojo=00f067aa0ba902b7"}
    assert call(client, meta=meta, headers={"traceparent": OTHER}).text == "hello"
    span = collector.span("tools/call echo")
    assert (span.trace_id, span.parent_span_id) == (TRACE, SPAN)
    assert span.trace_state == "rojo=00f067aa0ba902b7"
    assert span.links == [(OTHER_TRACE, OTHER_SPAN)], "the HTTP request's span"
    assert (span.kind, span.status) == (SERVER, 0)
    assert before - 1e6 <= span.started_ns < span.ended_ns <= time.time_ns()
    assert span.attributes == {
        "mcp.method.name": "tools/call",
        "mcp.protocol.version": LEGACY,
        "mcp.session.id": client.handle,
        "archon.session.id": client.session,
        "archon.upstream": "fixture",
        "gen_ai.tool.name": "echo",
        "gen_ai.operation.name": "execute_tool",
        "jsonrpc.request.id": "1",
        "network.transport": "tcp",
        "network.protocol.name": "http",
    }
    assert span.resource["service.name"] == "archon"
    first = collector.span("initialize")
    assert first.parent_span_id == "" and first.trace_id != TRACE


def test_the_http_requests_span_is_the_parent_where_the_message_names_none(
    start_traced, collector
):
    client = LegacyClient.connect(start_traced().url)
    call(client, headers={"traceparent": OTHER})
    call(client, meta={"traceparent": "nonsense"}, headers={"traceparent": OTHER})
    for span in collector.wait("tools/call echo", 2):
        assert (span.trace_id, span.parent_span_id) == (OTHER_TRACE, OTHER_SPAN)
        assert span.links == []


def test_a_modern_call_is_traced_as_well(start_traced, collector):
    client = ModernClient(start_traced(fixture=()).url)
    answer = call(client, meta={"traceparent": PARENT})
    assert answer.text == "hello"
    span = collector.span("tools/call echo")
    assert (span.trace_id, span.parent_span_id) == (TRACE, SPAN)
    assert span.attributes["mcp.protocol.version"] == MODERN
    assert span.attributes["archon.session.id"] == answer.session


def test_failures_say_of_which_kind_they_are(start_traced, collector):
    client = LegacyClient.connect(start_traced().url)
    client.call("test_error_handling")
    client.request("no/such-method")
    tool = collector.span("tools/call test_error_handling")
    assert (tool.status, tool.attributes["error.type"]) == (ERROR, "tool_error")
    assert "rpc.response.status_code" not in tool.attributes
    method = collector.span("no/such-method")
    assert (method.status, method.attributes["error.type"]) == (ERROR, "-32601")
    assert method.attributes["rpc.response.status_code"] == "-32601"
    assert method.status_message


def test_what_the_client_does_not_record_is_not_sent(start_traced, collector):
    gateway = start_traced()
    client = LegacyClient.connect(gateway.url)
    call(client, meta={"traceparent": PARENT.removesuffix("1") + "0"})
    client.call("test_error_handling")
    collector.span("tools/call test_error_handling")
    assert not [span for span in collector.spans if span.name == "tools/call echo"]


def test_the_standard_variables_are_followed(start_traced, collector):
    gateway = start_traced(
        OTEL_EXPORTER_OTLP_HEADERS="x-api-key=secret",
        OTEL_SERVICE_NAME="tools of the shop",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
        OTEL_TRACES_SAMPLER="parentbased_always_off",
    )
    client = LegacyClient.connect(gateway.url)
    call(client, meta={"traceparent": PARENT})
    span = collector.span("tools/call echo")
    assert span.resource["service.name"] == "tools of the shop"
    assert span.resource["deployment.environment.name"] == "test"
    assert collector.headers[0]["x-api-key"] == "secret"
    assert len(collector.spans) == 1, "nothing without a recorded parent"
    assert "secret" not in gateway.log()


def test_a_collector_can_be_named_in_the_configuration(start_archon, config, collector):
    named = config(telemetry={"otlp_endpoint": collector.url})
    gateway = start_archon(*named, env=SOON)
    LegacyClient.connect(gateway.url)
    assert collector.span("initialize").attributes["archon.upstream"] == "demo"
    gateway.stop()


def test_spans_that_wait_are_sent_when_the_gateway_stops(start_traced, collector):
    gateway = start_traced(OTEL_BSP_SCHEDULE_DELAY="3600000")
    client = LegacyClient.connect(gateway.url)
    call(client)
    assert gateway.stop() == 0
    assert {"initialize", "tools/call echo"} <= {span.name for span in collector.spans}


def test_a_collector_that_is_away_costs_nothing_but_a_line(start_traced, collector):
    gateway = start_traced()
    collector.is_away = True
    client = LegacyClient.connect(gateway.url)
    for _ in range(3):
        refusals = collector.refusals
        assert call(client).text == "hello"
        wait_for("another batch", lambda r=refusals: collector.refusals > r, 30)
    wait_for("failures", lambda: scrape(gateway).value("archon_spans_total", result="failed") >= 3)
    assert gateway.log().count("could not send spans to the collector") == 1
    collector.is_away = False
    client.call("test_error_handling")
    collector.span("tools/call test_error_handling")
    wait_for("success", lambda: scrape(gateway).value("archon_spans_total", result="exported"))
    assert gateway.log().count("the collector takes spans again") == 1


def test_nobody_listens_where_the_collector_should_be(start_archon):
    nowhere = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", **SOON}
    gateway = start_archon(env=nowhere)
    client = LegacyClient.connect(gateway.url)
    assert client.text("find_projects")
    wait_for("failures", lambda: scrape(gateway).value("archon_spans_total", result="failed") >= 2)
    assert gateway.stop() == 0
    assert gateway.log().count("could not send spans to the collector") == 1


def test_without_a_collector_nothing_is_traced(start_archon):
    gateway = start_archon()
    LegacyClient.connect(gateway.url).text("find_projects")
    assert not scrape(gateway).series("archon_spans_total")
    assert "traced" not in gateway.log()
