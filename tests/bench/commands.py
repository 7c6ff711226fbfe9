"""`python -m tests.bench.commands`: the processor time of short commands, as a ratio to what Python takes to start.

Measured is the best of some rounds in the same run, without a database: what a command loads is what it costs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from tests.processes import ROOT

ROUNDS = 5
BARE = "python -c pass"

COMMANDS: Mapping[str, Sequence[str]] = {
    BARE: ("-c", "pass"),
    "reprise --version": ("-m", "service", "--version"),
    "reprise token create, up to the database": ("-c", "import service.cli.commands.tokens"),
    "reprise serve, up to the database": ("-c", "import service.cli.commands.serving"),
}


def spent(arguments: Sequence[str]) -> float:
    """Seconds of processor time, of the user and the system, that a run of Python takes."""
    with subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return usage.ru_utime + usage.ru_stime


def measured(rounds: int = ROUNDS) -> dict[str, float]:
    """The least that each command took, in rounds that go from one to the next."""
    seen = [{name: spent(arguments) for name, arguments in COMMANDS.items()} for _ in range(rounds)]
    return {name: min(one[name] for one in seen) for name in COMMANDS}


if __name__ == "__main__":
    least = measured()
    for name, seconds in least.items():
        print(f"{name:<42} {seconds * 1000:5.0f} ms  {seconds / least[BARE]:5.1f} times")  # noqa: T201
