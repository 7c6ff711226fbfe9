"""What a command prints, in the language of the environment: results on standard output, all else on standard error."""

from __future__ import annotations

import os
import sys

from service import texts
from service.texts import Phrase


def told(line: str) -> str:
    """A Phrase in the language of the environment; any other line is data, and stays as it is."""
    return texts.say(line, _locale()) if isinstance(line, Phrase) else line


def say(line: str) -> None:
    """Print a line on standard error."""
    print(told(line), file=sys.stderr, flush=True)  # noqa: T201 -- this is the place that prints


def answer(line: str) -> None:
    """Print a line of the command's result on standard output."""
    print(told(line), flush=True)  # noqa: T201 -- this is the place that prints


def _locale() -> str:
    """The locale of messages, such as `nl_NL`: the first that is set (POSIX, "Internationalization Variables")."""
    chosen = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    return chosen.partition(".")[0].partition("@")[0]
