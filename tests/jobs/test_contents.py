"""Single runs with contents of their own, against a plain model, and beside the sweep that makes their orders."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import pytest

from service.operations.subscriptions import sweep
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Sku
from tests.faults.plain_contents import Contents, Piece
from tests.faults.playing import Shop, on
from tests.jobs.steps import make, offences
from tests.spec.writing import Api, offenders, resource, to

NOW = "2026-01-08 12:00"


@pytest.fixture
async def shop(api: Api, database: Database, connection: Connection, store: Store) -> Shop:
    return await Shop.open(api, database, connection, store, NOW)


@dataclass
class Walk:
    """Random edits of a subscription, each of which is made on paper as well."""

    shop: Shop
    id_: str
    skus: list[Sku]
    plain: Contents
    dice: random.Random
    next_run: int = 1

    async def send(self, method: str, url: str, document: Any = None) -> Any:
        answer = await self.shop.api.send(method, url, document)
        assert answer.is_success, answer.text
        return answer.json()["data"] if answer.content else None

    def run(self) -> int:
        return self.next_run + self.dice.randrange(5)

    async def add(self) -> None:
        run, sku, pieces, draft = self.run(), self.dice.choice(self.skus), self.dice.randint(1, 4), self.tosses()
        made = await self.line(run, draft, sku_code=sku.code, quantity=pieces)
        self.plain.lines.setdefault((run, draft), {})[made["id"]] = Piece(sku.code, pieces)
        self.plain.ids[run, draft, made["id"]] = made["id"]

    async def alter(self) -> None:
        """Another quantity or product of an item in a run, none among them, or a change of what was said of it."""
        run, draft, item = self.run(), self.tosses(), self.dice.choice([*self.plain.items])
        sku = self.dice.choice([self.plain.items[item].sku, self.plain.each_time(run)[item].sku, self.skus[0].code])
        pieces = self.dice.randint(0, 4)
        wanted = self.plain.of(run, drafts=draft) | {item: Piece(sku, pieces)}
        if not any(one.pieces for one in wanted.values()):
            return
        known = self.plain.ids.get((run, draft, item))
        sent = {"sku_code": sku, "quantity": pieces}
        if known is None:
            of = {"order_subscription_item": to("order_subscription_items", item)}
            made = await self.line(run, draft, of, **sent)
            self.plain.ids[run, draft, item] = made["id"]
        else:
            await self.send("PATCH", f"occurrence_items/{known}", resource("occurrence_items", sent, id=known))
        self.plain.lines.setdefault((run, draft), {})[item] = Piece(sku, pieces)

    async def forget(self) -> None:
        open_ones = [key for key in self.plain.ids if key[0] >= self.next_run]
        if not open_ones:
            return
        run, draft, key = self.dice.choice(open_ones)
        left = {name: line for name, line in self.plain.of(run).items() if name != key}
        if not draft and key not in self.plain.items and not any(one.pieces for one in left.values()):
            return
        await self.send("DELETE", f"occurrence_items/{self.plain.ids.pop((run, draft, key))}")
        del self.plain.lines[run, draft][key]

    async def commit(self) -> None:
        drafted = sorted(run for run, draft in self.plain.lines if draft and run >= self.next_run)
        if not drafted:
            return
        run = self.dice.choice(drafted)
        if not any(one.pieces for one in self.plain.of(run, drafts=True).values()):
            return
        rows = {one["occurrence_index"]: one["id"] for one in await self.shop.occurrences(self.id_)}
        sent = resource("occurrences", {"_commit": True}, id=rows[run])
        await self.send("PATCH", f"occurrences/{rows[run]}", sent)
        self.plain.commit(run)

    async def edit(self) -> None:
        """Another quantity of an item from now on."""
        item, pieces = self.dice.choice([*self.plain.items]), self.dice.randint(1, 4)
        sent = resource("order_subscription_items", {"quantity": pieces}, id=item)
        await self.send("PATCH", f"order_subscription_items/{item}", sent)
        self.plain.items[item] = Piece(self.plain.items[item].sku, pieces)

    async def swap(self) -> None:
        """Another product in the place of an item, at once or from a run on; one that is ordered beside it is not."""
        item, sku = self.dice.choice([*self.plain.items]), self.dice.choice(self.skus).code
        since = None if self.tosses() else self.run()
        own = sku == self.plain.items[item].sku
        sent = {"_swap": sku, **({} if since is None else {"_swap_from": since})}
        document = resource("order_subscription_items", sent, id=item)
        answer = await self.shop.api.send("PATCH", f"order_subscription_items/{item}", document)
        refused = not own and self.plain.is_ordered_beside(item, sku, since)
        known = self.plain.swaps.get(item) == (since, sku, 0)
        assert answer.status_code == (422 if refused and not known else 200), answer.text
        if answer.is_success:
            self.plain.swap(item, None if own else sku, since)

    async def unswap(self) -> None:
        item = self.dice.choice([*self.plain.items])
        sent = resource("order_subscription_items", {"_unswap": True}, id=item)
        await self.send("PATCH", f"order_subscription_items/{item}", sent)
        self.plain.swap(item, None, None)

    async def shown(self) -> dict[str, tuple[str, int | None, str | None]]:
        """Each item's sku, and what it is swapped to from which run on, as it shows them."""
        found = await self.send("GET", f"order_subscriptions/{self.id_}/order_subscription_items")
        of = {one["id"]: one["attributes"] for one in found}
        return {id_: (one["sku_code"], one["swap_occurrence_index"], one["swap_sku_code"]) for id_, one in of.items()}

    def tosses(self) -> bool:
        return self.dice.random() < 0.3

    async def line(self, run: int, draft: bool, named: Any = None, **attributes: Any) -> Any:  # noqa: FBT001 -- a key
        sent = {**attributes, "occurrence_index": run, "draft": draft}
        whose = {"order_subscription": to("order_subscriptions", self.id_), **(named or {})}
        return await self.send("POST", "occurrence_items", resource("occurrence_items", sent, whose))


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
async def test_what_is_ordered_is_what_was_said_of_each_run(
    shop: Shop, connection: Connection, store: Store, seed: int
) -> None:
    """Whatever is said of runs, each orders just that, and the forecast has told so."""
    skus = [shop.sku, *[await factories.sku(connection, store, price=price) for price in (400, 850, 600, 720)]]
    order_id = await factories.full_order(
        connection, store, [factories.Line(sku, 2) for sku in skus[:2]], placed_at=on("2026-01-05 09:00")
    )
    made = await shop.api.create(
        "order_subscriptions", {"frequency": "weekly"}, {"source_order": to("orders", order_id)}
    )
    found = await shop.api.get(f"order_subscriptions/{made['id']}/order_subscription_items")
    items = {one["id"]: Piece(one["attributes"]["sku_code"], one["attributes"]["quantity"]) for one in found["data"]}
    walk = Walk(shop, made["id"], skus, Contents(items), random.Random(seed))
    ordered: list[Counter[str]] = []
    for week in range(6):
        for _ in range(9):
            await walk.dice.choice(
                [
                    walk.add,
                    walk.alter,
                    walk.alter,
                    walk.forget,
                    walk.commit,
                    walk.edit,
                    walk.swap,
                    walk.swap,
                    walk.unswap,
                ]
            )()
        expected = [walk.plain.pieces(walk.next_run + ahead) for ahead in range(5)]
        assert await told(shop, made["id"]) == expected
        ordered.append(expected[0])
        await shop.wait_until(f"2026-{'01' if week < 3 else '02'}-{(13, 20, 27, 3, 10, 17)[week]:02} 00:00")
        walk.plain.runs_by(walk.next_run)
        walk.next_run += 1
        assert await walk.shown() == {
            item: (piece.sku, *walk.plain.swaps.get(item, (None, None))[:2]) for item, piece in walk.plain.items.items()
        }
    orders = await shop.api.get(f"order_subscriptions/{made['id']}/orders?sort=created_at&include=line_items")
    lines = {one["id"]: one["attributes"] for one in orders["included"] if one["type"] == "line_items"}
    assert [
        summed(lines[line["id"]] for line in order["relationships"]["line_items"]["data"]) for order in orders["data"]
    ] == ordered
    assert await offences(connection, store) == []
    assert await offenders(connection, store) == []


def summed(lines: Any) -> Counter[str]:
    counted: Counter[str] = Counter()
    for line in lines:
        counted[line["sku_code"]] += line["quantity"]
    return counted


async def told(shop: Shop, id_: str) -> list[Counter[str]]:
    """What the forecast says of the next five runs."""
    found = await shop.api.get(f"order_subscriptions/{id_}/forecast?page[size]=5")
    return [summed(one["attributes"]["lines"]) for one in found["data"]]


async def test_an_edit_beside_the_sweep_is_in_the_order_or_refused(
    shop: Shop, database: Database, connection: Connection, store: Store
) -> None:
    """Twenty customers' presses while the run comes up: as many pieces are ordered as were accepted."""
    mug = await factories.sku(connection, store, price=850)
    id_ = await shop.subscribe("2026-01-05 09:00", frequency="weekly")
    whose = {"order_subscription": to("order_subscriptions", id_)}
    sent = {"sku_code": mug.code, "quantity": 1, "occurrence_index": 1}
    late = replace(shop.store, frozen_at=on("2026-01-12 09:00"))

    async def press(after: float) -> int:
        await asyncio.sleep(after)
        answer = await shop.api.send("POST", "occurrence_items", resource("occurrence_items", sent, whose))
        return answer.status_code

    async def sweeping() -> None:
        for _ in range(10):
            async with database.transaction() as own:
                await sweep.sweep(own, late)
            await asyncio.sleep(0.02)

    answers, _ = await asyncio.gather(asyncio.gather(*(press(n / 50) for n in range(20))), sweeping())
    if set(answers) == {201}:
        # The sweep left the subscription to whoever held it, each time.
        await sweeping()
    assert set(answers) <= {201, 409, 422}
    copies = (await shop.api.get(f"order_subscriptions/{id_}/recurring_order_copies"))["data"]
    order_id = await make(database, late, copies[0]["id"])
    rows = await connection.fetch(
        "select quantity from line_items where store_id = $1 and order_id = $2 and sku_code = $3",
        *(store.id, order_id, mug.code),
    )
    assert sum(row["quantity"] for row in rows) == answers.count(201)
