"""`make simulate`: workers in simulated time, a seed at a time; prints each seed that breaks a promise.

`--seed N` replays one. Exit code 1 when any promise is broken.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.simulation.play import play


def main() -> None:
    """Play seeds one after the other."""
    parser = argparse.ArgumentParser(prog="make simulate")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="the one to replay")
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.seeds) if asked.seed is None else [asked.seed]
    told: Counter[str] = Counter()
    for seed in seeds:
        outcome = play(seed)
        told["orders"] += outcome.orders
        told["kills"] += outcome.kills
        told["copies given up"] += outcome.given_up
        told["broken"] += bool(outcome.wrong)
        if outcome.wrong or asked.seed is not None:
            sys.stdout.write(f"{outcome}\n")
            sys.stdout.flush()
    counts = ", ".join(f"{number} {what}" for what, number in told.items() if what != "broken")
    sys.stdout.write(f"{len(seeds)} seeds: {counts}; {told['broken']} seeds with a broken promise\n")
    sys.exit(1 if told["broken"] else 0)


if __name__ == "__main__":
    main()
