"""The image and the compose file: built and run where that can be, and held against their specification everywhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec.models import ComposeSpecification, Service

from tests.processes import ROOT
from tests.proxying import PAGE

FOLDER = ROOT / "docs" / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"].startswith("reprise:")}
CONTAINERFILE = (FOLDER / "Containerfile").read_text()


def test_the_compose_file_is_one() -> None:
    ComposeSpecification.model_validate(COMPOSE)
    fields = Service.model_fields
    known = {field.alias or name for name, field in fields.items()} | set(fields)
    for name, service in COMPOSE["services"].items():
        assert service.keys() - known == set(), name
        for needed in service.get("depends_on", {}):
            assert needed in COMPOSE["services"]


def test_each_process_has_little_to_do_harm_with() -> None:
    assert set(OURS) == {"migrate", "api-a", "api-b", "worker"}
    for service in OURS.values():
        assert service["read_only"] is True
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
        assert "ports" not in service
    users = re.findall(r"^USER (.*)$", CONTAINERFILE, re.MULTILINE)
    assert users == ["10001:10001"]


def test_what_is_copied_into_the_image_exists() -> None:
    for line in re.findall(r"^COPY (?!--from)(.*)$", CONTAINERFILE, re.MULTILINE):
        for name in line.split()[:-1]:
            assert (ROOT / name).exists(), name


def test_the_proxy_is_that_of_the_page() -> None:
    found = re.search(r"^```nginx\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    wanted = found[1].replace("127.0.0.1:8000", "api-a:8000").replace("127.0.0.1:8001", "api-b:8000")
    _, _, placed = (FOLDER / "nginx.conf").read_text().partition("\n")
    assert placed == wanted.replace("server_name shop.example;", "server_name _;")


BASE = os.environ.get("CONTAINER_BASE")
"""The tar of a root file system with Python: what the image is made from where no other image can be had."""
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
"""Whom this machine trusts: packages may come to it by way of a mirror."""


@pytest.mark.timeout(1800)
def test_the_image_runs(tmp_path: Path) -> None:
    """Built without user namespaces, which not every machine has."""
    if shutil.which("buildah") is None or BASE is None:
        pytest.skip("there is no root file system to build from: make container")
    buildah = ["buildah", "--storage-driver", "vfs", "--root", f"{tmp_path}/root", "--runroot", f"{tmp_path}/run"]

    def run(*arguments: str) -> str:
        done = subprocess.run([*buildah, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
        return done.stdout.strip()

    scratch = run("from", "scratch")
    run("add", scratch, BASE, "/")
    run("add", scratch, str(AUTHORITIES), str(AUTHORITIES))
    run("config", "--env", f"PIP_CERT={AUTHORITIES}", scratch)
    run("commit", scratch, "base")
    file = ["--file", str(FOLDER / "Containerfile"), "--format", "docker", "--build-arg", "BASE=localhost/base"]
    run("bud", "--isolation", "chroot", *file, "--tag", "reprise", ".")
    container = run("from", "localhost/reprise")
    inside = ["run", "--isolation", "chroot", container, "--"]
    assert run(*inside, "reprise", "--version").startswith("reprise ")
    assert run(*inside, "id", "-u") == "10001"
    assert run(*inside, "reprise", "openapi") == (ROOT / "openapi.yaml").read_text().strip()
    image = run("inspect", "--type", "image", "localhost/reprise")
    assert "web.urlopen" in image
