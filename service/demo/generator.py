"""Any amount of data around the documents' samples: made up from the seed, in batches, and obviously fictional."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

import orjson

from service.demo.documents import Fittings
from service.demo.rows import Line, Order, Person, Product, Sheet
from service.demo.subscriptions import Copy, add_copy, add_subscription

BATCH = 2_000
"""Orders, or other rows, between two pauses."""

HISTORY = timedelta(days=730)
"""Orders are spread over so much of the past."""

_FIRST_NAMES = (
    *("Alex", "Bo", "Charlie", "Dana", "Eli", "Frankie", "Gray", "Harper", "Indy", "Jules", "Kim", "Lou", "Max"),
    *("Nico", "Ola", "Pat", "Quinn", "Robin", "Sasha", "Toni", "Uli", "Vic", "Wil", "Xen", "Yuri", "Zoe"),
)
_LAST_NAMES = (
    *("Sample", "Example", "Placeholder", "Voorbeeld", "Mustermann", "Exempel", "Specimen", "Template", "Mockup"),
    *("Draft", "Model", "Pattern", "Dummy", "Stand-In", "Prototype", "Ejemplo", "Esempio", "Muster"),
)
_STREETS = ("Example Street", "Voorbeeldlaan", "Musterweg", "Sample Avenue", "Placeholder Square", "Rue du Modèle")
_CITIES = (("Sampleton", "NL"), ("Voorbeeldstad", "NL"), ("Musterhausen", "DE"), ("Exempleville", "FR"))
_KINDS = (
    *("Shirt", "Mug", "Lamp", "Chair", "Notebook", "Pen", "Cushion", "Candle", "Soap", "Towel", "Poster", "Bag"),
    *("Bottle", "Basket", "Blanket", "Clock", "Vase", "Tray", "Apron", "Bowl"),
)
_LOOKS = (
    *("Red", "Green", "Yellow", "Black", "White", "Grey", "Striped", "Dotted", "Plain", "Large", "Small", "Round"),
    *("Square", "Soft", "Bright", "Matte"),
)
_SIZES = ("S", "M", "L")
_STATUSES = ("approved",) * 70 + ("placed",) * 22 + ("cancelled",) * 4 + ("pending",) * 3 + ("draft",)
_SUBSCRIPTION_STATUSES = ("active",) * 16 + ("inactive", "cancelled", "cancelled", "draft")


def _by_age(days: int) -> str:
    return "weekly" if days < 80 else "monthly" if days < 360 else "three-month"


@dataclass(frozen=True, slots=True)
class Manner:
    """What a store is like: some ten runs of each subscription have passed, of the catalogue some can't be had.

    `frequency` is that of a subscription whose first order is so many days old. Without `oddities` every sku can be
    had, one at a time and in any quantity. Of customers who have ordered, a part has `wallets`.
    """

    frequency: Callable[[int], str] = _by_age
    oddities: bool = True
    wallets: float = 0.6


DEMO = Manner()


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much to make."""

    customers: int
    skus: int
    orders: int
    subscriptions: int


def generate(sheet: Sheet, fittings: Fittings, timezone: str, amounts: Amounts, manner: Manner = DEMO) -> Iterator[int]:
    """Add rows to the sheet, pausing after each batch for them to be copied; gives how many orders were added in it."""
    random = Random(sheet.seed)  # noqa: S311 -- the same rows for the same seed is the point
    products = [_product(sheet, random, number, fittings, manner) for number in range(amounts.skus)]
    # Who buys is decided first, since it makes the difference between a prospect and a customer.
    buyers = [_skewed(random, amounts.customers) for _ in range(amounts.orders)] if amounts.customers else []
    orders_of = Counter(buyers)
    people = [
        _person(sheet, random, number, fittings, orders=orders_of[number], wallets=manner.wallets)
        for number in range(amounts.customers)
    ]
    yield 0
    if not (people and products):
        return
    sources: list[Order] = []
    for index, buyer in enumerate(buyers):
        # Evenly over the orders, so that there are subscriptions of every age.
        repeated = (index + 1) * amounts.subscriptions // amounts.orders > len(sources)
        ago = HISTORY * ((amounts.orders - index) / amounts.orders)
        order = _order(sheet, random, fittings, people[buyer], products, ago=ago, repeated=repeated)
        if repeated:
            sources.append(order)
        if (index + 1) % BATCH == 0:
            yield BATCH
    yield len(buyers) % BATCH
    for begin in range(0, len(sources), BATCH):
        batch = sources[begin : begin + BATCH]
        yield from _subscriptions(sheet, random, fittings, timezone, batch, frequency=manner.frequency)


def _skewed(random: Random, count: int) -> int:
    """One of so many, the first ones far more often: a few customers place most orders. The last tenth never."""
    return int(random.random() ** 2 * count * 0.9)


def _product(sheet: Sheet, random: Random, index: int, fittings: Fittings, manner: Manner) -> Product:
    """Add a product; in every forty there are some that can't be bought (again) for each of the reasons there are."""
    look, kind = _LOOKS[index // len(_KINDS) % len(_LOOKS)], _KINDS[index % len(_KINDS)]
    series = index // (len(_KINDS) * len(_LOOKS))
    name = f"{look} {kind}" + (f" No. {series + 1}" if series else "")
    days = timedelta(days=1)
    made_at = sheet.at - HISTORY - random.randint(10, 200) * days
    changed_at = sheet.at - random.randint(5, 200) * days
    price = random.randint(2, 120) * 100 - 5
    columns: dict[str, Any] = {"price": price, "stock": random.randint(20, 2000)}
    if index % 8 in (3, 5):
        columns |= {"previous": price + (200 if index % 8 == 3 else -100), "changed_at": changed_at}
    peculiar: dict[int, dict[str, Any]] = {
        7: {"stock": 0},
        8: {"stock": random.randint(1, 3)},
        9: {"stock": None},
        15: {"stock": 0},
        16: {"disabled_at": changed_at},
        17: {"deleted_at": changed_at},
        18: {"price": None, "previous": price, "changed_at": changed_at},
        23: {"min_quantity": 2, "max_quantity": 12, "step_quantity": 2},
        31: {"reorderable": False},
    }
    columns |= peculiar.get(index % 40, {}) if manner.oddities else {}
    if kind == "Shirt":
        columns["options"] = orjson.dumps([{"name": "Size", "required": True, "values": list(_SIZES)}]).decode()
        columns["chosen"] = {"Size": random.choice(_SIZES)}
    product = sheet.product(made_at, f"{kind[:4].upper()}-{index + 1:05}", name, picture=(look, kind), **columns)
    if index % 10 == 4:
        sheet.add(
            "prices",
            made_at,
            sku_id=product.id,
            customer_group_id=fittings.wholesale_id,
            currency_code=sheet.currency_code,
            amount_cents=product.price * 8 // 10,
            min_quantity=5,
        )
    return product


def _person(sheet: Sheet, random: Random, index: int, fittings: Fittings, *, orders: int, wallets: float) -> Person:
    first, last = random.choice(_FIRST_NAMES), random.choice(_LAST_NAMES)
    email = f"{first}.{last}.{index + 1}@example.{'nl' if index % 2 else 'com'}".lower()
    city, country = random.choice(_CITIES)
    address = {
        "business": False,
        "first_name": first,
        "last_name": last,
        "company": None,
        "line_1": f"{random.choice(_STREETS)} {random.randint(1, 250)}",
        "city": city,
        "zip_code": f"0000{random.randint(0, 9)}",
        "country_code": country,
        "phone": f"+1 202 555 01{random.randint(0, 99):02}",
        "email": email,
    }
    wallet = {
        "payment_method_id": fittings.card_id,
        "name": f"Card of {first} {last}",
        "gateway": "test",
        "customer_token": f"cus_{index + 1}",
        "payment_source_token": f"src_{index + 1}",
    }
    return sheet.person(
        sheet.at - HISTORY - timedelta(days=random.randint(1, 365)),
        email,
        address,
        wallet=wallet if orders and random.random() < wallets else None,
        status=("prospect", "acquired")[orders] if orders < 2 else "repeat",
        customer_group_id=fittings.wholesale_id if index % 20 == 6 else None,
    )


def _order(
    sheet: Sheet,
    random: Random,
    fittings: Fittings,
    person: Person,
    products: Sequence[Product],
    *,
    ago: timedelta,
    repeated: bool,
) -> Order:
    """Add an order; one that a subscription repeats has been approved."""
    at = sheet.at - ago
    chosen = random.sample(products, min(random.choice((1, 1, 2, 2, 3, 4, 6)), len(products)))
    on_sale = random.random() < 0.04
    methods = fittings.card if person.wallet else random.choice((fittings.parcel, fittings.parcel, fittings.express))
    return sheet.order(
        at.replace(microsecond=at.microsecond // 1000 * 1000),
        person,
        [Line(product, random.choice((1, 1, 1, 2, 2, 4, 6))) for product in chosen],
        methods,
        status="approved" if repeated else random.choice(_STATUSES),
        discount_percent=10 if on_sale else 0,
        coupon_code="SAMPLE10" if on_sale else None,
    )


def _subscriptions(
    sheet: Sheet,
    random: Random,
    fittings: Fittings,
    timezone: str,
    sources: Sequence[Order],
    *,
    frequency: Callable[[int], str],
) -> Iterator[int]:
    """Add subscriptions and, once those are in the database, the copies they have led to."""
    copies: list[Copy] = []
    for source in sources:
        copies += add_subscription(
            sheet,
            source,
            frequency=frequency((sheet.at - source.at).days),
            timezone=timezone,
            model_id=fittings.model_id,
            status=random.choice(_SUBSCRIPTION_STATUSES),
            last_failed=random.random() < 0.05,
        )
    yield 0
    for begin in range(0, len(copies), BATCH):
        for copy in copies[begin : begin + BATCH]:
            add_copy(sheet, copy)
        yield 0
