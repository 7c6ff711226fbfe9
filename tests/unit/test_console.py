"""What a command prints: in the language of the environment's locale, with English where there is none."""

from __future__ import annotations

import pytest

from service.cli.console import answer, say, told
from service.cli.progress import progress
from service.texts import Phrase

NONE = Phrase("none")


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "nl_NL.UTF-8"}, "nl"),
        ({"LANG": "nl"}, "nl"),
        ({"LANG": "nl.UTF-8"}, "nl"),
        ({"LANG": "nl_BE@euro"}, "nl"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "fr_FR.UTF-8"}, "en"),
        ({"LANG": "C"}, "en"),
        ({"LANG": "POSIX"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "nl_NL.UTF-8"}, "nl"),
        ({"LANG": "nl_NL.UTF-8", "LC_MESSAGES": "C.UTF-8"}, "en"),
        ({"LANG": "nl_NL.UTF-8", "LC_MESSAGES": "nl_NL.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "en_US.UTF-8", "LC_ALL": "nl_NL.UTF-8"}, "nl"),
        ({"LANG": "nl_NL.UTF-8", "LC_MESSAGES": "", "LC_ALL": ""}, "nl"),
        ({"LC_TIME": "nl_NL.UTF-8"}, "en"),
    ],
)
def test_the_language_is_that_of_the_locale_of_messages(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], language: str
) -> None:
    for name in ("LANG", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert told(NONE) == {"en": "none", "nl": "geen"}[language]


def test_results_go_to_standard_output_and_all_else_to_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "nl_NL.UTF-8")
    answer(NONE)
    say(Phrase("migrating: {step}", step=Phrase("tables of {schema}", schema="none")))
    assert capsys.readouterr() == ("geen\n", "migreren: tabellen van none\n")


def test_data_is_printed_as_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LC_ALL", "nl_NL.UTF-8")
    answer("none")
    say("none")
    assert capsys.readouterr() == ("none\n", "none\n")


def test_long_work_takes_a_line_for_each_tenth(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "nl_NL.UTF-8")
    with progress(Phrase("orders"), 30) as tell:
        for done in range(31):
            tell(done, 30)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"bestellingen: {done} van 30" for done in range(3, 31, 3)]
