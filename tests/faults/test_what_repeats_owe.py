"""What is charged is what an independent calculator says, by every route that repeats an order.

An order is placed in a generated shop, the shop changes, and the order is repeated: by runs of subscriptions at prices
that were agreed on and at those of today, by a copy, by a repeat link, by a reorder, and by WeMasy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from service import clock
from service.jobs.advance import AdvanceJob
from service.jobs.copy import CopyJob
from service.jobs.pay import PaymentJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests import calculator, factories
from tests.api.wemasy import URL as WEMASY
from tests.api.wemasy import number_of
from tests.calculator import Agreed, Amounts, Offer, Phase, Shop
from tests.checkout.conftest import placing
from tests.faults.owing import check, ways, whole
from tests.gateways import nearby
from tests.jobs.playing import freeze, said
from tests.pages import carts, show, submit, url_of
from tests.shops import Opened, change_shop, open_shop, shops
from tests.spec.writing import Api, offenders, resource, to
from tests.support import Access, Grant, make_store

pytestmark = pytest.mark.rule("FM-83", "FM-85", "FM-86", "FM-87", "FM-89", "FM-90")

EXAMPLES = 4
modes = st.lists(st.booleans(), min_size=4, max_size=4)
"""Which lines of a subscription follow the prices of the day."""


@dataclass(frozen=True)
class Repeated:
    """An order that was placed in a shop, which has changed since to `later` with the same lines and customer."""

    opened: Opened
    order_id: str
    then: Amounts
    later: Shop
    coupon: bool
    access: Access
    own: Api
    staff: Api

    @property
    def store(self) -> Store:
        return self.opened.store

    async def placed(self, connection: Connection, order_id: str, shop: Shop, expected: Amounts) -> None:
        """Hold a placed order against the calculator: its amounts, and what was charged."""
        await check(self.staff, order_id, expected)
        shown = (await self.staff.get(f"orders/{order_id}"))["data"]["attributes"]
        due = calculator.due(shop, expected)
        assert shown["total_amount_with_taxes_cents"] == due
        assert (shown["status"], shown["payment_status"]) == ("placed", "authorized" if due else "free")
        paid = await connection.fetch(
            "select amount_cents from payment_attempts where store_id = $1 and order_id = $2", self.store.id, order_id
        )
        assert [attempt["amount_cents"] for attempt in paid] == ([due] if due else []), (self.opened.shop, self.later)
        assert await offenders(connection, self.store) == []

    async def checked_out(self, connection: Connection, cart_id: str) -> None:
        """Order what is in a cart of the customer's, as the shop is now, and hold that against the calculator."""
        shop = replace(self.later, coupon=None)
        order = await self.own.create("orders", None, {"cart": to("carts", cart_id)})
        await check(self.staff, order["id"], calculator.amounts(shop))
        answer = await self.own.send(
            "PATCH", f"orders/{order['id']}", placing(order["id"], _payment_source_token="tok_approve")
        )
        assert answer.status_code == 200, answer.text
        await self.placed(connection, order["id"], shop, calculator.amounts(shop))


class Play:
    """Opens generated shops, has an order placed in each, and changes it."""

    def __init__(self, client: httpx2.AsyncClient, connection: Connection, database: Database, grant: Grant) -> None:
        self.client, self.connection, self.database, self.grant = client, connection, database, grant

    async def order(self, shop: Shop, later: Shop) -> Repeated:
        """An order with the shop's coupon where it applies, paid from the wallet, in a shop that has changed since."""
        store = await make_store(self.database)
        opened = await open_shop(self.connection, store, shop)
        await self.connection.execute("update payment_methods set gateway = 'test' where store_id = $1", store.id)
        source_id = await factories.payment_source(
            self.connection, store, opened.customer_id, gateway="test", payment_method_id=opened.payment_method_id
        )
        access = await self.grant(store=store, customer_id=opened.customer_id)
        own, staff = Api(self.client, access), Api(self.client, await self.grant(store=store))
        then, linked = calculator.amounts(shop), to("customer_payment_sources", source_id)
        cart_id = await whole(own, self.connection, opened, "carts", customer_payment_source=linked)
        if shop.coupon is not None:
            await own.update("carts", cart_id, {"coupon_code": "CODE"})
        order = await own.create("orders", None, {"cart": to("carts", cart_id)})
        answer = await own.send("PATCH", f"orders/{order['id']}", placing(order["id"]))
        assert answer.status_code == 200, answer.text
        await change_shop(self.connection, opened, later)
        coupon = shop.coupon if then.coupon_applies else None
        now = replace(later, lines=shop.lines, coupon=coupon, member=shop.member, tax_included=shop.tax_included)
        repeated = Repeated(opened, order["id"], then, now, then.coupon_applies, access, own, staff)
        await check(staff, order["id"], then)
        return repeated

    async def made(self, repeated: Repeated, copy_id: str) -> str:
        """The order that a copy of either kind leads to, once it is paid."""
        await CopyJob(self.database).make(repeated.store.id, [copy_id])
        copy = await self.connection.fetchrow(
            "select * from order_factories where store_id = $1 and id = $2", repeated.store.id, copy_id
        )
        assert copy is not None
        assert copy["status"] == "completed", copy["errors_log"]
        await PaymentJob(self.database, nearby()).go_on(repeated.store.id, copy["target_order_id"])
        return str(copy["target_order_id"])


@pytest.fixture
def play(client: httpx2.AsyncClient, connection: Connection, database: Database, grant: Grant) -> Play:
    return Play(client, connection, database, grant)


def generated(*strategies: Any) -> list[tuple[Any, ...]]:
    """Some pairs of shops in which something is bought, with what else is drawn."""
    found: list[tuple[Any, ...]] = []

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.tuples(shops.filter(lambda shop: bool(shop.lines)), shops, *strategies))
    def generate(drawn: tuple[Any, ...]) -> None:
        found.append(drawn)

    generate()
    assert found
    return found


def agreed(repeated: Repeated, follows: Sequence[bool] = ()) -> list[Agreed | None]:
    """The prices of the order, but for lines that follow those of the day."""
    bound: list[Agreed | None] = [Agreed(unit) for unit in repeated.then.units]
    for number, free in enumerate(follows[: len(bound)]):
        bound[number] = None if free else bound[number]
    return bound


async def test_runs_of_subscriptions(play: Play, connection: Connection) -> None:
    """At the prices of the order or of the day, by item; promotions and coupons were for the order."""
    for shop, later, follows in generated(modes):
        bought = await play.order(shop, later)
        order = {"source_order": to("orders", bought.order_id)}
        subscription = await bought.staff.create("order_subscriptions", {"frequency": "monthly"}, order)
        listed = await bought.staff.get(f"order_subscriptions/{subscription['id']}/order_subscription_items?sort=id")
        for item, free in zip(listed["data"], follows, strict=False):
            mode = {"price_mode": "current" if free else "fixed"}
            changed = await bought.staff.update("order_subscription_items", item["id"], mode)
            assert changed.status_code == 200, changed.text
        asked = order | {"order_subscription": to("order_subscriptions", subscription["id"])}
        copy = await bought.staff.create("recurring_order_copies", {"place_target_order": True}, asked)
        order_id = await play.made(bought, copy["id"])
        bare = replace(bought.later, offers=(), coupon=None)
        await bought.placed(connection, order_id, bare, calculator.amounts(bare, agreed(bought, follows)))


async def test_runs_of_what_customers_subscribe_to(play: Play, connection: Connection) -> None:
    """At the prices of the day, whatever the order cost."""
    for shop, later in generated():
        bought = await play.order(shop, later)
        order = {"source_order": to("orders", bought.order_id)}
        subscription = await bought.own.create("order_subscriptions", {"frequency": "monthly"}, order)
        asked = order | {"order_subscription": to("order_subscriptions", subscription["id"])}
        copy = await bought.staff.create("recurring_order_copies", {"place_target_order": True}, asked)
        order_id = await play.made(bought, copy["id"])
        bare = replace(bought.later, offers=(), coupon=None)
        await bought.placed(connection, order_id, bare, calculator.amounts(bare))


phases = st.lists(
    st.tuples(
        st.integers(1, 2),
        st.one_of(
            st.integers(0, 10_000).map(lambda number: Offer(percentage=f"{number / 100:.2f}")),
            st.integers(0, 4000).map(lambda amount: Offer(amount=amount)),
        ),
    ).map(lambda phase: Phase(*phase)),
    min_size=1,
    max_size=3,
)
"""What the runs of a subscription are offered."""


async def test_runs_in_phases(play: Play, connection: Connection) -> None:
    """Each takes off what its phase says, and shares it out over the lines as a promotion is."""
    for shop, later, offered in generated(phases):
        bought = await play.order(shop, later)
        start = clock.now()
        frozen = await freeze(bought.staff, bought.store, start)
        sent = [
            {"occurrences": phase.runs}
            | (
                {"amount_cents": phase.offer.amount}
                if phase.offer.percentage is None
                else {"percentage": float(phase.offer.percentage)}
            )
            for phase in offered
        ]
        order = {"source_order": to("orders", bought.order_id)}
        subscription = await bought.staff.create(
            "order_subscriptions", {"frequency": "daily", "pricing_phases": sent}, order
        )
        job = AdvanceJob(play.database, CopyJob(play.database), PaymentJob(play.database, nearby()))
        answer = await bought.staff.update(
            "test_clocks", frozen["id"], {"_advance_to": said(start + timedelta(days=4, hours=1))}
        )
        assert answer.status_code == 200, answer.text
        await job.go_on(bought.store.id, frozen["id"])
        made = await bought.staff.get(f"order_subscriptions/{subscription['id']}/orders?sort=created_at")
        assert len(made["data"]) == 4
        for number, one in enumerate(made["data"], 1):
            run = calculator.of_run(bought.later, offered, number)
            await bought.placed(connection, one["id"], run, calculator.amounts(run, agreed(bought)))


@dataclass
class Item:
    """An item of a subscription, as it should be: its product and pieces, its price, and what holds that."""

    id: str
    product: int
    quantity: int
    unit: int
    follows: bool = False
    by_hand: bool = False


numbers = st.integers(0, 3)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("customer chooses"), numbers, st.integers(1, 6)),
        st.tuples(st.just("shop chooses"), numbers, st.integers(1, 6)),
        st.tuples(st.just("shop prices"), numbers, st.integers(0, 2000)),
        st.tuples(st.just("shop reprices"), numbers),
        st.tuples(st.just("shop lets go"), numbers, st.booleans()),
        st.tuples(st.just("changes"), shops),
        st.tuples(st.just("runs")),
    ),
    max_size=10,
)
"""What happens to a subscription, and to the shop around it."""


async def test_what_is_changed_between_runs(play: Play, connection: Connection) -> None:
    """Each change of an item brings the price that the table in docs/reference/subscriptions.md says."""
    for shop, later, happened in generated(steps):
        bought = await play.order(shop, later)
        order = {"source_order": to("orders", bought.order_id)}
        subscription = await bought.staff.create("order_subscriptions", {"frequency": "monthly"}, order)
        listed = await bought.staff.get(f"order_subscriptions/{subscription['id']}/order_subscription_items?sort=id")
        items = [
            Item(one["id"], product, quantity, unit)
            for one, (product, quantity), unit in zip(listed["data"], shop.lines, bought.then.units, strict=True)
        ]
        for step in [*happened, ("runs",)]:
            now = replace(bought.later, lines=[(item.product, item.quantity) for item in items])
            if step[0] == "runs":
                asked = order | {"order_subscription": to("order_subscriptions", subscription["id"])}
                copy = await bought.staff.create("recurring_order_copies", {"place_target_order": True}, asked)
                order_id = await play.made(bought, copy["id"])
                bare = replace(now, offers=(), coupon=None)
                bound = [None if item.follows else Agreed(item.unit) for item in items]
                await bought.placed(connection, order_id, bare, calculator.amounts(bare, bound))
            elif step[0] == "changes":
                await change_shop(connection, bought.opened, step[1])
                kept = {"lines": shop.lines, "coupon": None, "member": shop.member, "tax_included": shop.tax_included}
                bought = replace(bought, later=replace(step[1], **kept))
            else:
                await _edit(bought, items, items[step[1] % len(items)], *step)


async def _edit(bought: Repeated, items: Sequence[Item], item: Item, what: str, _: int, value: int = 0) -> None:
    """Change an item of a subscription, and what it should be."""
    api, sent, reprices = bought.staff, dict[str, Any](), False
    match what:
        case "customer chooses" | "shop chooses":
            own = what == "customer chooses"
            api, sent = bought.own if own else bought.staff, {"quantity": value}
            reprices = value != item.quantity and not item.by_hand and (own or item.follows)
            item.quantity = value
        case "shop prices":
            sent = {"unit_amount_cents": value}
            # A price that is sent as it was says nothing new.
            item.by_hand, item.unit = item.by_hand or value != item.unit, value
        case "shop lets go":
            sent, item.follows = {"price_mode": "current" if value else "fixed"}, bool(value)
        case "shop reprices":
            sent, reprices = {"_reprice": True}, True
    if reprices:
        now = replace(bought.later, lines=[(one.product, one.quantity) for one in items])
        item.unit, item.by_hand = calculator.today(now, item.product), False
    answer = await api.update("order_subscription_items", item.id, sent)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("anew", [False, True])
async def test_order_copies(play: Play, connection: Connection, *, anew: bool) -> None:
    """At the prices and costs of the order; `anew` with the promotions of the day in place of its discounts."""
    for shop, later in generated():
        bought = await play.order(shop, later)
        copy = await bought.staff.create(
            "order_copies",
            {"place_target_order": True, "apply_promotions": anew},
            {"source_order": to("orders", bought.order_id)},
        )
        order_id = await play.made(bought, copy["id"])
        costs = replace(bought.later, shipping=bought.then.shipping, paying=shop.paying)
        if anew:
            expected = calculator.amounts(costs, agreed(bought))
        else:
            costs = replace(costs, offers=(), coupon=None)
            pairs = zip(bought.then.units, bought.then.discounts, strict=True)
            expected = calculator.amounts(costs, [Agreed(unit, discount) for unit, discount in pairs])
        await bought.placed(connection, order_id, costs, expected)


async def test_repeat_links(play: Play, app: Starlette, connection: Connection) -> None:
    for shop, later in generated():
        bought = await play.order(shop, later)
        code = (await bought.staff.get(f"orders/{bought.order_id}"))["data"]["attributes"]["code"]
        page = await show(play.client, await url_of(app, connection, bought.store, code))
        sum_ = calculator.due(bought.later, calculator.amounts(replace(bought.later, coupon=None)))
        assert f"Total €{sum_ // 100:,}.{sum_ % 100:02}" in page.text
        assert (await submit(play.client, page.fields)).status_code == 303
        *_, cart = await carts(connection, bought.store)
        holder = Api(play.client, Holding(bought.access, bought.store, cart["session"]))
        await replace(bought, own=holder).checked_out(connection, cart["id"])


@dataclass(frozen=True)
class Holding(Access):
    """A customer who is signed in and holds the session of a cart."""

    of: Access
    store: Store
    session: str

    def __init__(self, of: Access, store: Store, session: str) -> None:
        for name, value in (("of", of), ("store", store), ("session", session)):
            object.__setattr__(self, name, value)

    @property
    def headers(self) -> dict[str, str]:
        return self.of.headers | {"X-Cart-Session": self.session}


@pytest.mark.parametrize("strategy", ["append", "replace", "new"])
async def test_reorders(play: Play, connection: Connection, *, strategy: str) -> None:
    for shop, later in generated():
        bought = await play.order(shop, later)
        asked = resource("reorders", {"strategy": strategy}, {"source_order": to("orders", bought.order_id)})
        answer = await bought.own.send("POST", "reorders?include=cart", asked)
        assert answer.status_code == 201, answer.text
        (cart,) = answer.json()["included"]
        await bought.own.update("carts", cart["id"], None, await ways(connection, bought.opened))
        await bought.checked_out(connection, cart["id"])


async def test_wemasys_reorders(play: Play, connection: Connection) -> None:
    for shop, later in generated():
        bought = await play.order(shop, later)
        number = await number_of(connection, bought.store, bought.order_id)
        headers = bought.access.headers | {"Content-Type": "application/json"}
        answer = await play.client.post(WEMASY, json={"order_id": number}, headers=headers)
        assert answer.status_code == 200, answer.text
        (cart,) = [cart for cart in await carts(connection, bought.store) if cart["status"] == "active"]
        await bought.own.update("carts", cart["id"], None, await ways(connection, bought.opened))
        await bought.checked_out(connection, cart["id"])
