"""npm's clients, unmodified: each program of this folder is run by node, and each of its tests is one here."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from xml.etree import ElementTree as ET

import pytest

from tests import roles
from tests.clients.conftest import FOLDER, NODE, Shop
from tests.processes import serving
from tests.webhooks.receiving import receiver


@pytest.mark.parametrize("program", sorted(path.name for path in FOLDER.glob("*.test.js")))
def test_program(program: str, shop: Shop, subtests: pytest.Subtests) -> None:
    run(program, shop, subtests)


def test_every_method_of_commerce_layer_s_subscriptions(
    shop: Shop, environment: dict[str, str], subtests: pytest.Subtests
) -> None:
    with serving("work", until="works", **roles.of("worker", environment)):
        run("commerce_layer_subscriptions.js", shop, subtests)


def test_commerce_layer_s_exports_and_imports(
    shop: Shop, environment: dict[str, str], subtests: pytest.Subtests
) -> None:
    with serving("work", until="works", **roles.of("worker", environment)):
        run("commerce_layer_transfer.js", shop, subtests)


async def test_commerce_layer_s_webhooks(shop: Shop, environment: dict[str, str], subtests: pytest.Subtests) -> None:
    async with receiver() as running:
        with serving("work", until="works", **roles.of("worker", environment)):
            told = Shop(shop.url, shop.token, shop.known | {"receiver": running.origin})
            await asyncio.to_thread(run, "commerce_layer_webhooks.js", told, subtests)


def run(program: str, shop: Shop, subtests: pytest.Subtests) -> None:
    """Run a program of tests by node, and tell of each."""
    told = {"REPRISE_URL": shop.url, "REPRISE_TOKEN": shop.token, "REPRISE_KNOWN": json.dumps(shop.known)}
    done = subprocess.run(
        [NODE, "--test-reporter=junit", program],
        cwd=FOLDER,
        env=os.environ | told,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("<?xml"), done.stdout + done.stderr
    cases = ET.fromstring(done.stdout).findall(".//testcase")
    assert cases, done.stderr
    for case in cases:
        with subtests.test(msg=case.attrib["name"]):
            failure = case.find("failure")
            assert failure is None, "".join(failure.itertext())
    assert done.returncode == 0, done.stderr
