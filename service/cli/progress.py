"""How far long work has come: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.cli.console import say, told
from service.texts import Phrase

PLAIN_STEPS = 10
"""How many lines the progress of long work takes where there is no terminal."""


@contextmanager
def progress(what: Phrase, total: int) -> Iterator[Callable[[int, int], None]]:
    """Show the progress of long work: a bar on a terminal, a line for each tenth elsewhere.

    Yields a function to call with how many of how many are done.
    """
    if not sys.stderr.isatty():
        yield _lines(what)
        return
    from rich.console import Console  # noqa: PLC0415 -- only a terminal shows a bar
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

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
