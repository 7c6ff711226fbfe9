"""`make drills`: one thing breaks at a time while the service works; prints what was acknowledged and what was found.

`python -m tests.drills NAME...` plays some of them; exit code 1 when anything was lost or doubled.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.chaos import fleet
from tests.drills.all import DRILLS
from tests.drills.server import SHORT, Size


def main() -> None:
    """Play drills one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(DRILLS)}; all by default")
    parser.add_argument("--short", action="store_true", help="in seconds each, as the tests play them")
    asked = parser.parse_args()
    unknown = set(asked.names) - DRILLS.keys()
    if unknown:
        parser.error(f"no such drill: {', '.join(sorted(unknown))}")
    well = True
    for name in asked.names or DRILLS:
        drill = DRILLS[name]
        with fleet.own_folder("drill") as folder:
            reason = drill.hindered(folder.with_name("mount"))
            if reason is not None:
                sys.stdout.write(f"{name}: skipped, {reason}\n")
                continue
            outcome = asyncio.run(drill.play(folder, SHORT if asked.short else Size()))
        well = well and outcome.is_well
        sys.stdout.write(f"{name}: {outcome}\n")
        sys.stdout.flush()
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
