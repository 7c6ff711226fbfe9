"""The shop of subscriptions with everything: its products change while they run, and their orders are judged."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby

import httpx2

from service import clock
from service.operations.access import tokens
from service.principal import CUSTOMER_SCOPES, Store
from service.store.pool import Connection, Database
from tests import factories
from tests.chaos import edits
from tests.chaos.carded import LADDERS, WORDS, Carded, change_cards, pay_by_hand
from tests.chaos.mixed import SIZES, Editor, Mixed
from tests.chaos.mixed_contents import CONTENTS
from tests.chaos.mixed_dates import CANCEL, DATES, TERMS, decide, run_extra
from tests.chaos.tills import Order, Paid, Sale, Shelf
from tests.factories import Line, Sku
from tests.spec.writing import Api, to
from tests.support import Access

PRICES = (1900, 850, 400, 1225, 333, 2990)
STOCK = 8
WAYS = (495, 295, 1250)
OPTIONS = [{"name": "size", "values": [*SIZES]}]
EXTRA = Paid("", "L", 2, 150)
"""What is chosen of the third product in some source orders, and costs extra."""
OF_LIMITED = {name: change for name, change in DATES.items() if name != "order now"}
"""What is ordered now is made behind the edit: too late to hear whether it is held."""
STREETS = ("Dorpsstraat 1", "Kade 2", "Plein 3")


@dataclass
class Warehouse:
    """What a store sells to subscriptions of its own, by id.

    `codes` are those of what all of them buy; `price_ids`, `sku_ids` and `stock_ids` are by code.
    """

    store: Store
    api: Api
    chance: random.Random
    shelf: Shelf = field(default_factory=lambda: Shelf({}))
    lines: list[Line] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    stock_ids: dict[str, str] = field(default_factory=dict)
    sku_ids: dict[str, str] = field(default_factory=dict)
    price_ids: dict[str, str] = field(default_factory=dict)
    mixed: dict[str, Mixed] = field(default_factory=dict)
    changes: Counter[str] = field(default_factory=Counter)
    ladder: Sequence[int] = ()

    async def begin(self, database: Database, client: httpx2.AsyncClient, mixed: Sequence[Mixed], at: datetime) -> None:
        """Make the products, and each subscription for a customer of its own."""
        async with database.connection() as connection:
            await self._stock(connection, at)
            self.ladder = self.chance.choice(LADDERS)
            await self._tell("stores", str(self.store.id), policies={"payment_retry_hours": [*self.ladder]})
            paid = EXTRA._replace(sku=self.lines[-1].sku.code)
            extras = [paid if one.till.fixed and one.chance.randrange(2) else None for one in mixed]
            made = [await self._customer(connection, at, one, extra) for one, extra in zip(mixed, extras, strict=True)]
            # Of what is counted each subscription has its own: in which order several take it isn't said.
            own = [await self._count(connection) for _ in mixed]
        for one, (customer_id, order_id, addresses), extra, sku in zip(mixed, made, extras, own, strict=True):
            async with database.transaction() as connection:
                id_, token = await tokens.issue(
                    connection,
                    self.store.id,
                    customer_id=customer_id,
                    scopes=CUSTOMER_SCOPES,
                    name=None,
                    expires_at=None,
                    at=clock.now(),
                )
            linked = {
                "source_order": to("orders", order_id),
                "shipping_address": to("addresses", next(iter(addresses))),
            }
            subscription = await self.api.create("order_subscriptions", one.sent, linked)
            customer = Api(client, Access(id_, token))
            one.own_sku = sku.code
            await one.begin(subscription["id"], self.api, customer, self.shelf, addresses, extra)
            self.mixed[subscription["id"]] = one

    async def _stock(self, connection: Connection, at: datetime) -> None:
        skus = [await factories.sku(connection, self.store, price=price, options=OPTIONS) for price in PRICES]
        ways = [await factories.shipping_method(connection, self.store, price_amount_cents=price) for price in WAYS]
        self.shelf.ways = dict(zip(ways, WAYS, strict=True))
        codes = self.codes = [sku.code for sku in skus]
        self.shelf.prices = {sku.code: sku.price for sku in skus}
        self.shelf.instead = {codes[1]: (codes[4], codes[5]), codes[3]: (codes[5],), codes[4]: (codes[2],)}
        self.shelf.sales = {codes[0]: Sale(1500, at + timedelta(days=70), at + timedelta(days=160))}
        self.lines = [Line(skus[0], 2), Line(skus[1], 1), Line(skus[2], EXTRA.pieces)]
        self.sku_ids = {sku.code: sku.id for sku in skus}
        for sku in skus:
            (price,) = (await self.api.get(f"skus/{sku.id}/prices"))["data"]
            self.price_ids[sku.code] = price["id"]
        for code, others in self.shelf.instead.items():
            await self._tell("skus", self.sku_ids[code], substitute_sku_codes=list(others))
        for code, sale in self.shelf.sales.items():
            columns = {"amount_cents": sale.amount, "starts_at": sale.since, "expires_at": sale.until}
            await factories.insert(
                connection, "prices", self.store, sku_id=self.sku_ids[code], currency_code="EUR", **columns
            )

    async def _count(self, connection: Connection) -> Sku:
        """A product of which there are so many."""
        sku = await factories.sku(connection, self.store, price=700, stock=STOCK, options=OPTIONS)
        code = sku.code
        self.shelf.prices[code], self.shelf.stock[code] = sku.price, STOCK
        self.shelf.instead = {**self.shelf.instead, code: (self.codes[5],)}
        (stock,) = (await self.api.get(f"skus/{sku.id}/stock_items"))["data"]
        self.stock_ids[code] = stock["id"]
        await self._tell("skus", sku.id, substitute_sku_codes=[self.codes[5]])
        return sku

    async def _customer(
        self, connection: Connection, at: datetime, one: Mixed, extra: Paid | None
    ) -> tuple[str, str, dict[str, str]]:
        """A customer with an order, of which some options cost extra or none, and with addresses."""
        customer_id = await factories.customer(connection, self.store)
        last = self.lines[-1]
        lines = [*self.lines[:-1], last if extra is None else replace(last, options={"size": extra.size})]
        cost = 0 if extra is None else extra.amount
        subtotal = sum(line.total for line in lines) + cost
        way, price = next(iter(self.shelf.ways.items()))
        paid = await self._by_card(connection, customer_id, one) if isinstance(one, Carded) else {}
        order_id = await factories.full_order(
            connection,
            self.store,
            lines,
            customer_id=customer_id,
            placed_at=at,
            shipping_method_id=way,
            shipping_amount_cents=price,
            subtotal_amount_cents=subtotal,
            total_amount_cents=subtotal + price,
            **paid,
        )
        await connection.execute(
            """
            update line_items set options_amount_cents = $4, total_amount_cents = total_amount_cents + $4
            where store_id = $1 and order_id = $2 and position = $3
            """,
            self.store.id,
            order_id,
            len(lines),
            cost,
        )
        addresses = {
            await factories.address(connection, self.store, customer_id=customer_id, line_1=street): street
            for street in STREETS
        }
        return customer_id, order_id, addresses

    async def _by_card(self, connection: Connection, customer_id: str, one: Carded) -> dict[str, str]:
        """Give a customer two cards; gives how an order is paid by the first."""
        method = await factories.payment_method(connection, self.store, name="Card", gateway="test")
        words = [one.chance.choice(WORDS) for _ in range(2)]
        cards = {
            await factories.payment_source(
                connection, self.store, customer_id, gateway="test", payment_method_id=method, payment_source_token=says
            ): says
            for says in words
        }
        one.take_purse(cards, self.ladder)
        return {"payment_method_id": method, "customer_payment_source_id": one.purse.pays.id}

    async def change(self) -> None:
        """Let prices change, and products go and come back."""
        code = self.chance.choice(self.codes)
        if self.chance.randrange(3) == 0:
            self.shelf.prices[code] += self.chance.choice((-40, 25, 110))
            await self._tell("prices", self.price_ids[code], amount_cents=self.shelf.prices[code])
            self.changes["price"] += 1
        if self.chance.randrange(4) == 0:
            way = self.chance.choice([*self.shelf.ways])
            self.shelf.ways[way] += self.chance.choice((-40, 25, 110))
            await self._tell("shipping_methods", way, price_amount_cents=self.shelf.ways[way])
            self.changes["way to ship"] += 1
        for code in [code for code in sorted(self.shelf.gone) if self.chance.randrange(2) == 0]:
            self.shelf.gone.remove(code)
            await self._tell("skus", self.sku_ids[code], disabled_at=None)
            self.changes["back"] += 1
        if self.chance.randrange(4) == 0:
            code = self.chance.choice(self.codes[1:])
            self.shelf.gone.add(code)
            await self._tell("skus", self.sku_ids[code], disabled_at="2020-01-01T00:00:00.000Z")
            self.changes["gone"] += 1

        for code, id_ in self.stock_ids.items():
            if self.chance.randrange(4) == 0:
                self.shelf.stock[code] = self.chance.choice((0, 1, 2, 3, 5, STOCK))
                await self._tell("stock_items", id_, quantity=self.shelf.stock[code])
                self.changes["stock"] += 1

    async def _tell(self, type_: str, id_: str, **attributes: object) -> None:
        answer = await self.api.update(type_, id_, attributes)
        assert answer.status_code == 200, answer.text

    async def edit(self, now: datetime) -> None:
        """Let products change, and customers edit what they have."""
        await self.change()
        for id_, one in self.mixed.items():
            if not one.cancelled:
                await _edit(one, self.api, id_, now)
            one.seen = {*one.ran_at}

    def settle(self) -> None:
        """Note what came up between the edits and the next forecast."""
        for one in self.mixed.values():
            one.made_at_once |= one.ran_at.keys() - one.seen

    async def hear(self) -> None:
        """Learn which runs the service has held, of those whose prices may rise only so far."""
        for id_, one in self.mixed.items():
            if one.till.rise is not None and not one.cancelled:
                url = f"order_subscriptions/{id_}/occurrences?sort=-occurrence_index&page[size]=100"
                rows = [row["attributes"] for row in (await self.api.get(url))["data"]]
                one.heard |= {row["occurrence_index"] for row in rows if row["held_amount_cents"] is not None}

    async def foretell(self, until: datetime) -> None:
        """Keep what is forecast until an instant."""
        alive = [(id_, one) for id_, one in self.mixed.items() if not one.cancelled]
        await asyncio.gather(*(one.foretell(self.api, id_, until) for id_, one in alive))

    async def differing(self, connection: Connection) -> AsyncIterator[str]:
        """What differs of each subscription, in words: the first of its orders that isn't what it should be."""
        found = await orders(connection, self.store)
        for id_, one in self.mixed.items():
            if one.wrong is None and (wrong := _first(one, found.get(id_, {}))) is not None:
                yield f"{one.sent}; {'; '.join(one.told)}: {wrong}"


async def _edit(  # noqa: C901 -- one of all kinds of edits
    one: Mixed, api: Api, id_: str, now: datetime
) -> None:
    """Make a few edits, of dates and of contents."""
    for _ in range(one.chance.choice((0, 1, 2, 3))):
        if one.wrong is not None or one.cancelled:
            return
        before = len(one.ran_at)
        if one.chance.randrange(90) == 0:
            await one.change_dates(one.customer, id_, now, CANCEL)
        elif isinstance(one, Carded) and one.chance.randrange(8) == 0:
            await change_cards(one, Editor(api, id_, now, "cards", by_customer=False))
            return  # What is owed is asked for meanwhile.
        elif isinstance(one, Carded) and one.purse.debts and one.chance.randrange(4) == 0:
            await pay_by_hand(one, Editor(one.customer, id_, now, "pay by hand", by_customer=True))
        elif one.plain.frequency == edits.SELDOM and one.plain.ran() and one.chance.randrange(3) == 0:
            await one.change_dates(api, id_, now, {"frequency": DATES["frequency"]})
        elif one.waiting() and one.chance.randrange(2) == 0:
            by_customer = one.chance.randrange(2) == 0
            await decide(one, Editor(one.customer if by_customer else api, id_, now, "held run", by_customer))
        elif one.chance.randrange(5) < 2:
            await one.change_dates(api, id_, now, DATES if one.till.rise is None else OF_LIMITED)
        elif one.chance.randrange(4) == 0:
            await one.change_dates(api, id_, now, TERMS)
        elif one.chance.randrange(20) == 0:
            by_customer = one.chance.randrange(2) == 0
            await run_extra(one, Editor(one.customer if by_customer else api, id_, now, "extra run", by_customer))
        elif one.plain.active and not one.plain.ended and one.plain.next_run() is not None:
            name = one.chance.choice(tuple(CONTENTS))
            by_customer = one.chance.randrange(2) == 0
            await CONTENTS[name](one, Editor(one.customer if by_customer else api, id_, now, name, by_customer))
        one.forget_what_never_comes()
        if len(one.ran_at) > before:
            return  # Its order is made meanwhile.


async def orders(connection: Connection, store: Store) -> Mapping[str, Mapping[int, Order]]:
    """The orders that subscriptions made, by their ids and the indexes of the runs; of extra ones from -1 down."""
    rows = await connection.fetch(
        """
        select orders.order_subscription_id, orders.id, occurrences.occurrence_index, orders.total_amount_cents,
            addresses.line_1, orders.shipping_method_id, line_items.sku_code, line_items.options ->> 'size',
            line_items.unit_amount_cents, line_items.quantity
        from orders
        inner join addresses on orders.store_id = addresses.store_id and orders.shipping_address_id = addresses.id
        inner join line_items on orders.store_id = line_items.store_id and orders.id = line_items.order_id
        left join occurrences on orders.store_id = occurrences.store_id and orders.occurrence_id = occurrences.id
        where orders.store_id = $1 and orders.order_subscription_id is not null
        order by orders.id
        """,
        store.id,
    )
    found: dict[str, dict[int, Order]] = {}
    for (id_, _, index, total, street, way), of_order in groupby(rows, lambda row: row[:6]):
        lines: Counter[tuple[str, str | None, int]] = Counter()
        for *_, sku, size, unit, pieces in of_order:
            lines[sku, size, unit] += pieces
        of_one = found.setdefault(id_, {})
        outside = min([0, *of_one]) - 1
        made = Order(tuple(sorted(lines.items(), key=str)), total, street, way)
        of_one[outside if index is None else index] = made
    return found


def _first(one: Mixed, found: Mapping[int, Order]) -> str | None:
    """The first run that isn't what the count says, or what its forecast said."""
    outside = [order for index, order in sorted(found.items(), reverse=True) if index < 0]
    if outside != one.extra:
        return f"extra runs: {outside} instead of {one.extra}"
    for index in sorted(one.ran_at.keys() | {index for index in found if index > 0}):
        made, expected, told = found.get(index), one.orders.get(index), one.foretold.get(index)
        first = one.held.get(index, made)
        if made != expected:
            return f"run {index}: {made} instead of {expected}"
        if told is None:
            if not one.unseen(index):
                return f"run {index} at {one.ran_at.get(index)}: was not foretold"
        elif not one.unseen(index) and told != (
            one.ran_at[index],
            *(((), None) if first is None else (first.told, first.total)),
            index in one.held,
        ):
            return f"run {index}: {made} at {one.ran_at[index]} was foretold as {told}"
    never = sorted(one.foretold.keys() - one.ran_at.keys())
    return f"run {never[0]}: was foretold, and never came" if never else None
