"""A few kills of each kind: a short run of the crash tester on each day."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from crash.report import report
from crash.run import Plan, run

# A loaded machine commits later than a quiet one; `make crash` holds the gateway to its word.
RELAXED_S = 2.0


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("durability", "stdio"), [("strict", False), ("relaxed", False), ("strict", True)]
)
def test_nothing_is_lost_when_everything_is_killed(durability: str, stdio: bool, tmp_path: Path):
    seed = random.SystemRandom().randrange(2**32)
    plan = Plan(
        seed=seed,
        kills=10,
        clients=8,
        durability=durability,
        is_stdio=stdio,
        pause_s=(0.2, 0.8),
        relaxed_s=RELAXED_S,
    )
    print(f"seed {seed}")

    result = run(plan, tmp_path / "run")

    assert not result.violations, report(plan, result)
    # A run in which nothing happened would prove nothing.
    calls = result.books.clients.calls
    assert len(result.books.kills) >= 10
    assert len({call.client.split("-")[0] for call in calls}) == 3
    assert len(calls) > 100
