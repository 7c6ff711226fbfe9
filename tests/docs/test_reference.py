"""The reference has a heading for everything that there is, and for nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from service import errors
from service.__main__ import app
from service.errors import ApiError
from service.principal import SCOPES
from service.settings import Settings

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def headings(page: str, level: int = 2) -> list[str]:
    return re.findall(rf"^#{{{level}}} (.+)$", (REFERENCE / page).read_text(), re.MULTILINE)


def sections(page: str, level: int = 2) -> dict[str, str]:
    parts = re.split(rf"^#{{{level}}} (.+)$", (REFERENCE / page).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_error_code() -> None:
    classes = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, ApiError)]
    codes = {found.code: found.status for found in classes}
    assert sorted(headings("errors.md", 3)) == sorted(codes)
    parts = {name: text for part in sections("errors.md").values() for name, text in _within(part).items()}
    for code, text in parts.items():
        statuses = re.findall(r"^(\d{3})\.", text, re.MULTILINE)
        assert statuses in ([], [str(codes[code])]), code


def _within(section: str) -> dict[str, str]:
    parts = re.split(r"^### (.+)$", section, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_scope() -> None:
    assert headings("scopes.md") == list(SCOPES)


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


def test_every_command() -> None:
    group = typer.main.get_command(app)
    found = set(_commands(group, "reprise"))
    assert set(headings("cli.md")) == found


def _commands(command: object, name: str) -> list[str]:
    commands: dict[str, object] = getattr(command, "commands", {})
    if not commands:
        return [name]
    return [found for part, inner in commands.items() for found in _commands(inner, f"{name} {part}")]


def test_every_option() -> None:
    texts = sections("cli.md")
    group = typer.main.get_command(app)

    def check(command: object, name: str) -> None:
        for part, inner in getattr(command, "commands", {}).items():
            check(inner, f"{name} {part}")
        if name in texts:
            for parameter in getattr(command, "params", []):
                for option in parameter.opts:
                    known = {"--help", "--database-url"}
                    assert option in known or option in texts[name], f"{name} {option}"

    check(group, "reprise")
