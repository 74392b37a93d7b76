"""The crash tester finds the calls that a bad proxy makes the upstream run twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from crash.report import report
from crash.resending import resending
from crash.run import Plan, run
from crash.schedule import UPSTREAM, schedule
from crash.violations import Wrong

SEED = 3
KILLS = 8
# Enough for one to be under way at a kill.
CALLS_BETWEEN = 10


@pytest.mark.timeout(600)
def test_calls_that_were_sent_again_are_found(tmp_path: Path):
    plan = Plan(seed=SEED, kills=KILLS, clients=8, pause_s=(0.2, 0.6), calls_between=CALLS_BETWEEN)
    blows = schedule(SEED, KILLS, plan.pause_s)
    assert sum(UPSTREAM in blow.victims for blow in blows) >= 4

    result = run(plan, tmp_path / "run", through=resending)

    doubled = [v for v in result.violations if v.wrong is Wrong.DOUBLED_CALL]
    assert doubled, report(plan, result)
