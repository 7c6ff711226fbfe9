"""`make contract`: thousands of requests over every operation; says how many, and fails for any finding.

It also says which operations no made-up request got through to, and which excuses nobody needed: for these it proved
less than for the others, which is no finding.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from service.contract.openapi import build
from service.resources import RESOURCES
from tests.contract.generated.running import everything, gaps


def main() -> int:
    """Ask everything; further arguments are options of `schemathesis run`."""
    with tempfile.TemporaryDirectory(prefix="reprise-contract-") as folder:
        reports = dict(everything(Path(folder) / "data", ("--max-examples", "20", *sys.argv[1:])))
    for kind, report in reports.items():
        verdict = "no finding" if report.good else "FINDINGS, see above"
        sys.stdout.write(f"{report.cases:>8} cases with the {kind} token: {verdict}\n")
    sys.stdout.write(f"{sum(report.cases for report in reports.values()):>8} cases in all\n")
    sys.stdout.writelines(f"{sentence}\n" for sentence in gaps(build(RESOURCES), reports.values()))
    return 0 if all(report.good for report in reports.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
