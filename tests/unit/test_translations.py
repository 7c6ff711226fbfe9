"""Every sentence that the service says is in every catalogue, with the same values in it, and nothing else is."""

from __future__ import annotations

import ast
import re
import string
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from jinja2 import Environment, nodes

from schemas.kinds import Pattern
from service import errors
from service.errors import ApiError, Invalid
from service.texts import LANGUAGES, Either, Phrase, catalogue, say
from sql import MIGRATIONS

ROOT = Path(errors.__file__).parents[1]
TEXTS = "service/texts/__init__.py"
CLASSES = {
    name: found for name, found in vars(errors).items() if isinstance(found, type) and issubclass(found, ApiError)
}
OTHERS = LANGUAGES[1:]

RAISED = {*CLASSES, "StartupError", "Phrase", "ValidationError"}
"""What takes a sentence."""
PRINTED = {"say", "answer", "told", "progress", "Finding", "BadParameter", "add_row"}
"""What shows a person at a terminal a sentence, which must be a Phrase, or data."""
TEMPLATES = sorted(ROOT.glob("service/**/*.html"))
MARKS = {"reprise ", "ok"}
"""What is said as it is in every language: doctor's mark for what is well."""

COLLECTED = {
    "PROBLEMS[CHANGED]": "a page's",
    "COUPON_PROBLEMS[status]": "a coupon's",
    "error.detail": "another problem's",
    "error.messages[0]": "a ValidationError's",
    "message": "a ValidationError's",
    "said": "a ValidationError's",
    "sentence": "a template's",
    "self.words": "a Pattern's",
    "reason": "an outcome's",
    "_MALFORMED": "a Phrase",
    "name.replace('_', ' ')": "a constraint's",
}
"""What may stand where a sentence is expected, since the sentence is collected where it comes from."""
FREE = {"service/errors.py"}
"""Makes phrases of what it is given."""
REFERENCE = {"api.html", "docs_layout.html", "docs_page.html", "docs_search.html"}
"""The templates in English alone, as what they show is."""
NAMES = {"Reprise"}
"""What has the same name in every language."""


@cache
def sentences() -> list[tuple[str, ast.expr]]:
    """File and expression of every sentence: of all problems, of all phrases with their plurals, of all validators."""
    return [(path, one) for path, call in calls() if path != TEXTS for one in _sentences(call)]


@cache
def calls() -> list[tuple[str, ast.Call]]:
    """Every call in our Python, with its file."""
    paths = sorted(path for part in ("service", "schemas", "sql") for path in (ROOT / part).glob("**/*.py"))
    parsed = [(str(path.relative_to(ROOT)), ast.parse(path.read_text())) for path in paths]
    return [(name, node) for name, tree in parsed for node in ast.walk(tree) if isinstance(node, ast.Call)]


def _sentences(node: ast.Call) -> Iterator[ast.expr]:
    if _called(node) in RAISED:
        yield from node.args[:1]
    validator = ast.unparse(node.func).startswith("validate.")
    for keyword in node.keywords:
        if keyword.arg == "plural" or (keyword.arg == "error" and validator):
            yield keyword.value
        elif keyword.arg == "error_messages" and isinstance(keyword.value, ast.Dict):
            yield from keyword.value.values


def _called(node: ast.Call) -> str:
    """The last name of what is called: `Phrase`, and `BadParameter` of `typer.BadParameter`."""
    return ast.unparse(node.func).rpartition(".")[2]


def said(template: Path) -> Iterator[nodes.Expr]:
    """What a template says: the first argument of each `say`, and the label of each `button`."""
    for call in Environment(autoescape=True).parse(template.read_text()).find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name in ("say", "button"):
            yield call.args[call.node.name == "button"]


def told() -> set[str]:
    """The template of everything that can be told, but for the names of constraints."""
    constants = {one.value for _, one in sentences() if isinstance(one, ast.Constant)}
    kinds, found = [Pattern], set()
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        found |= {kind.words} if "words" in vars(kind) else set()
    pages = {one.value for path in TEMPLATES for one in said(path) if isinstance(one, nodes.Const)}
    return {*map(str, constants), *found, *pages, *(problem.title for problem in CLASSES.values())}


def constraints() -> set[str]:
    """The names of all constraints and unique indexes as the sentences that they are."""
    text = "".join(path.read_text() for path in MIGRATIONS.glob("*.sql"))
    return {name.replace("_", " ") for name in re.findall(r"(?:constraint|unique index) ([a-z_0-9]+)", text)}


def entries(language: str) -> Iterator[tuple[str, str]]:
    """The templates of a catalogue with their translations, plurals as entries of their own."""
    for message in catalogue(language):
        if isinstance(message.id, str):
            yield from [(message.id, str(message.string))] if message.id else []
        else:
            yield from zip(message.id, message.string or (), strict=True)


def values(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_and_title_is_translated(language: str) -> None:
    assert len(told()) > 150
    known = {template for template, _ in entries(language)}
    missing, unused = told() - known, known - told() - constraints()
    assert missing == set(), f"add to {language}.po"
    assert unused == set(), f"remove from {language}.po"


def test_sentences_are_templates() -> None:
    """The values of a sentence are keywords: an f-string has forgotten what it is made of."""
    others = {
        (path, ast.unparse(one)) for path, one in sentences() if not isinstance(one, ast.Constant) and path not in FREE
    }
    assert {(path, text) for path, text in others if text not in COLLECTED and not text.startswith("Phrase(")} == set()
    assert {text for _, text in others} >= COLLECTED.keys()


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_no_words_but_those_it_says(template: Path) -> None:
    """It says constants, which are collected, and what Python hands it, which is a Phrase."""
    assert [
        one for one in said(template) if not isinstance(one, nodes.Const | nodes.Name | nodes.Getattr | nodes.Getitem)
    ] == []
    fixed = re.sub(r"(?s)\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", template.read_text())
    text = re.sub(r"(?s)<[^>]*>", " ", fixed)
    attributes = re.findall(r' (?:alt|title|placeholder|aria-label)="([^"]*)"', fixed)
    words = {word for part in (text, *attributes) for word in re.findall(r"[^\W\d_]+", part)}
    assert bool(words - NAMES) == (template.name in REFERENCE), words


def test_what_is_shown_at_a_terminal_is_a_phrase_or_data() -> None:
    shown = [(path, call) for path, call in calls() if _called(call) in PRINTED]
    assert {path for path, _ in shown} >= {
        "service/cli/commands/tokens.py",
        "service/cli/up.py",
        "service/store/migrate.py",
    }
    words = {(path, word) for path, call in shown for part in call.args for word in _words(part)}
    assert {(path, word) for path, word in words if word not in MARKS} == set()


def _words(node: ast.AST) -> Iterator[str]:
    """The words in an expression, but for the arguments of other calls, Phrases among them."""
    if isinstance(node, ast.Constant) and re.search(r"[^\W\d_]", str(node.value)) and isinstance(node.value, str):
        yield node.value
    if not isinstance(node, ast.Call):
        for part in ast.iter_child_nodes(node):
            yield from _words(part)


@pytest.mark.parametrize("language", OTHERS)
def test_a_sentence_is_in_a_catalogue_once(language: str) -> None:
    known = re.findall(r'(?m)^msgid (".*"(?:\n".*")*)', (ROOT / f"service/texts/{language}.po").read_text())
    assert {one: number for one, number in Counter(known).items() if number > 1} == {}


@pytest.mark.parametrize("language", OTHERS)
def test_translations_hold_the_same_values(language: str) -> None:
    for template, translation in entries(language):
        assert translation.strip(), template
        assert values(template) == values(translation), template


def test_values_are_filled_in_and_translated_where_they_are_sentences() -> None:
    problem = Invalid("{name} - {message}", name="email", message=Phrase("must be an e-mail address"))
    assert (problem.detail, str(problem)) == ("email - must be an e-mail address",) * 2
    assert say(problem.detail, "nl") == "email - moet een e-mailadres zijn"
    assert say(problem.detail, "en") == "email - must be an e-mail address"


def test_what_a_client_sent_is_never_translated() -> None:
    sent = Invalid("This URL takes {type}, not {sent}.", type="orders", sent="Forbidden")
    assert say(sent.detail, "nl") == "Op deze URL hoort orders, niet Forbidden."
    assert say(Invalid("This URL takes {type}, not {sent}.", type="{sent}", sent="").detail, "nl") == (
        "Op deze URL hoort {sent}, niet ."
    )


def test_lists_are_said_as_each_language_does() -> None:
    template = "must be {choices}"
    assert str(Phrase(template, choices=Either("abc"))) == "must be a, b, or c"
    assert say(Phrase(template, choices=Either("abc")), "nl") == "moet a, b of c zijn"
    assert say(Phrase("{name} is not a page parameter; there are {known}.", name="x", known=["a", "b"]), "nl") == (
        "x is geen paginaparameter; er zijn a en b."
    )
    ways = Either((Phrase("include less"), Phrase("page by cursor")))
    assert say(Phrase("The database took too long. Narrow the request: {ways}.", ways=ways), "nl") == (
        "De database deed er te lang over. Beperk het verzoek: neem minder mee of blader met een cursor."
    )
    assert str(Phrase(template, choices=[])) == "must be "


@pytest.mark.parametrize(
    ("count", "english", "dutch"),
    [
        (1, "Only 1 of 3 is in stock.", "Er is er maar 1 van de 3 op voorraad."),
        (2, "Only 2 of 3 are in stock.", "Er zijn er maar 2 van de 3 op voorraad."),
        (0, "Only 0 of 3 are in stock.", "Er zijn er maar 0 van de 3 op voorraad."),
    ],
)
def test_the_wording_follows_the_number(count: int, english: str, dutch: str) -> None:
    one, more = "Only {count} of {requested} is in stock.", "Only {count} of {requested} are in stock."
    phrase = Phrase(one, plural=more, count=count, requested=3)
    assert str(phrase) == english
    assert say(phrase, "nl_NL") == dutch


def test_what_no_catalogue_knows_is_said_in_english() -> None:
    assert say(Phrase("Nobody {does} this.", does="does"), "nl") == "Nobody does this."
    assert say("plain {text}", "nl") == say(Phrase("plain {text}"), "nl") == "plain {text}"
    assert say(Invalid(Phrase("a {b}", b=1)).detail, "nl") == "a 1"
    assert say(Phrase("must be {choices}", choices=Either("ab")), "fr_FR") == "must be a or b"
    assert say("", "nl") == say(Phrase(""), "nl") == ""
