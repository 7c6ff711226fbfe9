"""`reprise import` and `reprise export` as real processes: what they print, and what is left of one that was killed."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from service.principal import Store
from service.store.pool import Connection
from tests import processes
from tests.history.bringing import ADDRESS, TABLES, rows, shop, sound, written
from tests.processes import ROOT, Outcome, finish
from tests.support import KEYS

SETTINGS = {"REPRISE_SECRET_KEYS": ",".join(KEYS)}


def reprise(*arguments: str) -> Outcome:
    """Run a command with the keys that the tokens of wallets are sealed with."""
    return processes.reprise(*arguments, **SETTINGS)


def command(store: Store, url: str, *more: str) -> tuple[str, ...]:
    return ("import", *more, "--store", str(store.id), "--database-url", url)


async def test_an_import_is_told_and_its_refusals_are_in_a_file(
    connection: Connection, database_url: str, store: Store, tmp_path: Path
) -> None:
    path = written(tmp_path, [*shop(), {"type": "customers", "id": "b", "emial": "b@example.com"}])
    path.write_bytes(path.read_bytes() + b"\n\n")
    report = tmp_path / "refused.ndjson"
    rehearsed, done, again = [
        reprise(*command(store, database_url, str(path), "--report", str(report), *more))
        for more in (["--dry-run"], [], [])
    ]
    assert (rehearsed.code, done.code, again.code) == (1, 1, 1)
    counts = "Records: 13 new, 0 changed, 0 unchanged, 0 skipped, 1 refused.\n"
    by_type = done.out.removeprefix(counts).splitlines()
    assert "  customers: 1 new, 1 refused" in by_type
    assert "  orders: 2 new" in by_type
    assert "lines: 16 of 16" in rehearsed.err
    assert "lines: 16 of 16" in done.err
    assert rehearsed.out == f"{done.out}This was a rehearsal: nothing was written.\n"
    assert again.out == ""
    assert again.err.startswith("These files were imported on ")
    assert "--on-conflict skip" in again.err
    assert "customers emial: is no field of customers (email?)  [shop.ndjson:14]" in done.err
    assert f"Every refused record is in {report}." in done.err
    assert len(report.read_bytes().splitlines()) == 1
    assert orjson.loads(report.read_bytes().splitlines()[0]) == {
        "file": "shop.ndjson",
        "line": 14,
        "type": "customers",
        "id": "b",
        "field": "emial",
        "reason": "is no field of customers",
        "suggestion": "email",
    }
    assert await sound(connection, store) == []


def test_what_cannot_begin_says_so(database_url: str, store: Store, tmp_path: Path) -> None:
    path = written(tmp_path, shop())
    picture = tmp_path / "shop.png"
    picture.touch()
    none = "999999999"
    nobodys = reprise("import", str(path), "--store", none, "--database-url", database_url)
    assert nobodys.code == 1
    assert nobodys.err == f"There is no store {none}: make it with `reprise store create --id {none}`.\n"
    other = reprise(*command(store, database_url, str(picture)))
    assert (other.code, other.out) == (1, "")
    assert "none of the files that can be imported" in other.err
    assert reprise(*command(store, database_url, str(tmp_path / "none.ndjson"))).code == 2
    assert reprise(*command(store, database_url, str(path), "--on-conflict", "merge")).code == 2


def test_what_the_summary_leaves_out_is_told(database_url: str, store: Store, tmp_path: Path) -> None:
    wrong = [{"type": "customers", "id": f"c{n}", "email": f"c{n}@example.com", f"x{n}": 1} for n in range(12)]
    path = written(
        tmp_path, [*wrong, *({"type": "skus", "code": code, "weight_grams": -1} for code in ("A", "B")), ["no object"]]
    )
    outcome = reprise(*command(store, database_url, str(path)))
    report = tmp_path / "shop.refused.ndjson"
    lines = report.read_bytes().splitlines()
    kinds = {tuple(orjson.loads(line)[name] for name in ("type", "field", "reason")) for line in lines}
    assert f"            and {len(kinds) - 10} more reasons, in {report}" in outcome.err.splitlines(), outcome.err
    of_types = [line for line in outcome.out.splitlines() if line.startswith("  ")]
    assert of_types[-1] == "  of no type: 1 refused"
    refused = sum(int(found) for line in of_types for found in re.findall(r"([0-9]+) refused", line))
    assert f" {refused} refused." in outcome.out


def customers(amount: int) -> list[dict[str, Any]]:
    """Customers, of whom every hundredth is refused."""
    return [
        {"type": "customers", "id": f"c{n}", "email": "nowhere" if n % 100 == 99 else f"c{n}@example.com"}
        for n in range(amount)
    ]


def test_what_follows_from_another_refusal_stands_last(database_url: str, store: Store, tmp_path: Path) -> None:
    address = {"type": "addresses", **ADDRESS}
    records = [
        {"type": "customers", "id": "bo", "email": "nowhere"},
        *({**address, "id": f"a{n}", "customer_id": "bo"} for n in range(3)),
        {**address, "id": "b", "customer_id": "nobody"},
    ]
    outcome = reprise(*command(store, database_url, str(written(tmp_path, records))))
    reasons = [line for line in outcome.err.splitlines() if line.startswith("   ")]
    assert [line.split()[0] for line in reasons] == ["1", "1", "3"], outcome.err
    assert "`nobody` leads to nothing that is there" in reasons[1]
    assert reasons[2].endswith("follow from these: what they lead to was refused itself")
    report = tmp_path / "shop.refused.ndjson"
    assert f"Every refused record is in {report}." in outcome.err
    follows = [orjson.loads(line).get("follows", False) for line in report.read_bytes().splitlines()]
    assert follows.count(True) == 3


async def processed(connection: asyncpg.Connection[asyncpg.Record], store: Store) -> int:
    return int(
        await connection.fetchval("select coalesce(max(processed_count), 0) from imports where store_id = $1", store.id)
    )


async def test_an_import_that_was_killed_goes_on_where_it_was(
    connection: Connection, database_url: str, store: Store, tmp_path: Path
) -> None:
    amount = 10_000
    skus = [{"type": "skus", "code": f"S{n}", "name": "Tea"} for n in range(600)]
    path, report = written(tmp_path, [*customers(amount), *skus]), tmp_path / "refused.ndjson"
    arguments = command(store, database_url, str(path), "--report", str(report))
    separate = await asyncpg.connect(database_url)
    try:
        for share in (10, 3):
            running = processes.start(arguments, **SETTINGS)
            deadline = time.monotonic() + 60
            while await processed(separate, store) < amount // share and time.monotonic() < deadline:  # noqa: ASYNC110 -- another process's rows
                await asyncio.sleep(0.01)
            running.send_signal(signal.SIGKILL)
            finish(running)
        behind = await processed(separate, store)
    finally:
        await separate.close()
    assert amount // 3 <= behind < amount
    last = finish(processes.start(arguments, **SETTINGS))
    assert f"Going on at line {behind + 1} of shop.ndjson, behind {behind} records." in last.err
    assert last.out.splitlines() == [
        "Records: 10500 new, 0 changed, 0 unchanged, 0 skipped, 100 refused.",
        "  skus: 600 new",
        "  customers: 9900 new, 100 refused",
    ]
    held = await rows(connection, store, "customers")
    assert len(held) == 9_900
    lines = [orjson.loads(line)["line"] for line in report.read_bytes().splitlines()]
    assert lines == list(range(100, amount + 1, 100))


async def test_what_was_exported_can_be_imported(
    connection: Connection, database_url: str, store: Store, tmp_path: Path
) -> None:
    assert reprise(*command(store, database_url, str(written(tmp_path, shop())))).code == 0
    taken = reprise("export", "--store", str(store.id), "--database-url", database_url)
    assert (taken.code, taken.err) == (0, "Wrote 17 records.\n")
    to = tmp_path / "ada.ndjson"
    arguments = ("--customer", "ada", "--to", str(to), "--store", str(store.id), "--database-url", database_url)
    assert reprise("export", *arguments).out == ""
    types = [orjson.loads(line)["type"] for line in to.read_bytes().splitlines()]
    assert set(types) == {"customers", "addresses", "customer_payment_sources", "orders", "order_subscriptions"}
    before = {table: await rows(connection, store, table) for table in TABLES}
    (tmp_path / "all.ndjson").write_text(taken.out)
    same = reprise(*command(store, database_url, str(tmp_path / "all.ndjson"), "--on-conflict", "update"))
    kept = Counter(orjson.loads(line)["type"] for line in taken.out.splitlines())
    assert same.out.splitlines() == [
        "Records: 0 new, 0 changed, 17 unchanged, 0 skipped, 0 refused.",
        *(f"  {type_}: {number} unchanged" for type_, number in kept.items()),
    ], same.err
    assert {table: await rows(connection, store, table) for table in TABLES} == before


async def test_the_records_of_the_reference_can_be_imported(
    connection: Connection, database_url: str, store: Store, tmp_path: Path
) -> None:
    page = (ROOT / "docs/reference/history.md").read_text()
    blocks = [orjson.loads(block.partition("```")[0]) for block in page.split("```json\n")[1:]]
    records = [block for block in blocks if "type" in block and "file" not in block]
    assert [record["type"] for record in records] == ["customers", "orders", "order_subscriptions"]
    sku = {"type": "skus", "code": "TEA", "name": "Tea"}
    outcome = reprise(*command(store, database_url, str(written(tmp_path, [sku, *records]))))
    assert outcome.out.splitlines() == [
        "Records: 4 new, 0 changed, 0 unchanged, 0 skipped, 0 refused.",
        *(f"  {type_}: 1 new" for type_ in ("skus", "customers", "orders", "order_subscriptions")),
    ], outcome.err
    assert await sound(connection, store) == []
