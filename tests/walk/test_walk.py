"""Walks through the verbs over HTTP, beside a plain model: each answer, each status, and nothing after a refusal.

`make walk` walks for longer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from service.settings import Settings
from tests.checkout.conftest import ordering
from tests.contract.contract import Contract
from tests.jobs.playing import said
from tests.spec.writing import Api, resource, to
from tests.walk.plain_states import CLOCKS, COPIES_OF, LINKS, OCCURRENCES, ORDERS, SUBSCRIPTIONS
from tests.walk.world import DAY, PRICE, START, Served, World, months

DEAR = 2 * PRICE
ROOM = 1.1
"""A run may cost so much more than the one before it."""
PAUSED = "paused"
"""The status of an occurrence that fell into a pause: it is skipped, which is noted when the next one comes up."""
LONG = settings.get_current_profile_name() == "long"
WALKS = settings(
    max_examples=150 if LONG else 5,
    stateful_step_count=60 if LONG else 25,
    derandomize=not LONG,
    # A walk takes seconds: one that fails is told as it is, and not made shorter.
    phases=[Phase.generate],
    report_multiple_bugs=False,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

kinds = st.sampled_from
places = st.integers(0, 7)
senders = kinds(["shop", "customer", "shop", "customer", "guest", "stranger"])


@dataclass
class Order:
    """An order; `guest` holds the session of its cart, where it has one: it ends a day later."""

    id: str
    status: str
    made_at: datetime
    guest: Api | None = None
    repeats: bool = False


@dataclass
class Run:
    """An occurrence: its status, and the price at which it is held or was approved."""

    status: str = "planned"
    price: int = PRICE


@dataclass
class Subscription:
    """A monthly subscription with the occurrences whose time has come or that were told something, by index."""

    id: str
    order_id: str
    status: str = "active"
    paid: int = PRICE
    runs: dict[int, Run] = field(default_factory=dict)
    paused_until: datetime | None = None
    extra: list[tuple[datetime, str]] = field(default_factory=list)
    known: bool = True
    """Whether the model follows its occurrences: not any more once it was out of action."""

    def run_of(self, index: int) -> Run:
        """An occurrence; what a cancelled one had ahead doesn't come."""
        return self.runs.setdefault(index, Run("skipped" if self.status == "cancelled" else "planned"))


@dataclass
class Link:
    """A repeat link."""

    id: str
    expires_at: datetime | None
    revoked: bool = False

    def state(self, now: datetime) -> str:
        """What it is good for."""
        if self.revoked:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "live"


class Walk(RuleBasedStateMachine):
    """A walk; `served` is what it walks through."""

    served: ClassVar[Served]

    def __init__(self) -> None:
        super().__init__()
        self.world = self.served.run(World.open(self.served))
        self.now, self.goal = START, START
        self.price, self.stock = PRICE, 1000
        self.orders: list[Order] = []
        self.subscriptions: list[Subscription] = []
        self.links: list[Link] = []

    # what is there

    @initialize()
    def begin(self) -> None:
        """One of each, so that there is something to say from the first step on."""
        self.order()
        self.subscribe(draft=False)
        self.link(days=None)

    @precondition(lambda self: len(self.orders) < 6)
    @rule()
    def order(self) -> None:
        cart = self.served.run(self.world.cart())
        answer = self.served.run(self.world.senders["customer"].send("POST", "orders", ordering(cart)))
        assert answer.status_code == 201, answer.text
        self.orders.append(Order(answer.json()["data"]["id"], "pending", self.now, self.world.guest(cart)))

    @precondition(lambda self: len(self.orders) < 6)
    @rule()
    def draft(self) -> None:
        made = self.served.run(
            self.world.shop.create("orders", {}, {"customer": to("customers", self.world.customer_id)})
        )
        self.orders.append(Order(made["id"], "draft", self.now))

    @precondition(lambda self: len(self.orders) < 6)
    @rule()
    def order_to_repeat(self) -> None:
        self.orders.append(Order(self.served.run(self.world.order_to_repeat()), "placed", self.now, repeats=True))

    @precondition(lambda self: len(self.subscriptions) < 4)
    @rule(draft=st.booleans())
    def subscribe(self, *, draft: bool) -> None:
        order_id = self.served.run(self.world.past_order())
        terms: dict[str, Any] = {
            "frequency": "monthly",
            "price_mode": "current",
            "max_increase_percent": 10,
            "place_target_order": True,
        }
        if draft:
            terms |= {"activate_by_source_order": False, "starts_at": said(months(0))}
        made = self.served.run(
            self.world.shop.create("order_subscriptions", terms, {"source_order": to("orders", order_id)})
        )
        # A draft begins at its next date, whenever it is activated: its occurrences aren't followed.
        self.subscriptions.append(
            Subscription(made["id"], order_id, "draft" if draft else "active", known=self.now == START and not draft)
        )

    @precondition(lambda self: len(self.links) < 4)
    @rule(days=st.sampled_from([None, 20]))
    def link(self, *, days: int | None) -> None:
        order_id = self.served.run(self.world.past_order())
        expires_at = None if days is None else self.now + days * DAY
        attributes = {} if expires_at is None else {"expires_at": said(expires_at)}
        made = self.served.run(self.world.shop.create("repeat_links", attributes, {"order": to("orders", order_id)}))
        self.links.append(Link(made["id"], expires_at))

    # what is said

    def say(self, sender: Api, type_: str, id_: str, attributes: dict[str, Any], cell: str) -> Any:
        """Say it, and hold the answer against the cell; gives the attributes after it, None when it is refused."""
        event(f"{type_}: {', '.join(attributes)} {cell}")
        before = self.served.run(self.world.rows())
        answer = self.served.run(sender.update(type_, id_, attributes))
        if cell.isdecimal():
            assert answer.status_code == int(cell), (attributes, cell, answer.status_code, answer.text)
        else:
            assert answer.status_code == 200, (attributes, cell, answer.text)
        if cell.isdecimal() or cell == "=":
            assert changed(before, self.served.run(self.world.rows())) == [], (attributes, cell)
        return None if cell.isdecimal() else answer.json()["data"]["attributes"]

    @rule(
        place=places,
        who=senders,
        verb=kinds(sorted(ORDERS["shop"])),
    )
    def tell_order(self, place: int, who: str, verb: str) -> None:
        order = self.orders[place % len(self.orders)]
        sender = order.guest if who == "guest" else self.world.senders[who]
        if sender is None:
            return
        cell = "404"
        if who == "stranger":
            cell = "403" if verb == "_approve" else "404"
        elif who == "guest" and self.guest_is_gone(order):
            cell = "401"
        else:
            cell = ORDERS[who][verb][order.status]
            if verb == "_create_subscriptions" and cell == "~":
                cell = "~" if order.repeats else "422"
        sent = {verb: True, **({"_payment_source_token": "tok_approve"} if verb == "_place" else {})}
        shown = self.say(sender, "orders", order.id, sent, cell)
        if shown is not None:
            order.status = order.status if cell in "=~" else cell
            assert shown["status"] == order.status

    @rule(
        place=places,
        who=senders,
        verb=kinds(sorted(SUBSCRIPTIONS["shop"])),
    )
    def tell_subscription(self, place: int, who: str, verb: str) -> None:
        one = self.subscriptions[place % len(self.subscriptions)]
        value: Any = said(self.now + 40 * DAY) if verb == "_pause_until" else True
        cell = self.cell_of(one, who, verb)
        shown = self.say(self.sender(who), "order_subscriptions", one.id, {verb: value}, cell)
        if shown is None:
            return
        if cell not in "=~":
            self.leads(one, cell)
        elif verb == "_pause_until":
            one.paused_until = self.now + 40 * DAY
        elif verb == "_resume":
            one.paused_until = None
        elif verb == "_run_now":
            one.extra.append((self.now, "pending"))
        elif verb == "_skip_next":
            self.skips_next(one)
        assert shown["status"] in (one.status, *(["running"] if one.status == "active" else []))

    def sender(self, who: str) -> Api:
        if who == "guest":
            guest = self.orders[0].guest
            assert guest is not None
            return guest
        return self.world.senders[who]

    def guest_is_gone(self, order: Order) -> bool:
        return self.now > order.made_at + DAY

    def refusal_of_guests(self) -> str:
        """What a guest is answered with who says something that is for customers."""
        return "401" if self.guest_is_gone(self.orders[0]) else "403"

    def cell_of(self, one: Subscription, who: str, verb: str) -> str:
        """What a verb said to a subscription comes to."""
        if who == "guest":
            return self.refusal_of_guests()
        if who == "stranger":
            return "403" if verb == "_unpark" else "404"
        cell = SUBSCRIPTIONS[who][verb][one.status]
        if verb == "_resume" and cell == "~" and one.paused_until is None:
            return "="
        limited = any(at > self.now - DAY and status != "failed" for at, status in one.extra)
        if verb == "_run_now" and cell == "~" and who == "customer" and limited:
            return "429"
        return cell

    def leads(self, one: Subscription, status: str) -> None:
        """What follows from another status of a subscription."""
        if status == "cancelled":
            for run in one.runs.values():
                if run.status in ("planned", "due", "held"):
                    run.status = "skipped"
            one.extra = [(at, "aborted" if state == "pending" else state) for at, state in one.extra]
        if status == "inactive":
            one.known = False
        one.status = status

    def coming(self) -> int:
        """The index of the next date."""
        index = 1
        while months(index) <= self.now:
            index += 1
        return index

    def skips_next(self, one: Subscription) -> None:
        """The next run is left out: the first that is planned and in no pause."""
        index = self.coming()
        while one.run_of(index).status != "planned" or self.is_paused(one, index):
            index += 1
        one.run_of(index).status = "skipped"

    @staticmethod
    def is_paused(one: Subscription, index: int) -> bool:
        return one.paused_until is not None and months(index) < one.paused_until

    @rule(
        place=places, ahead=st.integers(-1, 2), who=senders,
        verb=kinds(sorted(OCCURRENCES)),
    )  # fmt: skip
    def tell_occurrence(self, place: int, ahead: int, who: str, verb: str) -> None:
        one = self.subscriptions[place % len(self.subscriptions)]
        index = self.coming() + ahead
        rows = self.occurrences(one)
        if not one.known or index not in rows or one.run_of(index).status == PAUSED:
            return
        run = one.run_of(index)
        over = months(index) <= self.now
        refusals = {"stranger": "404", "guest": self.refusal_of_guests()}
        cell = refusals.get(who) or OCCURRENCES[verb][run.status]
        if not cell.isdecimal() and cell != "=" and one.status == "cancelled":
            cell = "409"
        if verb == "_unskip" and cell == "planned" and over:
            cell = "409"
        shown = self.say(self.sender(who), "occurrences", rows[index]["id"], {verb: True}, cell)
        if shown is not None:
            run.status = run.status if cell == "=" else cell
            assert shown["status"] == run.status

    @rule(place=places, who=senders)
    def ask_for_copy(self, place: int, who: str) -> None:
        one = self.subscriptions[place % len(self.subscriptions)]
        linked = {"source_order": to("orders", one.order_id), "order_subscription": to("order_subscriptions", one.id)}
        expected = COPIES_OF[one.status]
        if who == "guest":
            expected = int(self.refusal_of_guests())
        elif who == "stranger":
            expected = 404
        elif who == "customer" and expected == 201 and self.cell_of(one, who, "_run_now") == "429":
            expected = 429
        before = self.served.run(self.world.rows())
        document = resource("recurring_order_copies", {}, linked)
        answer = self.served.run(self.sender(who).send("POST", "recurring_order_copies", document))
        assert answer.status_code == expected, answer.text
        if expected == 201:
            assert answer.json()["data"]["attributes"]["status"] == "pending"
            one.extra.append((self.now, "pending"))
        else:
            assert changed(before, self.served.run(self.world.rows())) == []

    @rule(place=places, who=senders, verb=kinds(sorted(LINKS)))
    def tell_link(self, place: int, who: str, verb: str) -> None:
        link = self.links[place % len(self.links)]
        cell = {"stranger": "404", "guest": self.refusal_of_guests()}.get(who) or LINKS[verb][link.state(self.now)]
        shown = self.say(self.sender(who), "repeat_links", link.id, {verb: True}, cell)
        if shown is not None:
            link.revoked = cell == "revoked"
            assert shown["state"] == link.state(self.now)

    # time

    @rule(who=kinds(["shop", "shop", "shop", "customer"]), days=kinds([25, 33, 4, 0, -3]))
    def set_out(self, who: str, days: int) -> None:
        cell = CLOCKS["_advance_to"]["ready" if self.goal == self.now else "advancing"]
        if who != "shop":
            cell = "403"
        elif days <= 0 and cell == "advancing":
            cell = "422"
        goal = self.now + days * DAY
        shown = self.say(self.world.senders[who], "test_clocks", self.world.clock_id, {"_advance_to": said(goal)}, cell)
        if shown is not None:
            assert shown["status"] == "advancing"
            self.goal = goal

    @precondition(lambda self: self.goal == self.now)
    @rule(days=kinds([25, 33]))
    def pass_by(self, days: int) -> None:
        self.set_out("shop", days)
        self.arrive()

    @precondition(lambda self: self.goal > self.now)
    @rule()
    def arrive(self) -> None:
        self.served.run(self.world.arrive())
        self.works()
        index = 1
        while months(index) <= self.goal:
            if months(index) > self.now:
                for one in self.subscriptions:
                    self.comes_up(one, index)
            index += 1
        self.now = self.goal
        shown = self.served.run(self.world.shop.get(f"test_clocks/{self.world.clock_id}"))["data"]["attributes"]
        assert (shown["status"], shown["frozen_at"]) == ("ready", said(self.now))
        self.compare()

    @rule()
    def work(self) -> None:
        self.served.run(self.world.work())
        self.works()
        self.compare()

    @rule(stock=kinds([0, 1000]), price=kinds([PRICE, DEAR]))
    def trade(self, stock: int, price: int) -> None:
        self.stock, self.price = stock, price
        self.served.run(self.world.trade(stock=stock, price=price))

    def works(self) -> None:
        """What becomes of the copies that are asked for."""
        for one in self.subscriptions:
            due = [run for run in one.runs.values() if run.status == "due"]
            found = self.served.run(self.world.extra_runs(one.id))
            made = False
            for place, (at, before) in enumerate(one.extra):
                if before == "pending":
                    assert found[place] == "completed" or (found[place] == "failed" and self.stock == 0)
                    made = made or found[place] == "completed"
                    one.extra[place] = at, found[place]
            # Which of two that are made at once is compared with the other, nobody says.
            one.known = one.known and not (made and due)
            one.paid = self.price if made else one.paid
            for run in due:
                self.makes(one, run)

    def makes(self, one: Subscription, run: Run) -> None:
        """What becomes of a run."""
        if self.price > max(one.paid * ROOM, run.price):
            run.status, run.price = "held", self.price
        elif self.stock == 0:
            run.status = "failed"
        else:
            run.status, one.paid = "completed", self.price

    def comes_up(self, one: Subscription, index: int) -> None:
        """What becomes of an occurrence whose time has come."""
        if one.status != "active" or not one.known:
            return
        run = one.run_of(index)
        if run.status == "skipped":
            return
        if self.is_paused(one, index):
            run.status = PAUSED
            return
        for other in one.runs.values():
            if other.status == "held":
                other.status = "missed"
        run.price = PRICE
        self.makes(one, run)

    # what is so

    def occurrences(self, one: Subscription) -> dict[int, Any]:
        """Its occurrences but for its source order, by index."""
        url = f"order_subscriptions/{one.id}/occurrences?page[size]=100"
        found = self.served.run(self.world.shop.get(url))["data"]
        return {
            row["attributes"]["occurrence_index"]: {"id": row["id"], **row["attributes"]}
            for row in found
            if row["attributes"]["occurrence_index"] > 0
        }

    def compare(self) -> None:
        """Hold every status against the model."""
        for one in self.subscriptions:
            if not one.known:
                continue
            rows = self.occurrences(one)
            found = {index: row["status"] for index, row in rows.items() if index in one.runs}
            expected = {index: run.status for index, run in one.runs.items() if index in rows}
            for index in [index for index, status in expected.items() if status == PAUSED]:
                assert found[index] in ("planned", "skipped")
                del found[index], expected[index]
            assert found == expected
            assert {index for index in one.runs if months(index) <= self.now} <= set(rows)
        for link in self.links:
            shown = self.served.run(self.world.shop.get(f"repeat_links/{link.id}"))["data"]["attributes"]
            assert shown["state"] == link.state(self.now)
        for order in self.orders:
            shown = self.served.run(self.world.shop.get(f"orders/{order.id}"))["data"]["attributes"]
            assert shown["status"] == order.status

    def teardown(self) -> None:
        """At the end all is as the model has it, and no invariant is broken."""
        self.compare()
        assert self.served.run(self.world.offenders()) == []


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The tables whose rows differ."""
    return sorted(table for table in before.keys() | after.keys() if before.get(table) != after.get(table))


@pytest.mark.timeout(3600 if LONG else 120)
def test_whatever_is_said_is_done_or_refused_as_the_plain_model_has_it(
    settings: Settings, contract: Contract, database_url: str
) -> None:
    served = Served(settings, contract, database_url)
    try:
        run_state_machine_as_test(type("Walking", (Walk,), {"served": served}), settings=WALKS)
    finally:
        served.close()


def test_the_model_knows_every_cell() -> None:
    """Each table is complete: a verb in a status that it leaves out would go unnoticed."""
    for tables in (*ORDERS.values(), *SUBSCRIPTIONS.values(), OCCURRENCES, LINKS, CLOCKS):
        assert len({frozenset(row) for row in tables.values()}) == 1
