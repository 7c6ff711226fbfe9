"""What a release contains is locked, and told."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.processes import ROOT

LOCKS = ("requirements.txt", "requirements-dev.txt", "tests/clients/generators.txt")


def locked(path: str) -> dict[str, tuple[str, int]]:
    """The packages of a lock: their versions, and how many hashes each has."""
    entries = re.split(r"\n(?=\S)", (ROOT / path).read_text())
    found = (re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", entry) for entry in entries)
    pairs = zip(found, entries, strict=True)
    return {match[1]: (match[2], entry.count("--hash=sha256:")) for match, entry in pairs if match}


@pytest.mark.parametrize("path", LOCKS)
def test_everything_that_is_installed_is_locked_with_its_hashes(path: str) -> None:
    packages = locked(path)
    assert len(packages) > 10
    assert {name for name, (_, hashes) in packages.items() if hashes == 0} == set()


def test_every_dependency_of_the_project_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.match(r"[A-Za-z0-9._-]+", line)[0] for line in project["dependencies"]}  # type: ignore[index]
    assert names <= locked("requirements.txt").keys()


def test_the_list_of_a_release_names_every_locked_package(tmp_path: Path) -> None:
    told = tmp_path / "reprise.cdx.json"
    tool = [sys.executable, "-m", "uv", "tool", "run", "--quiet", "--from", "cyclonedx-bom>=7,<8", "cyclonedx-py"]
    fetched = subprocess.run([*tool, "--version"], cwd=ROOT, capture_output=True, text=True, check=False)
    if fetched.returncode:
        pytest.skip(f"the tool that writes it can't be fetched from PyPI: {fetched.stderr.strip()[-200:]}")
    asked = ["requirements", "requirements.txt", "--pyproject", "pyproject.toml", "--output-format", "JSON"]
    subprocess.run([*tool, *asked, "--output-file", str(told)], cwd=ROOT, capture_output=True, check=True)
    document = json.loads(told.read_text())
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "reprise"
    listed = {part["name"]: part["version"] for part in document["components"]}
    assert listed == {name: version for name, (version, _) in locked("requirements.txt").items()}
