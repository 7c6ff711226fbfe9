"""The rules, the tests that prove them, and the page that shows both."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.spec import conformance
from tests.spec.conformance import Chapter, Rule

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_rules_and_tests_say() -> None:
    """Every rule has a test or a reason, every mark names a rule; `make docs` writes the page anew."""
    command = [sys.executable, "-m", "tests.spec.conformance"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    written = (ROOT / "docs" / "reference" / "conformance.md").read_text(encoding="utf-8")
    assert made.stdout == written, "run `make docs`"


def test_what_is_wrong_is_told() -> None:
    rules = (
        Rule("XX-01", "MUST", "a", "Has a test."),
        Rule("XX-02", "MUST", "a", "Has nothing."),
        Rule("XX-03", "MUST", "a", "Has both.", not_applicable="No."),
        Rule("XX-04", "SHOULD", "a", "Is done otherwise.", deviation="Because."),
        Rule("XX-05", "SHALL", "a", "Has no such level.", not_applicable="No."),
    )
    tests = {"XX-01": ["a"], "XX-03": ["b"], "XX-04": ["c"], "XX-99": ["d", "e"]}
    assert conformance.faults(tests, [Chapter("Chapter", "https://x.example/", rules)]) == [
        "XX-99 is no rule: d, e",
        "XX-02 has neither a test nor a reason",
        "XX-03 has a test, and is not applicable",
        "XX-05 has the level SHALL",
    ]


def test_every_rule_is_there_once_and_in_its_own_words() -> None:
    ids = [rule.id for chapter in conformance.chapters() for rule in chapter.rules]
    assert len(ids) == len(set(ids)) > 280
    for chapter in conformance.chapters():
        for rule in chapter.rules:
            assert re.fullmatch(r"[A-Z]{2}-\d\d", rule.id)
            for sentence in filter(None, (rule.text, rule.not_applicable, rule.deviation)):
                assert sentence.endswith("."), rule.id
                assert "|" not in sentence, "it stands in a table"
