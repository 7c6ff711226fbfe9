"""What the buttons do that pages have for a subscription: for single runs of it, and for all that are to come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from service import clock
from service.clock import later
from service.errors import ApiError, Invalid, InvalidState, NotFound
from service.http.pages import days
from service.http.pages.pages import impossible
from service.operations.subscriptions import choices, once, ordering_now, overviews, swaps
from service.operations.subscriptions.overviews import Coming
from service.operations.subscriptions.swaps import Choice, Item
from service.principal import Principal
from service.rules.schedule import Delay
from service.store.pool import Connection
from service.texts import Phrase

RUNS: Final = 6
"""How many runs to come the pages show."""

PAUSES: Final = {
    "28": Phrase("For four weeks"),
    "56": Phrase("For eight weeks"),
    "91": Phrase("For three months"),
}
"""For how many days a customer may pause."""

_DIGITS: Final = 5
_WEEK: Final = Delay(7)


class Of(NamedTuple):
    """Whose subscription it is, which one, where its calendar is read, and in which language the customer reads."""

    principal: Principal
    subscription_id: str
    timezone: str
    locale: str


async def change(connection: Connection, of: Of, form: Mapping[str, str]) -> None:
    """Do what a button says. Raises ApiError subclasses."""
    customer, subscription_id = of.principal, of.subscription_id
    match form.get("do"):
        case "skip" | "unskip" | "move" | "add" | "alter" | "as_always" | "send_once":
            await _change_run(connection, of, form)
        case "order_now":
            with days.ordering(of.timezone, of.locale):
                await ordering_now.order(connection, customer, subscription_id)
        case "delay":
            with days.ordering(of.timezone, of.locale):
                await overviews.delay(connection, customer, subscription_id, _WEEK)
        case "pause" if form.get("days") in PAUSES:
            until = later(clock.now(customer.store), timedelta(days=int(form["days"])))
            await overviews.pause(connection, customer, subscription_id, until)
        case "resume":
            await overviews.pause(connection, customer, subscription_id, None)
        case "swap" | "unswap" | "send" | "pay":
            await _choose(connection, of, form)
        case "keep":
            await overviews.keep(connection, customer, subscription_id)
        case "activate":
            await overviews.tell(connection, customer, subscription_id, "activate")
        case _:
            raise impossible()


async def swapped_from(
    connection: Connection, customer: Principal, subscription_id: str, items: Iterable[Item], runs: Sequence[Coming]
) -> Mapping[str, datetime | None]:
    """From when on items are swapped that will be, by their ids; None where no run is to come then."""
    return {
        item.id: await overviews.day_of(connection, customer, subscription_id, item.planned.begins, runs)
        for item in items
        if item.planned is not None
    }


def swappable(run: Coming, items: Iterable[Item]) -> Mapping[str, Sequence[Choice]]:
    """Return what items can be swapped for in a run, by their ids: nothing that it orders already."""
    ordered = {line.sku_code for line in run.lines}
    return {item.id: [choice for choice in item.choices if choice.sku_code not in ordered] for item in items}


def quantity_between(least: int) -> Invalid:
    """The refusal of what is no quantity, which says which ones there are."""
    return Invalid("Choose a quantity from {least} to {most}.", least=least, most=10 ** (_DIGITS - 1) - 1)


def number(text: str) -> int | None:
    """A number as a field holds it; None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _DIGITS else None


async def _choose(connection: Connection, of: Of, form: Mapping[str, str]) -> None:
    """Take what was offered: a product in the place of another, an address, a card. Raises ApiError subclasses."""
    customer, subscription_id = of.principal, of.subscription_id
    match form["do"]:
        case "swap":
            item, sku, begins = form.get("item", ""), form.get("sku", ""), number(form.get("from", ""))
            await swaps.swap(connection, customer, subscription_id, item, sku, index=begins)
        case "unswap":
            await swaps.keep(connection, customer, subscription_id, form.get("item", ""))
        case "send" if form.get("address"):
            await choices.send_to(connection, customer, subscription_id, form["address"])
        case "pay" if form.get("card"):
            await choices.pay_with(connection, customer, subscription_id, form["card"])
        case _:
            raise impossible()


async def _change_run(connection: Connection, of: Of, form: Mapping[str, str]) -> None:
    """Skip a run, let it come after all, move it, or change what comes then. Raises ApiError subclasses."""
    customer, subscription_id = of.principal, of.subscription_id
    await overviews.hold(connection, customer, subscription_id)
    run = run_of(await overviews.coming(connection, customer, subscription_id, most=RUNS), form.get("run", ""))
    id_ = await overviews.named(connection, customer, subscription_id, run.index)
    if form["do"] == "move":
        with days.moving(run.at, of.timezone, of.locale):
            to = days.typed(form.get("day", ""), run.at, of.timezone)
            await overviews.move(connection, customer, id_, to)
    elif form["do"] in ("skip", "unskip"):
        await overviews.skip(connection, customer, id_, back=form["do"] == "unskip")
    else:
        await _fill_run(connection, of, run, id_, form)


async def _fill_run(connection: Connection, of: Of, run: Coming, id_: str, form: Mapping[str, str]) -> None:
    """Have something else come with a run, or have it go elsewhere. Raises ApiError subclasses."""
    customer, chosen = of.principal, once.Run(of.subscription_id, id_)
    quantity = number(form.get("quantity", ""))
    lines = {line.id for line in run.lines}
    try:
        if form["do"] == "add" and form.get("sku"):
            _check_new(run, form["sku"])
            await once.add(connection, customer, chosen, form["sku"])
        elif form["do"] == "send_once" and form.get("address"):
            await overviews.send(connection, customer, chosen.id, form["address"])
        elif form["do"] == "as_always" and form.get("line") in lines:
            await once.restore(connection, customer, chosen, form["line"])
        elif form["do"] == "alter" and form.get("line") in lines and quantity is not None:
            await once.alter(connection, customer, chosen, form["line"], quantity)
        elif form["do"] == "alter" and form.get("line") in lines:
            raise quantity_between(0)
        else:
            raise impossible()
    except ApiError as error:
        if (quantity is None and form["do"] == "alter") or not all(
            isinstance(problem, Invalid) for problem in error.problems
        ):
            raise
        # The API's words name attributes.
        raise Invalid(
            "That can't be ordered then. Choose something else or another quantity, or skip the delivery."
        ) from error


def _check_new(run: Coming, code: str) -> None:
    """Raise InvalidState for a product that comes along with a run already: a button may be pressed twice."""
    if any(line.is_added and line.sku_code == code for line in run.lines):
        raise InvalidState("It comes along already. To have more of it, change how many come.")


def run_of(runs: Iterable[Coming], index: str) -> Coming:
    """Return the run that a form or a URL names by its index, which also one without a row has. Raises NotFound."""
    for run in runs:
        if str(run.index) == index:
            return run
    raise NotFound("There is no such occurrence.")
