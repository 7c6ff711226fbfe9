"""`make matrix` finds what this machine has, starts what it needs, and says what came of it."""

from __future__ import annotations

import io
import re
import shlex
import sys
from pathlib import Path

import asyncpg
import pytest
from rich.console import Console

from service.store.pool import OLDEST_POSTGRES
from tests.matrix import machine
from tests.matrix.__main__ import Result, counts, play, table
from tests.matrix.machine import DEBIAN, POSTGRES, Machine
from tests.processes import ROOT

OURS = "{}.{}".format(*sys.version_info)
INSTALLED = machine.debian_servers(DEBIAN)

MAKEFILE = """\
test:
	@printf '%s\\n' "$(VENV)" "$(PYTHON)" "$${TEST_DATABASE_URL-embedded}" $(ARGS)
	@echo '==== 1 failed, 2 passed in 3.45s (0:00:03) ===='
	@test "$(VENV)" = .venv-3.11
"""
"""Stands in for the real one, which would take minutes: says what it was asked for, and is content with one Python."""


def kept_by_pyenv(folder: Path, version: str, name: str, script: str) -> Path:
    """A program where pyenv would have it."""
    path = folder / version / "bin" / name
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_what_is_supported_is_what_the_documents_say() -> None:
    readme = (ROOT / "README.md").read_text()
    oldest, *_, newest = machine.supported_pythons()
    assert f"Python {oldest} to {newest}" in readme
    assert f"Postgres {POSTGRES[0]} to {POSTGRES[-1]}" in readme
    assert str(OLDEST_POSTGRES) == POSTGRES[0]


def test_a_python_is_the_newest_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    name, real = f"python{OURS}", f'exec {shlex.quote(sys.executable)} "$@"'
    kept_by_pyenv(tmp_path, f"{OURS}.9", name, real)
    newest = kept_by_pyenv(tmp_path, f"{OURS}.10", name, real)
    kept_by_pyenv(tmp_path, f"{OURS}.11", name, "exit 127")
    kept_by_pyenv(tmp_path, "3.99.1", "python3.99", real)
    found = machine.find_python(OURS, tmp_path)
    assert found == newest or (found is not None and found.parent in {Path("/bin"), Path("/usr/bin")})
    assert machine.find_python("3.99", tmp_path) is None


def test_the_path_comes_before_pyenv_unless_it_leads_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, real = f"python{OURS}", f'exec {shlex.quote(sys.executable)} "$@"'
    kept = kept_by_pyenv(tmp_path / "pyenv", f"{OURS}.1", name, real)
    shim = kept_by_pyenv(tmp_path, "shims", name, "exit 127")
    monkeypatch.setenv("PATH", f"{shim.parent}:/bin:/usr/bin")
    assert machine.find_python(OURS, tmp_path / "pyenv") == kept
    shim.write_text(f"#!/bin/sh\n{real}\n")
    assert machine.find_python(OURS, tmp_path / "pyenv") == shim


def test_servers_are_those_that_can_be_started(tmp_path: Path) -> None:
    for version, program in (("14", "initdb"), ("16", "initdb"), ("17", "psql")):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / program).touch()
    assert machine.debian_servers(tmp_path) == {"16": tmp_path / "16" / "bin"}


def test_what_is_missing_is_said() -> None:
    first, *others = machine.supported_pythons()
    sentences = Machine({first: Path("python")}, dict.fromkeys(POSTGRES)).lacks()
    assert len(sentences) == 1
    assert sentences[0].startswith(f"Python {', '.join(others)}: ")
    complete = dict.fromkeys(machine.supported_pythons(), Path("python"))
    assert Machine(complete, dict.fromkeys(POSTGRES)).lacks() == []
    assert [sentence.split(":")[0] for sentence in Machine(complete, {"18": None}).lacks()] == ["Postgres 15, 16, 17"]


@pytest.mark.skipif(not INSTALLED, reason="there are no servers of Debian's packages here")
@pytest.mark.parametrize("version", INSTALLED)
async def test_a_server_serves_and_is_gone(version: str) -> None:
    programs = INSTALLED[version]
    assert programs is not None
    with machine.serving(programs) as url:
        connection = await asyncpg.connect(url)
        assert connection.get_server_version().major == int(version)
        await connection.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect(url)


def test_a_server_that_does_not_start_says_why(run_folder: Path, worker_id: str) -> None:
    programs = kept_by_pyenv(
        run_folder, f"full-{worker_id}", "initdb", "echo 'initdb: error: no space left' >&2; exit 1"
    ).parent
    with pytest.raises(RuntimeError, match="no space left"), machine.serving(programs):
        pass


def test_every_pair_is_run_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    monkeypatch.setenv("TEST_DATABASE_URL", "postgresql://elsewhere/")
    found = Machine({"3.11": Path("/bin/python3.11"), "3.12": Path("/bin/python3.12")}, {"18": None})
    said = io.StringIO()
    results = dict(play(found, ["-k", "a or $HOME"], tmp_path, Console(file=said, soft_wrap=True)))
    assert results == {
        ("3.11", "18"): Result(good=True, said="1 failed, 2 passed"),
        ("3.12", "18"): Result(good=False, said="1 failed, 2 passed"),
    }
    log = tmp_path / "build" / "matrix" / "python-3.12-postgres-18.log"
    assert str(log.relative_to(tmp_path)) in said.getvalue()
    assert log.read_text().splitlines()[:5] == [
        ".venv-3.12", "/bin/python3.12", "embedded", "-k", "a or $HOME",
    ]  # fmt: skip
    cells = table(found, results).columns[1].cells
    assert list(cells) == ["[green]1 failed, 2 passed[/]", "[red]1 failed, 2 passed[/]"]


@pytest.mark.skipif(not INSTALLED, reason="there are no servers of Debian's packages here")
def test_a_server_of_its_own_is_handed_to_the_tests(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    version, programs = next(iter(INSTALLED.items()))
    found = Machine({"3.11": Path("/bin/python3.11")}, {version: programs})
    dict(play(found, [], tmp_path, Console(file=io.StringIO())))
    log = tmp_path / "build" / "matrix" / f"python-3.11-postgres-{version}.log"
    assert re.fullmatch(r"postgresql://reprise@127\.0\.0\.1:\d+/postgres", log.read_text().splitlines()[2])


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("....\n907 passed in 123.31s (0:02:03)\n", "907 passed"),
        (
            "=== 2 failed, 904 passed, 1 skipped, 3 errors in 99.10s (0:01:39) ===",
            "2 failed, 904 passed, 1 skipped, 3 errors",
        ),
        ("=== 3 passed in 1.00s ===\n=== 4 passed in 1.00s ===\n", "4 passed"),
        (
            "ERROR: No matching distribution found for asyncpg\nmake: *** [Makefile:152: .venv-3.14/dev.stamp] Error 1",
            "did not run",
        ),
    ],
)
def test_counts_are_pytests_own(said: str, expected: str) -> None:
    assert counts(said) == expected
