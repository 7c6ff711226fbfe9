"""`make histories`: random clients under kills, and a judge of what they were told; prints counts and findings.

`--check FILE` judges a history that `--keep FILE` has kept. Exit code 1 when anything can't have been so.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from tests.chaos import fleet
from tests.histories import history, judging, play


def main() -> None:
    """Play runs, one seed after the other, or judge a history that was kept."""
    plan = play.Plan()
    parser = argparse.ArgumentParser(prog="make histories")
    parser.add_argument("--operations", type=int, default=plan.operations)
    parser.add_argument("--clients", type=int, default=plan.clients)
    parser.add_argument("--kills", type=int, default=plan.kills)
    parser.add_argument("--postgres-kills", type=int, default=plan.postgres_kills)
    parser.add_argument("--seed", type=int, default=plan.seed)
    parser.add_argument("--runs", type=int, default=1, help="how many, each with the next seed")
    parser.add_argument("--replica", action="store_true", help="have reads answered by one that stands still at times")
    parser.add_argument("--keep", type=Path, help="where the history of the last run is kept")
    parser.add_argument("--check", type=Path, help="a history to judge, instead of a run")
    asked = vars(parser.parse_args())
    runs, keep, check = asked.pop("runs"), asked.pop("keep"), asked.pop("check")
    if check is not None:
        verdict = judging.judge(history.read(check), by_replica=asked["replica"])
        sys.stdout.write(f"{verdict}\n")
        sys.exit(1 if verdict.findings else 0)
    well = True
    for seed in range(asked["seed"], asked["seed"] + runs):
        with fleet.own_folder("histories") as folder:
            report = asyncio.run(play.play(play.Plan(**asked | {"seed": seed}), folder))
        if keep is not None:
            history.write(keep, report.history)
        well = well and report.is_well
        sys.stdout.write(f"seed {seed}: {report}\n")
        sys.stdout.flush()
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
