"""Reads `GET /metrics` as a strict scraper would: the Prometheus text format, version 0.0.4.

metrics = scrape(gateway)
assert metrics.value("archon_requests_total", tool="echo", status="success") == 1
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from harness import Archon
from wire import send

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
VALUE = re.compile(r"[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)|NaN")
ESCAPES = {r"\"": '"', r"\\": "\\", r"\n": "\n"}
KINDS = ("counter", "gauge", "histogram", "summary")

Labels = frozenset[tuple[str, str]]


@dataclass
class Metrics:
    """What one scrape said."""

    kinds: dict[str, str] = field(default_factory=dict)
    helps: dict[str, str] = field(default_factory=dict)
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """The names of all samples."""
        return {name for name, _ in self.samples}

    def series(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """The samples of a name that have these labels, among others."""
        return [
            (dict(found), value)
            for (of, found), value in self.samples.items()
            if of == name and labels.items() <= dict(found).items()
        ]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels; 0 if there are none."""
        return sum(value for _, value in self.series(name, **labels))

    def values_of(self, name: str, label: str) -> set[str]:
        """The values that a label takes."""
        return {labels[label] for labels, _ in self.series(name) if label in labels}


def scrape(gateway: Archon) -> Metrics:
    """Asks a gateway for its metrics."""
    answer = send(gateway.api_url + "/metrics", "GET")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parse(answer.body.decode())


def parse(text: str) -> Metrics:
    """Reads an exposition; whatever is not in order fails."""
    assert text.endswith("\n")
    metrics = Metrics()
    family, ended = "", set[str]()
    for line in text.splitlines():
        if not line:
            continue
        if line.startswith("# HELP "):
            name, _, help = line.removeprefix("# HELP ").partition(" ")
            assert name not in metrics.helps and help, line
            metrics.helps[name] = help
        elif line.startswith("# TYPE "):
            name, kind = line.removeprefix("# TYPE ").split(" ")
            assert name not in metrics.kinds and kind in KINDS, line
            ended.add(family)
            family, metrics.kinds[name] = name, kind
        else:
            name, labels, value = _sample(line)
            assert _family(name, metrics.kinds) == family, f"not with its family: {line}"
            key = (name, frozenset(labels))
            assert key not in metrics.samples, f"twice: {line}"
            metrics.samples[key] = value
    _check_histograms(metrics)
    return metrics


def _sample(line: str) -> tuple[str, list[tuple[str, str]], float]:
    name = NAME.match(line)
    assert name, line
    rest, labels = line[name.end() :], []
    if rest.startswith("{"):
        rest = rest[1:]
        while not rest.startswith("}"):
            label = LABEL.match(rest)
            assert label, line
            text = re.sub(r"\\.", lambda escape: ESCAPES[escape[0]], label[2])
            labels.append((label[1], text))
            rest = rest[label.end() :].removeprefix(",")
        rest = rest[1:]
    assert len(dict(labels)) == len(labels), f"a label twice: {line}"
    assert rest.startswith(" ") and VALUE.fullmatch(rest[1:]), line
    return name[0], labels, float(rest[1:])


def _family(name: str, kinds: dict[str, str]) -> str:
    for suffix in ("_bucket", "_sum", "_count"):
        base = name.removesuffix(suffix)
        if base != name and kinds.get(base) == "histogram":
            return base
    return name


def _check_histograms(metrics: Metrics) -> None:
    for name in [name for name, kind in metrics.kinds.items() if kind == "histogram"]:
        buckets: dict[Labels, list[tuple[float, float]]] = {}
        for labels, count in metrics.series(name + "_bucket"):
            end = float(labels.pop("le"))
            buckets.setdefault(frozenset(labels.items()), []).append((end, count))
        for labels, ends in buckets.items():
            counts = [count for _, count in sorted(ends)]
            assert counts == sorted(counts), f"{name} {labels} is not cumulative"
            assert sorted(ends)[-1] == (math.inf, metrics.samples[(name + "_count", labels)])
