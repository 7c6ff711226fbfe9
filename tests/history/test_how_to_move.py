"""The commands of the pages on moving a shop, run as they stand on the samples; only store and database differ."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from service.principal import Store
from service.store.pool import Connection
from tests.history.bringing import shop, sound, written
from tests.history.test_platforms import SAMPLES
from tests.processes import ROOT, reprise
from tests.support import KEYS

HOW_TO = ROOT / "docs" / "how-to"
PLATFORMS = ("woocommerce", "shopify", "ecwid", "commerce-layer")


def commands(page: str) -> list[list[str]]:
    """The lines of a page's shell blocks, without the one that makes the store."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (HOW_TO / page).read_text(), re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if "store create" not in line]


def follow(page: str, folder: Path, store: Store, url: str, report: Path) -> list[str]:
    """Run a page's commands in a folder; what each printed."""
    printed = []
    for program, name, *arguments in commands(page):
        assert program == "reprise"
        here = [str(store.id) if one == "1003" else one for one in arguments]
        more = ["--report", str(report)] if name == "import" else []
        done = subprocess.run(
            [sys.executable, "-m", "service", name, *here, *more, "--database-url", url],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "REPRISE_SECRET_KEYS": ",".join(KEYS)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (name, arguments, done.stdout, done.stderr)
        printed.append(done.stdout)
    return printed


@pytest.mark.parametrize("platform", PLATFORMS)
async def test_a_platforms_page(
    connection: Connection, database_url: str, store: Store, tmp_path: Path, platform: str
) -> None:
    folder = SAMPLES / platform.replace("-", "_")
    printed = follow(f"move-from-{platform}.md", folder, store, database_url, tmp_path / "refused")
    assert "rehearsal" in printed[0]
    assert printed[-1].splitlines()[0].endswith(" 0 refused.")
    assert await sound(connection, store) == []


async def test_the_page_on_moving(own_url: str, tmp_path: Path) -> None:
    assert reprise("store", "create", "--id", "77", "--name", "My shop", "--database-url", own_url).code == 0
    records, later = shop(), ("skus", "prices", "stock_items", "orders", "order_subscriptions")
    written(tmp_path, [one for one in records if one["type"] not in later], "customers.ndjson")
    for name in ("skus", "orders", "order_subscriptions"):
        written(tmp_path, [one for one in records if one["type"] == name], f"{name}.ndjson")
    (tmp_path / "prices.csv").write_text("sku.code,currency_code,amount_cents\nTEA,EUR,450\n")
    rates = re.search(r"```csv\n(.*?)```", (HOW_TO / "move-your-shop.md").read_text(), re.DOTALL)
    assert rates is not None
    (tmp_path / "skus.csv").write_text(rates[1])
    (tmp_path / "stock_items.csv").write_text("sku.code,quantity\nTEA,5\n")
    store = Store(77, "My shop", "my-shop", "test", "EUR", "en_US", "UTC")
    printed = follow("move-your-shop.md", tmp_path, store, own_url, tmp_path / "refused")
    assert printed[2] == "Every invariant holds.\n"
    assert printed[3].startswith("Records: 0 new, 1 changed, ")
    assert printed[4].startswith("ok  s1 ")
    lines = (tmp_path / "shop.ndjson").read_bytes().splitlines()
    assert {orjson.loads(line)["type"] for line in lines} >= {"orders", "order_subscriptions", "stock_items"}
