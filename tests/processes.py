"""The command `reprise` as a real process: run to its end, or started, used while it serves, and stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import roles
from tests.support import KEYS

ROOT = Path(__file__).parents[1]
SECONDS = 60


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


def start(arguments: Sequence[str], **environment: str) -> subprocess.Popen[str]:
    """Start `reprise` of this checkout with these arguments and nothing of our own settings but those given."""
    return launch([sys.executable, "-m", "service", *arguments], ROOT, environment)


def launch(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start any command in a folder, with nothing of our own settings but those given."""
    ours = ("DATABASE_URL", "REDIS_URL", "REPRISE_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=inherited | {"COLUMNS": "200", "NO_COLOR": "1"} | dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> Outcome:
    """Wait for a command to end."""
    try:
        out, err = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    return Outcome(process.returncode, out, err)


def reprise(*arguments: str, **environment: str) -> Outcome:
    """Run a command to its end."""
    return finish(start(arguments, **environment))


@dataclass
class Service:
    """A process that serves: its URL, and what it said until it was ready."""

    process: subprocess.Popen[str]
    url: str
    said: str

    def stop(self, number: signal.Signals) -> Outcome:
        """End it by a signal."""
        self.process.send_signal(number)
        return finish(self.process)


def api_settings(database_url: str) -> dict[str, str]:
    """The environment of a process that serves the API to tests, with the rights that it has in production."""
    settings = {"DATABASE_URL": database_url, "REPRISE_SECRET_KEYS": ",".join(KEYS), "REPRISE_LOG_LEVEL": "warning"}
    return roles.of("api", settings)


@contextmanager
def serving(*arguments: str, until: str, **environment: str) -> Iterator[Service]:
    """Start a command that stays, and wait for the line that ends its introduction."""
    with introduced(start(arguments, **environment), until) as service:
        yield service


@contextmanager
def introduced(process: subprocess.Popen[str], until: str) -> Iterator[Service]:
    """Wait for the line that ends the introduction of a process that stays; kill it in the end."""
    assert process.stdout is not None
    try:
        said = ""
        deadline = time.monotonic() + SECONDS
        while not re.search(until, said) and time.monotonic() < deadline:
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr is not None else ""
            said += line
        url = re.search(r"http://[\d.]+:\d+", said)
        yield Service(process, url[0] if url is not None else "", said)
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)
