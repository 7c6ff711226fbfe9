"""`make chaos`: workers and Postgres are killed while thousands of subscriptions are due; prints what came of it.

Then servers of the API are killed too, while hundreds of customers change what comes up.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.chaos import fleet, racing


def main() -> None:
    """Play one run; exit code 1 when anything was lost or doubled."""
    plan = fleet.Plan()
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--stores", type=int, default=plan.stores)
    parser.add_argument("--subscriptions", type=int, default=plan.subscriptions)
    parser.add_argument("--workers", type=int, default=plan.workers)
    parser.add_argument("--worker-kills", type=int, default=plan.worker_kills)
    parser.add_argument("--postgres-kills", type=int, default=plan.postgres_kills)
    parser.add_argument("--seed", type=int, default=plan.seed)
    parser.add_argument("--raced", type=int, default=racing.Plan().subscriptions, help="how many are changed meanwhile")
    given = vars(parser.parse_args())
    races = racing.Plan(subscriptions=given.pop("raced"), seed=given["seed"])
    with fleet.own_folder("chaos") as folder:
        report = asyncio.run(fleet.play(fleet.Plan(**given), folder))
    report.tell()
    with fleet.own_folder("races") as folder:
        raced = asyncio.run(racing.play(races, folder))
    raced.tell()
    sys.exit(1 if report.wrong or raced.wrong else 0)


if __name__ == "__main__":
    main()
