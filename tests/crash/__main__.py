"""`python -m crash`, from tests/: kills for the requested time, and reports the losses."""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
from pathlib import Path

from crash.report import report
from crash.run import Plan, run

# Between two kills: where clients pause, long enough for pauses that meet none.
BETWEEN_S, BETWEEN_PAUSES_S = (0.2, 1.5), (0.2, 6.0)


def main() -> int:
    """Runs what the command line asks for; 1 if a check failed."""
    parser = argparse.ArgumentParser(prog="crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="moments at which to kill")
    parser.add_argument("--seed", type=int, help="of an earlier run, to repeat its schedule")
    parser.add_argument("--durability", choices=["strict", "relaxed"], default="relaxed")
    parser.add_argument("--clients", type=int, default=12, help="at once")
    parser.add_argument("--stdio", action="store_true", help="an upstream on standard input")
    parser.add_argument("--legacy-only", action="store_true", help="an upstream of that era alone")
    parser.add_argument("--nginx", action="store_true", help="between clients and the gateway")
    parser.add_argument("--dark", action="store_true", help="networks end without a word")
    parser.add_argument("--pauses", action="store_true", help="beyond the idle timeout")
    parser.add_argument("--nodes", type=int, default=0, help="gateways on one PostgreSQL, behind nginx")
    parser.add_argument("--mcp-port", type=int, default=0, help="where sockets are not inherited")
    parser.add_argument("--keep", type=Path, help="a directory for logs and books")
    given = parser.parse_args()
    if given.nodes and given.pauses:
        parser.error("--pauses is for a single gateway")
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    plan = Plan(
        seed=seed,
        kills=given.kills,
        clients=given.clients,
        durability=given.durability,
        is_stdio=given.stdio,
        mcp_port=given.mcp_port,
        is_behind_nginx=given.nginx,
        has_dark_networks=given.dark,
        has_pauses=given.pauses,
        is_legacy_only=given.legacy_only,
        nodes=given.nodes,
        pause_s=BETWEEN_PAUSES_S if given.pauses else BETWEEN_S,
    )
    with tempfile.TemporaryDirectory() as temporary:
        directory = given.keep or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        # What the library says of its broken connections would hide what we say.
        logging.basicConfig(filename=directory / "library.log")
        result = run(plan, directory, lambda line: print(line, flush=True))
    print(f"\n{report(plan, result)}")
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
