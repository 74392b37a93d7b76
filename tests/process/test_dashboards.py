"""deploy/grafana and deploy/prometheus: that they are well formed, and ask for what `GET /metrics` shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from collector import Collector
from exposition import Metrics, scrape
from harness import ROOT, Processes, fixture_command, wait_for
from wire import LegacyClient

DASHBOARD = json.loads((ROOT / "deploy/grafana/archon.json").read_text())
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
RUNBOOK = (ROOT / "docs/monitoring.md").read_text()

# What PromQL says beside names of metrics and labels.
WORDS = {
    *("absent", "changes", "count", "histogram_quantile", "increase", "label_replace", "max", "min"),
    *("rate", "sum", "time", "vector"),
    *("and", "by", "group_left", "ignoring", "on", "or", "unless", "without"),
}
# What a scrape adds, and what it says of itself.
SCRAPED_LABELS = {"instance", "job"}
SCRAPED_METRICS = {"up"}

STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
SELECTOR = re.compile(r"\{([^{}]*)\}")
CLAUSE = re.compile(r"\b(?:by|without|on|ignoring|group_left)\s*\(([^()]*)\)")
RANGE = re.compile(r"\[(?:\$__range|\$__rate_interval|\d+[smhd])\]")
NAME = re.compile(r"\b[a-zA-Z_:][a-zA-Z0-9_:]*\b")


def panels() -> Iterator[dict[str, Any]]:
    """The panels that show something."""
    for panel in DASHBOARD["panels"]:
        if panel["type"] != "row":
            yield panel


def alerts() -> list[dict[str, Any]]:
    return [rule for group in ALERTS["groups"] for rule in group["rules"]]


def expressions() -> Iterator[str]:
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"]
    for rule in alerts():
        yield rule["expr"]


def asked_for(expression: str) -> tuple[set[str], set[str]]:
    """The metrics and the labels that an expression names."""
    made = set()
    if renamed := re.search(r'"(\w+)", "\$1", "(\w+)"', expression):
        made = {renamed[1]}
    bare = STRING.sub("", expression)
    labels = {
        name for part in (*SELECTOR.findall(bare), *CLAUSE.findall(bare)) for name in NAME.findall(part)
    }
    bare = RANGE.sub("", CLAUSE.sub("", SELECTOR.sub("", bare)))
    assert "[" not in bare and "{" not in bare and bare.count("(") == bare.count(")"), expression
    return set(NAME.findall(bare)) - WORDS, labels - made


def test_the_names_in_an_expression_are_found():
    found = asked_for('sum by (le, a) (rate(m_bucket{b="c d", e!~"f"}[5m])) / on (g) x > 1e6 or vector(0)')
    assert found == ({"m_bucket", "x"}, {"le", "a", "b", "e", "g"})


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Metrics:
    """A scrape of a gateway to which everything happened that there are metrics of."""
    with Collector() as collector, Processes(tmp_path_factory.mktemp("shown")) as processes:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        gateway = processes.start_archon(upstream=fixture_command("--legacy-only"), env=env)
        client = LegacyClient.connect(gateway.url)
        client.text("echo", text="hello")
        client.call("test_error_handling")
        client.end()
        # What is counted last of requests and of a session.
        done = {"archon_store_batch_rows_sum": 3, "mcp_server_session_duration_seconds_count": 1}

        def look() -> Metrics | None:
            metrics = scrape(gateway)
            return metrics if all(metrics.value(n) >= v for n, v in done.items()) else None

        return wait_for("the metrics", look, 30)


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_what_is_asked_for_is_shown(shown, expression):
    metrics, labels = asked_for(expression)
    assert metrics, "it asks for something"
    assert metrics <= shown.names | SCRAPED_METRICS
    have = {label for name, found in shown.samples for label, _ in found if name in metrics}
    assert labels <= have | SCRAPED_LABELS


def test_each_metric_is_on_the_dashboard(shown):
    asked = {name for expression in expressions() for name in asked_for(expression)[0]}
    asked = {re.sub("_(bucket|sum|count)$", "", name) for name in asked}
    assert set(shown.kinds) <= asked


def test_the_variables_of_the_dashboard_are_there():
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD["panels"])))
    builtin = {name for name in used if name.startswith("__")} | {"1"}
    assert used - builtin == variables


def test_panels_have_places_of_their_own():
    taken: dict[tuple[int, int], str] = {}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
    for panel in panels():
        assert panel["title"] and panel["targets"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs))


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_happened_and_what_to_do(rule):
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Archon[A-Za-z]+", rule["alert"])
    assert re.fullmatch(r"\d+[smhd]", rule.get("for", "1m"))
    assert rule["labels"]["severity"] in ("warning", "critical")
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    page, _, anchor = notes["runbook_url"].partition("#")
    headings = re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert page == "docs/monitoring.md" and anchor in anchors
    for template in re.findall(r"\{\{(.+?)\}\}", notes["description"]):
        assert re.fullmatch(r" \$(labels\.\w+|value( \| \w+)?) ", template)


def test_alerts_are_told_apart_by_their_names():
    names = [rule["alert"] for rule in alerts()]
    assert names and len(names) == len(set(names))
    for group in ALERTS["groups"]:
        assert set(group) <= {"name", "interval", "rules"} and group["rules"]
