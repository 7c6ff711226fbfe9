"""`make chaos`: workers and Postgres are killed while thousands of subscriptions are due; prints what came of it."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.chaos import fleet


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
    asked = fleet.Plan(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory(prefix="reprise-chaos-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        report = asyncio.run(fleet.play(asked, Path(folder) / "data"))
    sys.stdout.write(f"{report}\n")
    sys.stdout.writelines(f"{problem}\n" for problem in report.wrong)
    sys.exit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()
