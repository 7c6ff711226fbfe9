"""The guard of the contract, on changes made on purpose: what breaks clients is found and named, the rest passes."""

from __future__ import annotations

import copy
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.contract import openapi
from service.resources import RESOURCES
from tests.clients.conftest import FOLDER, NODE

Document = dict[str, Any]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def before() -> Document:
    return openapi.build(RESOURCES)


def compared(before: Document, after: Document, folder: Path) -> subprocess.CompletedProcess[str]:
    """How the guard ends, and what it says, when one contract follows another."""
    files = [folder / "before.json", folder / "after.json"]
    for file, document in zip(files, (before, after), strict=True):
        file.write_bytes(orjson.dumps(document))
    return subprocess.run([NODE, FOLDER / "breaking.js", *files], capture_output=True, text=True, check=False)


def test_what_breaks_clients_is_named(before: Document, tmp_path: Path) -> None:
    after = copy.deepcopy(before)
    schemas = after["components"]["schemas"]
    del after["paths"]["/api/reorder_previews"]
    del after["paths"]["/api/orders"]["get"]["responses"]["200"]
    del schemas["OrderFacts"]["properties"]["payment_status"]
    schemas["TagCreate"]["properties"]["data"]["properties"]["attributes"]["allOf"][1]["required"].append("reference")
    schemas["OrderFacts"]["properties"]["number"]["type"] = "integer"
    done = compared(before, after, tmp_path)
    assert done.returncode == 1, done.stderr
    for named in (
        "/api/reorder_previews",
        "responses/200",
        "properties/payment_status",
        "required",
        '"string" -> "integer"',
    ):
        assert named in done.stdout, done.stdout


def test_what_breaks_nobody_passes(before: Document, tmp_path: Path) -> None:
    after = copy.deepcopy(before)
    schemas = after["components"]["schemas"]
    schemas["OrderFacts"]["properties"]["gift_message"] = {"type": "string", "description": "New."}
    schemas["OrderFacts"]["properties"]["number"]["description"] = "Other words."
    after["paths"]["/api/gifts"] = after["paths"]["/api/tags"]
    after["components"]["examples"]["TagDocument"]["value"]["data"]["id"] = "another"
    done = compared(before, after, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
