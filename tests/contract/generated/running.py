"""Runs schemathesis against a server with freshly made demo data, with tokens of each kind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.processes import ROOT, serving

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Shop:
    """Where the demo store's API is, and its tokens by their kind."""

    url: str
    tokens: dict[str, str]


@dataclass(frozen=True)
class Report:
    """How a run ended: whether nothing was found, how many cases were made up, and all that was said."""

    good: bool
    cases: int
    text: str


@contextmanager
def demo_shop(folder: Path) -> Iterator[Shop]:
    """A `reprise up` of its own, in which nobody asks too often."""
    environment = {
        "REPRISE_DATA_DIR": str(folder),
        "REPRISE_LOG_LEVEL": "error",
        "REPRISE_RATE_LIMIT": "10000000",
    }
    with serving("up", "--port", "0", until="answers at", **environment) as service:
        tokens = dict(line.split() for line in (folder / "tokens").read_text().splitlines())
        headers = {"Authorization": f"Bearer {tokens['integration']}"}
        asked = httpx2.get(f"{service.url}/api/v3/1003/orders/JJ5HH/repeatURL", headers=headers)
        tokens["link"] = httpx2.URL(asked.json()["repeatOrderUrl"]).params["token"]
        yield Shop(service.url, tokens)


def ask(shop: Shop, token: str, *options: str, quiet: bool = True) -> Report:
    """Make requests up and hold their answers against the contract; `options` are those of `schemathesis run`."""
    told = {"CONTRACT_URL": shop.url, "CONTRACT_TOKEN": token, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    program = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    process = subprocess.Popen(
        [*program, "--config-file", str(HERE / "schemathesis.toml"), "run", f"{shop.url}/openapi.json", *options],
        env=os.environ | told,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = ""
    try:
        for line in process.stdout:
            said += line
            if not quiet:
                sys.stdout.write(line)
        code = process.wait()
    finally:
        process.kill()
    cases = re.search(r"([\d,]+) generated", said)
    return Report(code == 0 and "Traceback" not in said, int(cases[1].replace(",", "")) if cases else 0, said)


def everything(folder: Path, options: Sequence[str]) -> Iterator[tuple[str, Report]]:
    """Ask with each kind of token in turn: whose, and how it ended."""
    of_links = ("--include-path-regex", "^/api/repeat_link_(preview|commits)$")
    with demo_shop(folder) as shop:
        for kind, further in (("link", of_links), ("customer", ()), ("integration", ())):
            yield kind, ask(shop, shop.tokens[kind], *further, *options, quiet=False)
