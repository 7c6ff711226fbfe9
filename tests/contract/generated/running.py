"""Runs schemathesis against a server with freshly made demo data, with tokens of each kind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.contract.generated.reasons import ALWAYS_REFUSED, REASONS
from tests.processes import ROOT, serving

HERE = Path(__file__).parent
PHASES = ("examples", "coverage", "fuzzing", "stateful")
OF_LINKS = (
    *("--include-path-regex", "^/api/repeat_link_(preview|commits)$"),
    # A wrong token of a link is not told from one that is used up: 410.
    *("--exclude-checks", "ignored_auth"),
    # What links lead to is asked with another credential.
    *("--phases", ",".join(PHASES[:-1])),
)


@dataclass(frozen=True)
class Shop:
    """Where the demo store's API is, and a credential of each kind: the header that is sent."""

    url: str
    credentials: dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Report:
    """How a run ended: whether nothing was found, how many cases were made up, what was noted, and all that was said.

    Notes are `200 GET /api/orders` for an answer, `reason READ_ONLY` for a reason of REASONS that a refusal needed.
    """

    good: bool
    cases: int
    notes: frozenset[str]
    text: str


@contextmanager
def demo_shop(folder: Path, **settings: str) -> Iterator[Shop]:
    """A `reprise up` of its own, in which nobody asks too often; `settings` are further ones."""
    environment = settings | {
        "REPRISE_DATA_DIR": str(folder),
        "REPRISE_LOG_LEVEL": "error",
        "REPRISE_RATE_LIMIT": "10000000",
    }
    with serving("up", "--port", "0", until="answers at", **environment) as service:
        tokens = dict(line.split() for line in (folder / "tokens").read_text().splitlines())
        credentials = {kind: ("Authorization", f"Bearer {token}") for kind, token in tokens.items()}
        with httpx2.Client(base_url=service.url) as client:
            linked = client.get("/api/v3/1003/orders/JJ5HH/repeatURL", headers=[credentials["integration"]]).json()
            token = httpx2.URL(linked["repeatOrderUrl"]).params["token"]
            credentials["link"] = ("Authorization", f"Bearer {token}")
            filled = client.post("/api/repeat_link_commits", headers=[credentials["link"]]).json()
            credentials["guest"] = ("X-Cart-Session", f"1003.{filled['data']['attributes']['session']}")
        try:
            yield Shop(service.url, credentials)
        finally:
            service.stop(signal.SIGTERM)


def ask(shop: Shop, kind: str, *options: str, quiet: bool = True) -> Report:
    """Make requests up and hold their answers against the contract, with a kind of credential.

    `options` are those of `schemathesis run`.
    """
    credential = ": ".join(shop.credentials[kind])
    options = ("--header", credential, "--exclude-path", "/api/events/stream", *options)
    program = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    said = ""
    with tempfile.NamedTemporaryFile("r", prefix="reprise-notes-") as notes:
        told = {"CONTRACT_URL": shop.url, "CONTRACT_CREDENTIAL": credential, "CONTRACT_NOTES": notes.name}
        with subprocess.Popen(
            [*program, "--config-file", str(HERE / "schemathesis.toml"), "run", f"{shop.url}/openapi.json", *options],
            env=os.environ | told | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    said += line
                    if not quiet:
                        sys.stdout.write(line)
            except BaseException:
                process.kill()
                raise
        noted = frozenset(notes.read().splitlines())
    cases = re.search(r"([\d,]+) generated", said)
    good = process.returncode == 0 and "Traceback" not in said
    return Report(good, int(cases[1].replace(",", "")) if cases else 0, noted, said)


def everything(folder: Path, options: Sequence[str]) -> Iterator[tuple[str, Report]]:
    """Ask with each kind of credential in turn: which, and how it ended."""
    with demo_shop(folder) as shop:
        for kind, further in (("link", OF_LINKS), ("guest", of_guests(shop)), ("customer", ()), ("integration", ())):
            yield kind, ask(shop, kind, "--phases", ",".join(PHASES), *options, *further, quiet=False)


def gaps(document: dict[str, Any], reports: Iterable[Report]) -> Iterator[str]:
    """What a whole run left unproven, a sentence each: operations that only refused, reasons that nothing needed."""
    notes = frozenset[str]().union(*(report.notes for report in reports))
    answered = {note[4:] for note in notes if note.startswith(("2", "3"))}
    described = {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
    }
    for operation in sorted(described - answered - ALWAYS_REFUSED.keys()):
        statuses = sorted(note[:3] for note in notes if note[4:] == operation)
        yield f"{operation} refused every request: {', '.join(statuses) or 'none was made'}."
    for operation in sorted(ALWAYS_REFUSED.keys() & answered | ALWAYS_REFUSED.keys() - described):
        yield f"{operation} is in ALWAYS_REFUSED, and is not always refused."
    for reason in sorted(REASONS.keys() - {note.removeprefix("reason ") for note in notes}):
        yield f"No refusal had the reason {reason}."


def of_guests(shop: Shop) -> tuple[str, ...]:
    """Options that ask only what guests may: beside another credential a session is not what an operation lacks."""
    document = httpx2.get(f"{shop.url}/openapi.json").json()
    operations = [one for item in document["paths"].values() for name, one in item.items() if name != "parameters"]
    named = (found for found in operations if {"cartSession": []} in found["security"])
    return ("--include-operation-id-regex", f"^({'|'.join(found['operationId'] for found in named)})$")
