"""asyncapi.yaml: valid for AsyncAPI's own parser, current, served, and about every topic."""

from __future__ import annotations

import subprocess
from pathlib import Path

import httpx2
import pytest
import yaml

from service.contract import asyncapi, openapi
from service.resources import RESOURCES
from service.rules import topics
from tests.clients.conftest import NODE

ROOT = Path(__file__).parents[2]
FILE = ROOT / "asyncapi.yaml"


def test_the_committed_file_is_current_and_small() -> None:
    text = FILE.read_text()
    assert text == openapi.dump(asyncapi.build(RESOURCES)), "run `make openapi`"
    assert len(text.encode()) < 2_500 * len(topics.NAMES)


def test_each_topic_has_a_message_and_a_schema_of_its_own() -> None:
    document = asyncapi.build(RESOURCES)
    assert document["components"]["messages"].keys() == topics.NAMES | {"cloudEvent"}
    assert document["components"]["schemas"].keys() >= topics.NAMES
    for channel in ("webhooks", "stream"):
        assert document["channels"][channel]["messages"].keys() == topics.NAMES


def test_openapi_lists_the_same_by_type() -> None:
    document = openapi.build(RESOURCES)
    assert document["webhooks"].keys() == topics.TOPICS.keys()
    for type_, told in document["webhooks"].items():
        assert told["post"]["summary"].rpartition(": ")[2].split(", ") == list(topics.TOPICS[type_])


@pytest.mark.timeout(600)
def test_it_is_valid_for_its_own_parser() -> None:
    done = subprocess.run(
        [NODE, ROOT / "tests" / "clients" / "asyncapi.js", FILE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"3 channels, {len(topics.NAMES) + 1} messages"


@pytest.mark.timeout(600)
def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    document = asyncapi.build(RESOURCES)
    document["operations"]["streamEvents"]["action"] = "shout"
    (tmp_path / "wrong.yaml").write_text(openapi.dump(document))
    done = subprocess.run(
        [NODE, ROOT / "tests" / "clients" / "asyncapi.js", tmp_path / "wrong.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "action" in done.stderr


async def test_it_is_served(client: httpx2.AsyncClient) -> None:
    text = (await client.get("/asyncapi.yaml")).text
    assert text == FILE.read_text()
    assert (await client.get("/asyncapi.json")).json() == yaml.safe_load(text)
