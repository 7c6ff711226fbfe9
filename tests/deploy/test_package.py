"""The wheel is whole: alone in an empty environment and an empty folder, it serves."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx2
import pytest

from tests.processes import ROOT, introduced, launch

SOURCES = ("service", "schemas", "sql", "docs", "pyproject.toml")
UNREACHABLE = re.compile(
    r"failed to fetch|error sending request|dns error|connection|timed? ?out|network|not found in the cache",
    re.IGNORECASE,
)
UP = r"/docs/api\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as `make wheel` does it from a copy of the sources: building leaves things behind."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in (*SOURCES, *(path.name for path in ROOT.iterdir() if path.suffix in {".md", ".yaml"}), "LICENSE"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-input"]
    built = subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("reprise-*.whl")
    return found


def test_it_holds_every_file_that_the_service_reads(wheel: Path) -> None:
    packages = [path for name in ("service", "schemas", "sql") for path in (ROOT / name).rglob("*") if path.is_file()]
    wanted = {str(path.relative_to(ROOT)) for path in packages if "__pycache__" not in path.parts}
    wanted = {name for name in wanted if not Path(name).name.startswith(".")}
    read = [path for path in (ROOT / "docs").rglob("*") if path.is_file()]
    shown = {f"share/reprise/{path.relative_to(ROOT)}" for path in read}
    shown |= {f"share/reprise/{name}" for name in ("openapi.yaml", "asyncapi.yaml", "CHANGELOG.md")}
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    assert wanted - held == set()
    assert shown - {name.partition(".data/data/")[2] for name in held} == set()
    assert {name.partition("/")[0] for name in held if ".data" not in name and ".dist-info" not in name} == {
        "schemas", "service", "sql",
    }  # fmt: skip


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The `reprise` of an environment that has the wheel, what it is locked with, and nothing else."""
    environment = wheel.parent / "environment"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
    install = [*uv, "pip", "install", "--quiet", "--python", str(environment / "bin" / "python")]
    locked = [*install, "--require-hashes", "--requirement", str(ROOT / "requirements.txt")]
    fetched = subprocess.run(locked, capture_output=True, text=True, check=False)
    if fetched.returncode and UNREACHABLE.search(fetched.stderr):
        pytest.skip(f"the locked packages can't be fetched from PyPI: {fetched.stderr.strip()[-200:]}")
    assert fetched.returncode == 0, fetched.stderr
    subprocess.run([*install, "--no-deps", "--offline", str(wheel)], check=True)
    return environment / "bin" / "reprise"


def test_in_an_empty_folder_it_serves_a_reorder_the_docs_and_the_contract(installed: Path, tmp_path: Path) -> None:
    process = launch([str(installed), "up", "--port", "0"], tmp_path, {"PYTHONPATH": ""})
    with introduced(process, UP) as service:
        tokens = (tmp_path / ".reprise" / "tokens").read_text()
        customer = dict(line.split() for line in tokens.splitlines())["customer"]
        order = {"type": "orders", "id": "ABCRtyUpBa"}
        document = {"data": {"type": "reorders", "relationships": {"source_order": {"data": order}}}}
        with httpx2.Client(base_url=service.url, headers={"Authorization": f"Bearer {customer}"}) as client:
            media = {"Content-Type": "application/vnd.api+json"}
            reorder = client.post("/api/reorders", json=document, headers=media)
            assert reorder.status_code == 201, reorder.text
            assert reorder.json()["data"]["attributes"]["skipped_count"] == 0
            for path in ("/", "/demo", "/docs", "/docs/how-to/deploy", "/docs/resources", "/docs/api"):
                assert client.get(path).status_code == 200, path
            assert client.get("/openapi.yaml").text == (ROOT / "openapi.yaml").read_text()
        told = service.stop(signal.SIGTERM)
    assert told.code == 0, told.err
    assert "Traceback" not in told.err
    assert {path.name for path in tmp_path.iterdir()} == {".reprise"}


def test_shells_learn_its_commands(installed: Path) -> None:
    asked = {"PYTHONPATH": "", "_REPRISE_COMPLETE": "complete_bash", "COMP_WORDS": "reprise st", "COMP_CWORD": "1"}
    found = subprocess.run([installed], env=os.environ | asked, capture_output=True, text=True, check=False)
    assert found.stdout.split() == ["store"], found.stderr


def test_make_says_at_once_what_it_does_and_how_far_it_is(tmp_path: Path) -> None:
    """In a folder of its own, with three of the locked packages."""
    entries = re.split(r"\n(?=\S)", (ROOT / "requirements.txt").read_text())
    few = [entry for entry in entries if entry.startswith(("setuptools==", "idna==", "h11=="))]
    (tmp_path / "requirements.txt").write_text("\n".join(few) + "\n")
    project = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    (tmp_path / "pyproject.toml").write_text(f'{project}[project]\nname = "nothing"\nversion = "1"\n')
    shutil.copy(ROOT / "Makefile", tmp_path)
    made = subprocess.run(
        ["make", "--no-print-directory", ".venv/run.stamp", f"PYTHON={sys.executable}"],
        cwd=tmp_path, env=os.environ | {"MAKEFLAGS": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode and UNREACHABLE.search(made.stderr):
        pytest.skip(f"three packages can't be fetched from PyPI: {made.stderr.strip()[-200:]}")
    assert made.returncode == 0, made.stderr
    first, *progress = made.stderr.splitlines()
    assert first == "Installing the 3 locked packages of requirements.txt into .venv, once: this takes a minute or two."
    assert [line for line in progress if line.startswith("  ")] == ["  3 of 3 packages", "  unpacking them"]
    (tmp_path / "requirements.txt").write_text(few[0].replace("==", "==99."))
    refused = subprocess.run(
        ["make", "--no-print-directory", ".venv/run.stamp"], cwd=tmp_path, env=os.environ | {"MAKEFLAGS": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 2
