"""What a command says while it works: on standard error, so that standard output holds results alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_STEPS = 10
"""How many lines the progress of long work takes where there is no terminal."""


def say(line: str) -> None:
    """Say one line."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 -- this is the place that prints


def answer(line: str) -> None:
    """Give a line of the command's result."""
    print(line, flush=True)  # noqa: T201 -- this is the place that prints


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Show how far long work has come; gives what is to be called with how much of how much is done.

    On a terminal it is a bar, otherwise a line for each tenth.
    """
    if not sys.stderr.isatty():
        yield _lines(what)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(what: str) -> Callable[[int, int], None]:
    told = 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        step = PLAIN_STEPS * done // total if total else 0
        if step > told:
            told = step
            say(f"{what}: {done} of {total}")

    return tell
