"""A few kills of each kind: a short run of the crash tester on each day."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from crash.report import report
from crash.run import KINDS, PAUSES, Plan, kinds, run
from crash.sessions import is_compared

# A loaded machine commits later than a quiet one; `make crash` holds the gateway to its word.
RELAXED_S = 2.0
KILLS = 10
# So many are waited for before each kill, however long they take.
CALLS_BETWEEN = 10


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("durability", "stdio", "nginx", "pauses"),
    [
        ("strict", False, False, True),
        ("relaxed", False, True, False),
        ("strict", True, True, False),
        ("relaxed", True, False, True),
    ],
)
def test_nothing_is_lost_when_everything_is_killed(
    durability: str, stdio: bool, nginx: bool, pauses: bool, tmp_path: Path
):
    seed = random.SystemRandom().randrange(2**32)
    plan = Plan(
        seed=seed,
        kills=KILLS,
        clients=8,
        durability=durability,
        is_stdio=stdio,
        is_behind_nginx=nginx,
        has_dark_networks=True,
        has_pauses=pauses,
        pause_s=(0.2, 0.8),
        relaxed_s=RELAXED_S,
        calls_between=CALLS_BETWEEN,
    )
    print(f"seed {seed}")

    result = run(plan, tmp_path / "run")

    assert not result.violations, report(plan, result)
    # The run has waited for as much: it says that the books are about what happened.
    assert len(result.books.kills) >= KILLS
    assert len(kinds(result.books.clients)) == KINDS
    assert len(result.books.clients.calls) >= KILLS * CALLS_BETWEEN
    if pauses:
        over = result.books.clients.pauses
        assert sum(is_compared(pause, result.books.kills) for pause in over) >= PAUSES
        assert any(pause.session_before != pause.session_after for pause in over)
