"""What pages say of this repository is so: their commands of `make` and their links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.processes import ROOT

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
TARGETS = frozenset(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def of(page: Path) -> str:
    """The name of a page below the root."""
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """What can stand behind the `#` of a link to a page, as GitHub derives it from headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=of)
def test_every_command_of_make_exists(page: Path) -> None:
    code = re.findall(r"^```sh\n(.*?)^```$|`([^`\n]+)`", page.read_text(), re.MULTILINE | re.DOTALL)
    named = re.findall(r"^make ([a-z-]+)", "\n".join(block or span for block, span in code), re.MULTILINE)
    assert set(named) <= TARGETS


@pytest.mark.parametrize("page", PAGES, ids=of)
def test_every_link_to_a_file_leads_there(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"/|[a-z]+:", link):  # elsewhere, or what a server answers
            path, _, anchor = link.partition("#")
            found = (page.parent / path).resolve() if path else page
            assert found.exists(), link
            assert not anchor or anchor in anchors(found), link


def test_the_commands_of_contributing_are_commands() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        # A test starts no tests: `make` only shows what it would do.
        done = subprocess.run(
            ["sh", "-eu", "-c", block], cwd=ROOT, env=os.environ | {"MAKEFLAGS": "--dry-run"}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_help_lists_every_target_once() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = re.findall(r"^  make ([a-z-]+) ", listed, re.MULTILINE)
    assert sorted(named) == sorted(TARGETS)
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert TARGETS - set(phony[1].replace("\\\n", " ").split()) <= {
        name for name in TARGETS if name.startswith("check-")
    }
