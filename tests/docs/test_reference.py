"""The reference has a heading for everything that there is, and for nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import typer

from schemas.graph import graph
from schemas.relationships import ToOne
from service import errors
from service.__main__ import app
from service.errors import ApiError
from service.jsonapi import atomic, filters, pagination, query, renderers
from service.operations.generic.batches import MOST_SECONDS
from service.principal import SCOPES
from service.resources import RESOURCES
from service.settings import Settings
from tests.docs import access, coming_from, personal_data, resources, states, topics

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def sections(page: str, level: int = 2) -> dict[str, str]:
    parts = re.split(rf"^#{{{level}}} (.+)$", (REFERENCE / page).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_error_code() -> None:
    classes = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, ApiError)]
    codes = {found.code: found.status for found in classes}
    assert sections("errors.md", 3).keys() == codes.keys()
    for code, text in sections("errors.md", 3).items():
        statuses = re.findall(r"^(\d{3})\.", text, re.MULTILINE)
        assert statuses in ([], [str(codes[code])]), code


def test_every_scope() -> None:
    assert list(sections("scopes.md")) == list(SCOPES)


def test_every_setting() -> None:
    names = {}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        outside = alias.choices[-1] if alias is not None and not isinstance(alias, str) else None  # type: ignore[union-attr]
        names[str(outside or f"REPRISE_{name.upper()}")] = field.default
    found = sections("settings.md")
    assert list(found) == list(names)
    for name, text in found.items():
        stated = re.search(r"^Default `?([^`\s]+?)`?\.(?:\s|$)", text, re.MULTILINE)
        default = names[name]
        if stated:
            given = int(default) if isinstance(default, float) else default
            assert stated[1] == str(given), name
        else:
            assert default in (None, ""), name


def commands(command: object, name: str) -> Iterator[tuple[str, set[str]]]:
    """The commands below one, by their whole names, with their options."""
    inner: dict[str, object] = getattr(command, "commands", {})
    for part, found in inner.items():
        yield from commands(found, f"{name} {part}")
    if not inner:
        opts = (option for parameter in getattr(command, "params", []) for option in parameter.opts)
        yield name, {option for option in opts if option.startswith("-")}  # arguments have no dashes


def test_every_command_and_its_options() -> None:
    texts = sections("cli.md")
    known = dict(commands(typer.main.get_command(app), "reprise"))
    assert texts.keys() == known.keys()
    for name, options in known.items():
        stated = set(re.findall(r"--[a-z-]+", texts[name]))
        assert options - {"--help", "--database-url"} <= stated, name
        assert stated <= options, name


def test_every_resource_type() -> None:
    assert list(sections("resources.md")) == list(RESOURCES)
    assert (REFERENCE / "resources.md").read_text() == resources.page(), "run `make docs`"


def test_every_operation_of_other_services() -> None:
    assert (REFERENCE / "coming-from.md").read_text() == coming_from.page(), "run `make docs`"


def test_every_verb() -> None:
    assert (REFERENCE / "states.md").read_text() == states.page(), "run `make docs`"


def test_every_topic() -> None:
    assert (REFERENCE / "topics.md").read_text() == topics.page(), "run `make docs`"


def test_every_mark() -> None:
    assert (REFERENCE / "personal-data.md").read_text() == personal_data.page(), "run `make docs`"


def test_every_url() -> None:
    assert (REFERENCE / "access.md").read_text() == access.page(), "run `make docs`"


def rows(page: str, heading: str) -> dict[str, str]:
    """First cell -> last cell of the table below a heading, without the table's own."""
    text = re.split(rf"^#+ {heading}$", (REFERENCE / page).read_text(), flags=re.MULTILINE)[1]
    lines = re.split(r"^#+ ", text, flags=re.MULTILINE)[0].splitlines()
    cells = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    return {row[0].strip(): row[-1].strip() for row in cells[2:]}


def test_every_matcher() -> None:
    families = [heading.split(", ") for heading in sections("filtering.md", 4)]
    assert sorted(name for family in families for name in family) == sorted(filters.MATCHERS)
    for family in families:
        assert list(rows("filtering.md", ", ".join(family))) == [f"`{name}`" for name in family]


def test_every_sort_through_a_relationship() -> None:
    found = {
        f"`{type_}`": ", ".join(f"`{path}`" for path in paths)
        for type_, resource in graph.items()
        if (
            paths := [
                f"{name}.{key}"
                for name, relationship in resource.relationships.items()
                if isinstance(relationship, ToOne)
                for key in relationship.sort
            ]
        )
    }
    assert rows("filtering.md", "Sorting") == found


def test_every_limit() -> None:
    limits = (
        pagination.MAX_SIZE, query.MAX_DEPTH, filters.MAX_STEPS, renderers.MAX_INCLUDED,
        filters.MAX_TERMS, filters.MAX_VALUES,
    )  # fmt: skip
    assert [int(value.replace(" ", "")) for value in rows("filtering.md", "Limits").values()] == list(limits)


def test_every_limit_of_operations() -> None:
    text = sections("atomic-operations.md")["Limits"]
    for name, most in (
        ("operations", atomic.MAX_OPERATIONS),
        ("seconds until the last operation begins", MOST_SECONDS),
    ):
        assert f"| {name} | {most:,} | 413 |".replace(",", " ") in text
