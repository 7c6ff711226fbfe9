"""The units of "Deploy", as systemd reads them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.processes import ROOT

PAGE = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
UNITS = dict(re.findall(r"^```ini\n# /etc/systemd/system/(\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def test_the_page_has_a_unit_for_each_kind_of_process() -> None:
    assert list(UNITS) == ["reprise-api@.service", "reprise-worker.service"]
    for instance in re.findall(r"reprise-(?:api@\d+|worker)", PAGE):
        assert re.sub(r"@\d+", "@", instance) + ".service" in UNITS


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    """With a program in the place of the one that the page installs: whether there is one isn't asked here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: make deploy-tools")
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: make deploy-tools")
    for name, text in UNITS.items():
        instance = name.replace("@.", "@8000.")
        placed = text.replace("/opt/reprise/bin/reprise", "/bin/true").replace("User=reprise", "User=daemon")
        (tmp_path / instance).write_text(placed)
    units = sorted(str(path) for path in tmp_path.iterdir())
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    ours = [line for line in found.stderr.splitlines() if "reprise" in line]
    assert (found.returncode, ours) == (0, [])


@pytest.mark.parametrize("name", UNITS)
def test_little_is_exposed(name: str, tmp_path: Path) -> None:
    """What systemd thinks of a unit whose process may do all it likes is 9.6 of 10."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: make deploy-tools")
    unit = tmp_path / name.replace("@.", "@8000.")
    unit.write_text(UNITS[name])
    asked = ["systemd-analyze", "security", "--offline=true", "--threshold=60", str(unit)]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout.splitlines()[-1] + found.stderr
