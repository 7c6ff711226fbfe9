"""What guides say of servers: their shell is shell, and their commands and settings are those that there are."""

from __future__ import annotations

import re
import subprocess

import pytest
import typer

from service.__main__ import app
from tests.docs.test_reference import commands, sections
from tests.processes import ROOT

PAGES = ("deploy", "back-up-and-upgrade")


def text(page: str) -> str:
    return (ROOT / "docs" / "how-to" / f"{page}.md").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_blocks_of_shell_are_shell(page: str) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        done = subprocess.run(["sh", "-n"], input=block, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_are_those_that_there_are(page: str) -> None:
    known = dict(commands(typer.main.get_command(app), "reprise"))
    code = "\n".join(re.findall(r"```(?:sh|ini)\n(.*?)```", text(page), re.DOTALL))
    said = re.findall(r"(?:^|[ /])(reprise [a-z].*)$", code, re.MULTILINE)
    assert len(said) >= 4
    for line in said:
        name = max((one for one in known if line.startswith(one)), key=len, default="")
        assert name, line
        assert set(re.findall(r"--[a-z-]+", line)) <= known[name], line


def test_settings_are_those_that_there_are() -> None:
    named = set(re.findall(r"^([A-Z_]+)=", text("deploy"), re.MULTILINE))
    assert len(named) >= 4
    assert named <= sections("settings.md").keys()
