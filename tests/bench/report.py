"""What a run measured, as a table for people and as one for the documentation."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.cases import Case
from tests.bench.load import Spent

NAMES = {
    "floor": "floor",
    "service": "Reprise, same attributes",
    "whole": "Reprise, whole documents",
    "fastapi_jsonapi": "fastapi-jsonapi",
    "django_jsonapi": "djangorestframework-jsonapi",
    "fastify": "fastify + ts-japi",
}
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"


@dataclass(frozen=True)
class Measured:
    """A case: what a request cost whom, and the bytes of an answer."""

    case: Case
    spent: Mapping[str, Spent]
    sizes: Mapping[str, int]

    def ratio(self, name: str) -> float | None:
        """1 is as cheap as the floor, 0.5 twice as dear; None for who isn't in the case."""
        own = self.spent.get(name)
        return None if own is None else self.spent["floor"].total / own.total


@dataclass
class Report:
    """A run: how it was made, what it measured, the most memory of each server in MB, and who is missing."""

    rounds: int
    seconds: int
    orders: int
    measured: list[Measured] = field(default_factory=list)
    memory: dict[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    postgres: str = ""

    @property
    def errors(self) -> int:
        """How many requests were not answered as they should have been."""
        return sum(spent.errors for measured in self.measured for spent in measured.spent.values())

    @property
    def titles(self) -> list[str]:
        """The names of those, for people."""
        return [NAMES[name] for name in self.names]

    @property
    def names(self) -> list[str]:
        """Who was measured, in the order of the tables."""
        return [name for name in NAMES if any(name in measured.spent for measured in self.measured)]


def show(report: Report, out: Console) -> None:
    """Print a run."""
    ratios = Table("floor / own, processor time a request", *report.titles, title="Ratio: 1 is the floor")
    costs = Table("server + Postgres", *report.titles, title="Microseconds of processor time a request")
    for measured in report.measured:
        ratios.add_row(measured.case.title, *_ratios(report, measured))
        costs.add_row(measured.case.title, *_costs(report, measured))
    costs.add_section()
    costs.add_row("most memory, MB", *(_memory(report, name) for name in report.names))
    out.print(ratios, costs)
    for line in [*report.extra, *report.missing]:
        out.print(line)
    if report.errors:
        out.print(f"{report.errors} requests were not answered as they should have been: these figures don't count.")


def write(report: Report, page: Path) -> None:
    """Write a run into a page, between its marks. Raises ValueError for a page without them."""
    insert(page, markdown(report))


def insert(page: Path, measured: str) -> None:
    """Put what was measured between the marks of a page. Raises ValueError for a page without them."""
    text = page.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f"{page} has no {BEGIN} and {END}.")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{measured}\n{END}{after}")


def markdown(report: Report) -> str:
    """A run as two tables, with the machine that it was made on."""
    how = f"the median of {report.rounds} rounds of {report.seconds} s each"
    lines = [
        f"Measured on {datetime.now(UTC):%d %B %Y}: {machine()}; {report.postgres}.",
        f"A store of {spaced(report.orders)} orders; {how}.",
        "",
        "Ratio of the floor's processor time to the server's own, Postgres included (1 is as cheap as the floor):",
        "",
        *rows(["", *report.titles], [[one.case.title, *_ratios(report, one)] for one in report.measured]),
        "",
        "Microseconds of processor time a request, of the server + of Postgres:",
        "",
        *rows(
            ["", *report.titles],
            [
                *([one.case.title, *_costs(report, one)] for one in report.measured),
                ["most memory, MB", *(_memory(report, name) for name in report.names)],
            ],
        ),
        "",
        *(f"- {line}" for line in [*report.extra, *report.missing]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def machine() -> str:
    """The processor, how many of it, and the versions of what ran."""
    said = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"^model name\s*: (.+)$", said, re.MULTILINE)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("uvicorn", "asyncpg"))
    cores = f"{os.cpu_count()} cores of {model[1] if model else platform.processor()}"
    return f"{cores}, {platform.system()}, Python {platform.python_version()}, {versions}"


def _ratios(report: Report, measured: Measured) -> Iterator[str]:
    for name in report.names:
        ratio = measured.ratio(name)
        yield "" if ratio is None else _failed(measured.spent[name], f"{ratio:.2f}")


def _costs(report: Report, measured: Measured) -> Iterator[str]:
    for name in report.names:
        spent = measured.spent.get(name)
        yield "" if spent is None else _failed(spent, f"{spent.server:.0f} + {spent.postgres:.0f}")


def _failed(spent: Spent, figure: str) -> str:
    return f"{spent.errors} errors" if spent.errors else figure


def _memory(report: Report, name: str) -> str:
    return f"{report.memory[name]:.0f}" if name in report.memory else ""


def spaced(number: int) -> str:
    """A whole number with spaces between its thousands."""
    return f"{number:,}".replace(",", " ")


def rows(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
