"""Every sentence that is raised can be said in every language, with the same values in it."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import errors
from service.errors import ApiError, Invalid, Phrase
from service.http.languages import LANGUAGES
from service.http.translations import catalogue, say

SERVICE = Path(errors.__file__).parent
CLASSES = {
    name: found for name, found in vars(errors).items() if isinstance(found, type) and issubclass(found, ApiError)
}
OTHERS = LANGUAGES[1:]

LITERAL = {
    f"service/jsonapi/{name}.py" for name in ("body", "document", "filters", "pagination", "query", "sorting")
} | {
    "service/http/writing.py", "service/operations/drafts.py", "service/operations/lines.py",
    "service/operations/writes.py", "service/store/constraints.py", "service/store/read.py",
}  # fmt: skip
"""Files whose sentences still have their values written into them (f-strings), so that these are said in English."""


def raised() -> Iterator[tuple[str, ast.expr]]:
    """File and first argument of everything that is raised as a problem of a client."""
    for path in sorted(SERVICE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if named and node.func.id in {*CLASSES, "Phrase"} and node.args:  # type: ignore[attr-defined]
                yield str(path.relative_to(SERVICE.parent)), node.args[0]  # type: ignore[attr-defined]


def values(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_and_title_is_translated(language: str) -> None:
    sentences = [first.value for _, first in raised() if isinstance(first, ast.Constant)]
    assert len(sentences) > 50
    missing = {*sentences, *(found.title for found in CLASSES.values())} - catalogue(language).keys()
    assert not missing, f"add to {language}.po"


def test_sentences_are_templates() -> None:
    """The values of a sentence are keywords: an f-string has forgotten what it is made of."""
    assert {path for path, first in raised() if isinstance(first, ast.JoinedStr)} <= LITERAL


@pytest.mark.parametrize("language", OTHERS)
def test_translations_hold_the_same_values(language: str) -> None:
    for template, translation in catalogue(language).items():
        assert translation.strip(), template
        assert values(template) == values(translation), template


def test_values_are_filled_in_and_translated_where_they_are_sentences() -> None:
    problem = Invalid("{name} - {message}", name="email", message="must be an e-mail address")
    assert (problem.detail, str(problem)) == ("email - must be an e-mail address",) * 2
    assert say(problem.detail, "nl") == "email - moet een e-mailadres zijn"
    assert say(problem.detail, "en") == "email - must be an e-mail address"


def test_what_no_catalogue_knows_is_said_in_english() -> None:
    assert say(Phrase("Nobody {does} this.", does="does"), "nl") == "Nobody does this."
    assert say("plain {text}", "nl") == say(Phrase("plain {text}"), "nl") == "plain {text}"
    assert say(Invalid(Phrase("a {b}", b=1)).detail, "nl") == "a 1"
