"""`make matrix`: the tests on every Python and Postgres of this machine; prints a table of what came of them.

Arguments are pytest's. Each Python has an environment of its own, `.venv-3.12`; what each run said is in build/matrix.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.matrix import machine
from tests.matrix.machine import Machine
from tests.processes import ROOT


@dataclass(frozen=True)
class Result:
    """What came of a run: whether all was well, and pytest's counts or why there are none."""

    good: bool
    said: str


Results = Mapping[tuple[str, str], Result]
"""By the versions of Python and Postgres."""


def play(
    found: Machine, arguments: Sequence[str], root: Path, out: Console
) -> Iterator[tuple[tuple[str, str], Result]]:
    """Run the tests below `root` on each pair of versions, one after the other, and say how each ended."""
    logs = root / "build" / "matrix"
    logs.mkdir(parents=True, exist_ok=True)
    asked = shlex.join(arguments).replace("$", "$$")
    for postgres, programs in found.servers.items():
        with machine.serving(programs) if programs is not None else nullcontext() as url:
            for python, interpreter in found.pythons.items():
                log = logs / f"python-{python}-postgres-{postgres}.log"
                out.print(f"Python {python} on Postgres {postgres}, {log.relative_to(root)}: ", end="")
                began = time.monotonic()
                result = make_test(root, log, url, VENV=f".venv-{python}", PYTHON=str(interpreter), ARGS=asked)
                out.print(f"{result.said}, {time.monotonic() - began:.0f} s")
                yield (python, postgres), result


def make_test(root: Path, log: Path, url: str | None, **variables: str) -> Result:
    """Run `make test` below `root` on the server of this URL (None: the embedded one); what it says goes to a log."""
    ours = {name: value for name, value in os.environ.items() if name not in {"TEST_DATABASE_URL", "MAKEFLAGS"}}
    with log.open("w") as output:
        ended = subprocess.run(
            ["make", "--no-print-directory", "test", *(f"{name}={value}" for name, value in variables.items())],
            cwd=root,
            env=ours | ({"TEST_DATABASE_URL": url} if url is not None else {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    return Result(ended.returncode == 0, counts(log.read_text(errors="replace")))


def counts(said: str) -> str:
    """Pytest's own last sentence, such as `3 failed, 904 passed`."""
    found = re.findall(r"^(?:=+ )?((?:\d+ \w+(?:, )?)+) in [\d.]+s", said, re.MULTILINE)
    return found[-1] if found else "did not run"


def table(found: Machine, results: Results) -> Table:
    """Pythons down, servers across."""
    made = Table("", *(f"Postgres {postgres}" for postgres in found.servers))
    for python in found.pythons:
        cells = [results[python, postgres] for postgres in found.servers]
        made.add_row(f"Python {python}", *(f"[{'green' if cell.good else 'red'}]{cell.said}[/]" for cell in cells))
    return made


def main() -> None:
    """Run everything; exit code 1 when anything failed."""
    # Ended from outside, it still stops the servers that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    out = Console(highlight=False, soft_wrap=True)
    found = machine.search()
    results = dict(play(found, sys.argv[1:], ROOT, out))
    out.print(table(found, results))
    for sentence in found.lacks():
        out.print(f"Not here: {sentence}")
    sys.exit(0 if results and all(result.good for result in results.values()) else 1)


if __name__ == "__main__":
    main()
