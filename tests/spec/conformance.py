"""Writes docs/reference/conformance.md: every rule of rules.yaml with its state and the tests that prove it.

    python -m tests.spec.conformance > docs/reference/conformance.md

The tests are those that pytest collects, so that the page can't name one that isn't run.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

RULES = Path(__file__).with_name("rules.yaml")
LEVELS = ("MUST", "SHOULD", "MAY")
ELSEWHERE = ("FM-",)
"""Beginnings of marks that are of another list: known ways to fail, which no specification has."""
STATES = ("pass", "deviation", "not applicable")

INTRODUCTION = """\
# Conformance

What [JSON:API 1.1](https://jsonapi.org/format/1.1/), [Atomic Operations](https://jsonapi.org/ext/atomic/) and the
[cursor pagination profile](https://jsonapi.org/profiles/ethanresnick/cursor-pagination/) ask of a server, rule by
rule, and the tests that prove it. Every answer that the tests in `tests/spec` receive is also held against what
holds for all documents (`tests/spec/invariants.py`). `make docs` writes this page.
"""

Tests = Mapping[str, Sequence[str]]
"""Rule -> the tests that are marked with it, as `test_errors.py::test_name`."""


@dataclass(frozen=True)
class Rule:
    """One rule: what it demands, where that is said, and why it has no test or is not followed."""

    id: str
    level: str
    at: str
    text: str
    not_applicable: str = ""
    deviation: str = ""

    @property
    def state(self) -> str:
        """What the page says of it."""
        if self.not_applicable:
            return f"not applicable: {self.not_applicable}"
        return f"deviation: {self.deviation}" if self.deviation else "pass"


@dataclass(frozen=True)
class Chapter:
    """A chapter of the rules, and the page that their anchors belong to."""

    title: str
    page: str
    rules: tuple[Rule, ...]


def chapters() -> tuple[Chapter, ...]:
    """The chapters of rules.yaml in their order."""
    return tuple(
        Chapter(found["title"], found["page"], tuple(Rule(id_, **rule) for id_, rule in found["rules"].items()))
        for found in yaml.safe_load(RULES.read_text(encoding="utf-8"))
    )


class _Collected:
    """A plugin that notes which tests are marked with which rules."""

    def __init__(self) -> None:
        self.tests: dict[str, list[str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note each test once, however many parameters it has."""
        for item in items:
            name = f"{item.path.name}::{getattr(item, 'originalname', item.name)}"
            for mark in item.iter_markers("rule"):
                for rule in (one for one in mark.args if not one.startswith(ELSEWHERE)):
                    known = self.tests.setdefault(rule, [])
                    if name not in known:
                        known.append(name)


def marked() -> Tests:
    """The tests of each rule, from pytest's own collection. Raises RuntimeError when tests can't be collected."""
    plugin, told = _Collected(), io.StringIO()
    # Nothing is run, so that assertions need not be rewritten, which takes the longest.
    options = ["--collect-only", "-qq", "--assert=plain", "-pno:xdist", "-pno:cacheprovider", str(RULES.parents[1])]
    with contextlib.redirect_stdout(told):
        code = pytest.main(options, plugins=[plugin])
    if code != pytest.ExitCode.OK:
        raise RuntimeError(told.getvalue())
    return {rule: sorted(names) for rule, names in plugin.tests.items()}


def faults(tests: Tests, found: Sequence[Chapter]) -> list[str]:
    """What is wrong with the rules and their tests, in words."""
    rules = {rule.id: rule for chapter in found for rule in chapter.rules}
    wrong = [f"{rule} is no rule: {', '.join(names)}" for rule, names in tests.items() if rule not in rules]
    for id_, rule in rules.items():
        if id_ in tests and rule.not_applicable:
            wrong.append(f"{id_} has a test, and is not applicable")
        if not (id_ in tests or rule.not_applicable or rule.deviation):
            wrong.append(f"{id_} has neither a test nor a reason")
        if rule.level not in LEVELS:
            wrong.append(f"{id_} has the level {rule.level}")
    return wrong


def page(tests: Tests, found: Sequence[Chapter]) -> str:
    """The page, as Markdown."""
    lines = [*INTRODUCTION.splitlines(), "", *_totals(found)]
    for chapter in found:
        lines += ["", f"## {chapter.title}", "", "| rule | level | demands | state | tests |", "|---|---|---|---|---|"]
        lines += [_row(chapter, rule, tests.get(rule.id, ())) for rule in chapter.rules]
    return "\n".join([*lines, ""])


def _totals(found: Sequence[Chapter]) -> list[str]:
    lines = [f"| chapter | rules | {' | '.join(STATES)} |", "|---|---|---|---|---|"]
    sums = [0] * (len(STATES) + 1)
    for chapter in found:
        states = [rule.state.partition(":")[0] for rule in chapter.rules]
        numbers = [len(states), *map(states.count, STATES)]
        sums = [one + other for one, other in zip(sums, numbers, strict=True)]
        lines.append(f"| [{chapter.title}](#{chapter.title.lower().replace(' ', '-')}) | {_cells(numbers)} |")
    return [*lines, f"| all | {_cells(sums)} |"]


def _cells(values: Sequence[int]) -> str:
    return " | ".join(map(str, values))


def _row(chapter: Chapter, rule: Rule, tests: Sequence[str]) -> str:
    named = ", ".join(f"`{name}`" for name in tests)
    return f"| [{rule.id}]({chapter.page}#{rule.at}) | {rule.level} | {rule.text} | {rule.state} | {named} |"


def main() -> None:
    """Print the page, or say what is wrong and exit with 1."""
    tests, found = marked(), chapters()
    if wrong := faults(tests, found):
        sys.exit("\n".join(wrong))
    sys.stdout.write(page(tests, found))


if __name__ == "__main__":
    main()
