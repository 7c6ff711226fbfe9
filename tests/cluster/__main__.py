"""`make cluster`: the service as on several machines; shoppers reorder and read while subscriptions fall due.

It prints who did how much, how many sessions Postgres had, and what was acknowledged and found. Exit code 1 when
anything was lost or doubled, or a server of the API or the replica had nothing to do.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.chaos import fleet
from tests.cluster.running import Size, play


def main() -> None:
    """Run it once."""
    usual = Size()
    parser = argparse.ArgumentParser(prog="python -m tests.cluster")
    parser.add_argument("--processes", type=int, default=usual.processes, help="of each of two servers of the API")
    parser.add_argument("--workers", type=int, default=usual.workers)
    parser.add_argument("--shoppers", type=int, default=usual.shoppers)
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="for which they shop")
    parser.add_argument("--subscriptions", type=int, default=usual.subscriptions, help="that are due")
    size = Size(**vars(parser.parse_args()))
    with fleet.own_folder("cluster") as folder:
        outcomes = asyncio.run(play(folder, size))
    sys.stdout.write(f"{outcomes}\n")
    sys.exit(0 if outcomes.is_well else 1)


if __name__ == "__main__":
    main()
