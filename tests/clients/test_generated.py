"""Clients that others make of openapi.yaml: what they generate compiles, and does a shop's work on a running server."""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.clients.conftest import FOLDER, NODE, Shop
from tests.processes import ROOT

PROGRAMS = FOLDER / "generated"
MODULES = FOLDER / "node_modules"
GENERATORS = Path(sys.prefix) / "generators"
"""Where `make` installs the generator of Python clients: apart, since it bounds libraries that the service uses."""

pytestmark = pytest.mark.timeout(600)


def run(command: Sequence[str | Path], **environment: str) -> None:
    done = subprocess.run(
        command, cwd=PROGRAMS, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]


def told(shop: Shop) -> dict[str, str]:
    """What the programs know of the shop."""
    parts = urlsplit(shop.url)
    return {
        "REPRISE_ORIGIN": f"{parts.scheme}://{parts.netloc}",
        "REPRISE_TOKEN": shop.token,
        "REPRISE_KNOWN": json.dumps(shop.known),
    }


def test_typescript(shop: Shop, tmp_path: Path) -> None:
    contract = tmp_path / "contract.d.ts"
    run([NODE, MODULES / "openapi-typescript" / "bin" / "cli.js", ROOT / "openapi.yaml", "--output", contract])
    program = PROGRAMS / "shop.ts"
    project = {
        "extends": str(PROGRAMS / "tsconfig.json"),
        "compilerOptions": {"paths": {"#contract": [str(contract)]}, "typeRoots": [str(MODULES / "@types")]},
        "files": [str(program)],
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps(project))
    run([NODE, MODULES / "typescript" / "bin" / "tsc", "--project", tmp_path])
    run([NODE, program], **told(shop))


def test_python(shop: Shop, tmp_path: Path) -> None:
    package = tmp_path / "reprise_client"
    config = PROGRAMS / "openapi-python-client.yaml"
    options: list[str | Path] = ["--path", ROOT / "openapi.yaml", "--config", config, "--output-path", package]
    environment = {"PYTHONPATH": f"{tmp_path}:{GENERATORS}"}
    run(
        [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning", *options],
        **environment,
    )
    assert compileall.compile_dir(package, quiet=1)
    run([sys.executable, PROGRAMS / "shop.py"], **environment, **told(shop))
