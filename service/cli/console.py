"""What a command prints, in the language of the environment: results on standard output, all else on standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service import texts
from service.texts import Phrase

PLAIN_STEPS = 10
"""How many lines the progress of long work takes where there is no terminal."""


def told(line: str) -> str:
    """A Phrase in the language of the environment; any other line is data, and stays as it is."""
    return texts.say(line, _locale()) if isinstance(line, Phrase) else line


def say(line: str) -> None:
    """Print a line on standard error."""
    print(told(line), file=sys.stderr, flush=True)  # noqa: T201 -- this is the place that prints


def answer(line: str) -> None:
    """Print a line of the command's result on standard output."""
    print(told(line), flush=True)  # noqa: T201 -- this is the place that prints


@contextmanager
def progress(what: Phrase, total: int) -> Iterator[Callable[[int, int], None]]:
    """Show the progress of long work: a bar on a terminal, a line for each tenth elsewhere.

    Yields a function to call with how many of how many are done.
    """
    if not sys.stderr.isatty():
        yield _lines(what)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(told(what), total=total)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(what: Phrase) -> Callable[[int, int], None]:
    last = 0

    def tell(done: int, total: int) -> None:
        nonlocal last
        step = PLAIN_STEPS * done // total if total else 0
        if step > last:
            last = step
            say(Phrase("{what}: {done} of {total}", what=what, done=done, total=total))

    return tell


def _locale() -> str:
    """The locale of messages, such as `nl_NL`: the first that is set (POSIX, "Internationalization Variables")."""
    chosen = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    return chosen.partition(".")[0].partition("@")[0]
