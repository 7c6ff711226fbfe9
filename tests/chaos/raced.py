"""What a customer's order must have who changed it while it came up, by plain bookkeeping, and what it has."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import httpx2

from service.principal import Store
from service.store.pool import Connection
from tests.factories import Sku
from tests.spec.writing import resource, to

STOCK: Final = 10_000_000
WEEK: Final = timedelta(weeks=1)
DELAY: Final = timedelta(days=2)
REFUSALS: Final = frozenset({404, 409, 422})


@dataclass(frozen=True)
class Shop:
    """The store, what it sells and how that is shipped; places to ship to by their cities."""

    store: Store
    codes: Sequence[str]
    skus: Sequence[Sku]
    methods: Sequence[str]
    addresses: dict[str, str]


@dataclass(frozen=True)
class State:
    """What the next run orders: so many pieces of the item's sku, lines that are added, as id, sku and pieces."""

    code: str
    pieces: int
    added: tuple[tuple[str, str, int], ...]
    drafts: tuple[tuple[str, str, int], ...]
    city: str
    method: str
    said: bool = False

    @property
    def lines(self) -> dict[str, int]:
        """Pieces by sku."""
        found = {self.code: self.pieces}
        for _, code, pieces in self.added:
            found[code] = found.get(code, 0) + pieces
        return found

    @property
    def shown(self) -> tuple[tuple[tuple[str, int], ...], str, str]:
        """All that an order tells of it."""
        return tuple(sorted(self.lines.items())), self.city, self.method


@dataclass(frozen=True)
class Edit:
    """Something that is asked for: the request, and what the run is by it. `kind` says what else follows from it.

    `later` is the sku that the item becomes with the run of an index, where that is asked for.
    """

    name: str
    request: tuple[str, str, Any]
    apply: Callable[[State], State] = lambda state: state
    kind: str = "run"
    later: tuple[str, int] | None = None


@dataclass
class Customer:
    """A subscription, its item and its first run, and all that its customer was told of them.

    `possible` is what the first run may order; `swaps` are changes of its item's sku, done or not. `least` and `most`
    say how often a run of an index was ordered. Whoever has a card, which declines, hears of an order that waits for
    its money: `paid` are those that were, and `perhaps` those about which nobody was answered. Once the card is
    `renewed` (None: perhaps), all are.
    """

    id: str
    item_id: str
    run_id: str
    due: datetime
    state: State
    chance: random.Random
    possible: list[State] = field(default_factory=list)
    swaps: list[tuple[Edit, bool]] = field(default_factory=list)
    least: dict[int, int] = field(default_factory=lambda: {1: 1})
    most: dict[int, int] = field(default_factory=lambda: {1: 1})
    told: list[str] = field(default_factory=list)
    lines: int = 0
    is_swapped_later: bool = False
    card_id: str | None = None
    order_id: str | None = None
    paid: set[str] = field(default_factory=set)
    perhaps: set[str] = field(default_factory=set)
    renewed: bool | None = False
    begins: State = field(init=False)

    def __post_init__(self) -> None:
        self.begins, self.possible = self.state, [self.state]

    def note(self, edit: Edit, answer: httpx2.Response | None) -> str | None:
        """Take over what was answered; gives what is wrong with it, if anything is."""
        self.possible = [self.state]
        if answer is not None and not answer.is_success:
            return None if answer.status_code in REFUSALS else f"answered with {answer.status_code} {answer.text}"
        if edit.kind in ("swap", "swap from"):
            self.swaps.append((edit, answer is not None))
        follows: dict[str, Callable[[httpx2.Response | None], str | None]] = {
            "now": self._ordered,
            "delay": self._delayed,
            "skip": self._skipped,
            "swap from": self._swapped_later,
            "pay": self._paid,
            "renew": self._renewed,
        }
        if edit.kind in follows:
            return follows[edit.kind](answer)
        after = edit.apply(self.state)
        if answer is None:
            self.possible = [self.state, after]
        else:
            self.state, self.possible = after, [after]
        return None

    def _ordered(self, answer: httpx2.Response | None) -> str | None:
        """A run was ordered at once: that before the one that is next now."""
        if answer is None:
            self.most |= {1: 1, 2: 1}
            return None
        index = round((_next(answer) - self.due) / WEEK)
        self.least[index] = self.most[index] = self.most.get(index, 0) + 1 if index > 1 else 1
        return None if index in (1, 2) else f"run {index} was ordered ahead"

    def _skipped(self, answer: httpx2.Response | None) -> None:
        self.least[1] = 0
        if answer is not None:
            self.most[1] = 0

    def _swapped_later(self, _: httpx2.Response | None) -> None:
        self.is_swapped_later = True

    def _paid(self, answer: httpx2.Response | None) -> None:
        assert self.order_id is not None
        (self.perhaps if answer is None else self.paid).add(self.order_id)

    def _renewed(self, answer: httpx2.Response | None) -> None:
        self.renewed = None if answer is None else True

    def _delayed(self, answer: httpx2.Response | None) -> str | None:
        """A run was put off: the first, where it had not come up yet."""
        if answer is None:
            self.least[1] = 0
            return None
        if _next(answer) < self.due + WEEK:
            self.least[1] = self.most[1] = 0
        return None

    def allowed(self, index: int, code: str) -> set[Any]:
        """What an order of a run may show that was made when the item was of this sku."""
        states = self.possible if index == 1 else [self.begins]
        return {replace(one, code=code).shown for one in states}

    def has_paid(self, order_id: str) -> set[bool]:
        """Whether an order may, and may not, be paid."""
        if self.card_id is None or self.renewed or order_id in self.paid:
            return {True}
        return {True, False} if self.renewed is None or order_id in self.perhaps else {False}

    def problem_of(self, codes: Sequence[str]) -> str | None:
        """What is wrong with the skus that the item became, one after the other, if anything is."""
        done = [_becomes(edit, self.begins) for edit, answered in self.swaps if answered]
        asked = [_becomes(edit, self.begins) for edit, _ in self.swaps]
        return None if codes in (done, asked) else f"its item became {codes} instead of {done}, or {asked}"


def _becomes(edit: Edit, was: State) -> str:
    """What a swap leads to, as the database's numbers tell it."""
    return edit.apply(was).code if edit.later is None else _later(*edit.later)


def _later(code: str, begins: int) -> str:
    return f"{code} from run {begins}"


def _next(answer: httpx2.Response) -> datetime:
    return datetime.fromisoformat(answer.json()["data"]["attributes"]["next_run_at"])


def choose(shop: Shop, one: Customer) -> Edit:
    """Anything that somebody can ask for now."""
    state, chance = one.state, one.chance
    kinds = [_add, _add, _item, _item, _draft, _address, _method, _now, _delay, _skip]
    if not one.is_swapped_later:
        # Later the item is a sku that nothing else asks for, so that no swap asks for what is so already.
        kinds += [_swap, _swap_from]
    if state.added:
        kinds += [_more, _drop]
    if state.drafts:
        kinds += [_commit, _commit]
    if one.card_id is not None and one.renewed is False:
        kinds += [_renew]
    return chance.choice(kinds)(shop, one)


def choose_how_to_pay(shop: Shop, one: Customer) -> Edit | None:
    """What somebody can do about an order that isn't paid; None for nothing."""
    kinds = [_pay, _pay] if one.order_id is not None else []
    kinds += [_renew] if one.renewed is False else []
    return one.chance.choice(kinds)(shop, one) if kinds else None


def _line(one: Customer, quantity: int, **named: Any) -> Any:
    """A line of the first run, with an id of its own: whoever is not answered knows it nevertheless."""
    one.lines += 1
    links = {"order_subscription": to("order_subscriptions", one.id)}
    item = named.pop("item", None)
    links |= {"order_subscription_item": to("order_subscription_items", item)} if item else {}
    attributes = {"occurrence_index": 1, "quantity": quantity, **named}
    return resource("occurrence_items", attributes, links, id=f"{one.id}-{one.lines}")


def _add(shop: Shop, one: Customer) -> Edit:
    code, pieces = shop.codes[1], one.chance.randrange(1, 9)
    document = _line(one, pieces, sku_code=code)
    line = document["data"]["id"], code, pieces
    return Edit("add", ("POST", "occurrence_items", document), lambda was: replace(was, added=(*was.added, line)))


def _draft(shop: Shop, one: Customer) -> Edit:
    code, pieces = shop.codes[1], one.chance.randrange(1, 9)
    document = _line(one, pieces, sku_code=code, draft=True)
    line = document["data"]["id"], code, pieces
    return Edit("draft", ("POST", "occurrence_items", document), lambda was: replace(was, drafts=(*was.drafts, line)))


def _commit(_: Shop, one: Customer) -> Edit:
    document = resource("occurrences", {"_commit": True}, id=one.run_id)
    return Edit(
        "commit",
        ("PATCH", f"occurrences/{one.run_id}", document),
        lambda was: replace(was, added=(*was.added, *was.drafts), drafts=()),
    )


def _item(_: Shop, one: Customer) -> Edit:
    pieces, id_ = one.chance.randrange(2, 9), f"{one.id}-own"

    def after(was: State) -> State:
        return replace(was, pieces=pieces, said=True)

    if one.state.said:
        document = resource("occurrence_items", {"quantity": pieces}, id=id_)
        return Edit("item again", ("PATCH", f"occurrence_items/{id_}", document), after)
    document = _line(one, pieces, item=one.item_id)
    document["data"]["id"] = id_
    return Edit("item", ("POST", "occurrence_items", document), after)


def _more(_: Shop, one: Customer) -> Edit:
    (id_, code, _was), pieces = one.chance.choice(one.state.added), one.chance.randrange(1, 9)
    document = resource("occurrence_items", {"quantity": pieces}, id=id_)

    def after(was: State) -> State:
        return replace(was, added=tuple((id_, code, pieces) if line[0] == id_ else line for line in was.added))

    return Edit("more", ("PATCH", f"occurrence_items/{id_}", document), after)


def _drop(_: Shop, one: Customer) -> Edit:
    id_, *_rest = one.chance.choice(one.state.added)

    def after(was: State) -> State:
        return replace(was, added=tuple(line for line in was.added if line[0] != id_))

    return Edit("drop", ("DELETE", f"occurrence_items/{id_}", None), after)


def _address(shop: Shop, one: Customer) -> Edit:
    city = one.chance.choice([*shop.addresses])
    links = {"shipping_address": to("addresses", shop.addresses[city])}
    document = resource("occurrences", None, links, id=one.run_id)
    return Edit("address", ("PATCH", f"occurrences/{one.run_id}", document), lambda was: replace(was, city=city))


def _method(shop: Shop, one: Customer) -> Edit:
    method = one.chance.choice(shop.methods)
    document = resource("occurrences", None, {"shipping_method": to("shipping_methods", method)}, id=one.run_id)
    return Edit("method", ("PATCH", f"occurrences/{one.run_id}", document), lambda was: replace(was, method=method))


def _swap(shop: Shop, one: Customer) -> Edit:
    code = one.chance.choice([code for code in (shop.codes[0], shop.codes[2]) if code != one.state.code])
    document = resource("order_subscription_items", {"_swap": code}, id=one.item_id)
    path = f"order_subscription_items/{one.item_id}"
    return Edit("swap", ("PATCH", path, document), lambda was: replace(was, code=code), "swap")


def _swap_from(shop: Shop, one: Customer) -> Edit:
    code, begins = shop.codes[3], one.chance.choice([1, 1, 2])
    document = resource("order_subscription_items", {"_swap": code, "_swap_from": begins}, id=one.item_id)
    path = f"order_subscription_items/{one.item_id}"
    return Edit("swap from", ("PATCH", path, document), kind="swap from", later=(code, begins))


def _now(_: Shop, one: Customer) -> Edit:
    document = resource("order_subscriptions", {"_order_next_now": True}, id=one.id)
    return Edit("order now", ("PATCH", f"order_subscriptions/{one.id}", document), kind="now")


def _delay(_: Shop, one: Customer) -> Edit:
    document = resource("order_subscriptions", {"_delay": DELAY.days}, id=one.id)
    return Edit("delay", ("PATCH", f"order_subscriptions/{one.id}", document), kind="delay")


def _skip(_: Shop, one: Customer) -> Edit:
    document = resource("occurrences", {"_skip": True}, id=one.run_id)
    return Edit("skip", ("PATCH", f"occurrences/{one.run_id}", document), kind="skip")


def _pay(_: Shop, one: Customer) -> Edit:
    document = resource("orders", {"_place": True, "_payment_source_token": "tok_approve"}, id=one.order_id)
    return Edit("pay", ("PATCH", f"orders/{one.order_id}", document), kind="pay")


def _renew(_: Shop, one: Customer) -> Edit:
    document = resource("customer_payment_sources", {"payment_source_token": "tok_approve"}, id=one.card_id)
    return Edit("renew card", ("PATCH", f"customer_payment_sources/{one.card_id}", document), kind="renew")


async def watch(connection: Connection) -> None:
    """Have the database number the orders of subscriptions and the swaps of their items.

    Whoever makes either holds the subscription meanwhile. So the numbers tell in which order they came about.
    """
    await connection.execute(
        """
        create table public.race (
            number bigint generated always as identity, subscription_id text not null, order_id text, sku_code text,
            later_code text, later_from int
        );
        grant insert on public.race to public;
        create function public.race() returns trigger language plpgsql security definer as $$
        begin
            if tg_table_name = 'orders' then
                insert into public.race (subscription_id, order_id) values (new.order_subscription_id, new.id);
            else
                insert into public.race (subscription_id, sku_code, later_code, later_from)
                values (new.order_subscription_id, new.sku_code, new.swap_sku_code, new.swap_occurrence_index);
            end if;
            return null;
        end $$;
        create trigger race after insert on orders
            for each row when (new.order_subscription_id is not null) execute function public.race();
        create trigger race after update on order_subscription_items
            for each row when (
                (new.sku_code, new.swap_sku_code, new.swap_occurrence_index)
                is distinct from (old.sku_code, old.swap_sku_code, old.swap_occurrence_index)
            ) execute function public.race();
        """
    )


@dataclass
class Item:
    """What an item is as the database's numbers tell it: its sku, and what it becomes with the run of an index.

    `became` is what customers had it become, one after the other; `owes` says that such a run was ordered meanwhile.
    """

    code: str
    later: tuple[str, int] | None = None
    owes: bool = False
    became: list[str] = field(default_factory=list)

    def order(self, index: int) -> str:
        """Take over that a run was ordered; gives the sku that it has to order."""
        self.owes = self.later is not None and index >= self.later[1]
        return self.later[0] if self.later is not None and self.owes else self.code

    def change(self, code: str, later: tuple[str, int] | None) -> None:
        """Take over what it is now: by a run that was ordered, else by its customer."""
        if self.owes and self.later is not None and (code, later) == (self.later[0], None):
            self.owes = False
        else:
            self.became.append(code if later is None else _later(*later))
        self.code, self.later = code, later


async def _raced(connection: Connection, customers: Sequence[Customer]) -> tuple[dict[str, str], list[str]]:
    """The sku that each order has to have, by the id of the order, and what is wrong with the swaps."""
    items = {one.id: Item(one.begins.code) for one in customers}
    of_orders: dict[str, str] = {}
    for id_, order_id, index, code, later_code, later_from in await connection.fetch(
        """
        select race.subscription_id, race.order_id, occurrences.occurrence_index, race.sku_code, later_code, later_from
        from public.race
        left join orders on race.order_id = orders.id
        left join occurrences on orders.occurrence_id = occurrences.id
        order by race.number
        """
    ):
        if order_id is not None:
            of_orders[order_id] = items[id_].order(-1 if index is None else index)
        else:
            items[id_].change(code, None if later_code is None else (later_code, later_from))
    wrong = []
    for one in customers:
        item = items[one.id]
        problem = f"its item did not become {item.later}" if item.owes else one.problem_of(item.became)
        if problem:
            wrong.append(f"{one.id}: {problem}: {'; '.join(one.told)}")
    return of_orders, wrong


async def verdict(connection: Connection, shop: Shop, customers: Sequence[Customer]) -> list[str]:
    """What is wrong in the end, in words; empty when each run that came up is one order, as its customer was told."""
    rows = await connection.fetch(
        """
        select
            orders.order_subscription_id, coalesce(occurrences.occurrence_index, -1), orders.id,
            addresses.city, orders.shipping_method_id,
            (
                select array_agg(line_items.sku_code || '=' || line_items.quantity)
                from line_items
                where line_items.order_id = orders.id and line_items.item_type = 'skus'
            ),
            orders.status,
            (
                select count(*) from payment_attempts
                where payment_attempts.order_id = orders.id and payment_attempts.status in ('authorized', 'paid')
            )
        from orders
        left join occurrences on orders.occurrence_id = occurrences.id
        left join addresses on orders.shipping_address_id = addresses.id
        where orders.order_subscription_id is not null
        """
    )
    codes, wrong = await _raced(connection, customers)
    made: dict[tuple[str, int], int] = {}
    known = {one.id: one for one in customers}
    pieces = 0
    for id_, index, order_id, city, method, lines, status, charges in rows:
        made[id_, index] = made.get((id_, index), 0) + 1
        found: dict[str, int] = {}
        for line in lines:
            code, _, number = line.rpartition("=")
            found[code] = found.get(code, 0) + int(number)
        one = known[id_]
        is_paid = status == "placed"
        if is_paid not in one.has_paid(order_id) or charges != int(is_paid and one.card_id is not None):
            wrong.append(f"{id_} run {index}: is {status}, and charged {charges} times: {'; '.join(one.told)}")
        pieces += sum(found.values()) if is_paid else 0
        shown, allowed = (tuple(sorted(found.items())), city, method), one.allowed(index, codes[order_id])
        if shown not in allowed:
            wrong.append(f"{id_} run {index}: {shown} instead of {allowed}: {'; '.join(one.told)}")
    for one in customers:
        indexes = {index for id_, index in made if id_ == one.id} | one.least.keys()
        for index in indexes:
            number, least, most = made.get((one.id, index), 0), one.least.get(index, 0), one.most.get(index, 0)
            if not least <= number <= most:
                wrong.append(f"{one.id} run {index}: {number} orders, not {least} to {most}: {'; '.join(one.told)}")
    sold = len(shop.skus) * STOCK - await connection.fetchval("select sum(quantity) from stock_items")
    if sold != pieces:
        wrong.append(f"{sold} pieces taken out of the stock for {pieces} placed")
    copies = await connection.fetch("select status, count(*) from order_factories group by status")
    return wrong + [f"{row[1]} copies are {row[0]}" for row in copies if row[0] != "completed"]
