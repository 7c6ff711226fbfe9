"""The tools of subscriptions: what comes when, what is different once, what changes for good, and the way out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.kinds import render_timestamp
from service.errors import Invalid
from service.http.agents import deliveries as shapes
from service.http.agents.calls import Call, Tool
from service.http.agents.shapes import Money, Nothing, Product
from service.http.pages import actions, terms
from service.operations.subscriptions import action_links, amending, cancelling, choices, once, overviews, swaps
from service.operations.subscriptions.amending import Amendment
from service.operations.subscriptions.overviews import Coming, Ending, Occurrence, Overview
from service.operations.subscriptions.previews import Preview
from service.rules.schedule import Delay
from service.texts import say


async def _list_subscriptions(call: Call, _: Nothing) -> shapes.Subscriptions:
    found = await overviews.of_customer(call.connection, call.principal)
    return shapes.Subscriptions(
        subscriptions=[
            shapes.Subscribed(
                id=one.id,
                status=one.status,
                frequency=one.frequency,
                next_run_at=render_timestamp(one.next_run_at),
                products=[Product(name=item.name, quantity=item.quantity) for item in one.items],
            )
            for one in found
        ]
    )


async def _show_subscription(call: Call, asked: shapes.OneSubscription) -> shapes.Shown:
    connection, principal, id_ = call.connection, call.principal, asked.subscription_id
    found = await overviews.find(connection, principal, id_)
    items = await swaps.items(connection, principal, id_)
    unpaid = await action_links.owed(connection, principal.store, id_)
    return shapes.Shown(
        id=found.id,
        status=found.status,
        next_run_at=render_timestamp(found.next_run_at),
        paused_until=render_timestamp(found.paused_until),
        ends_after_next_delivery=found.cancel_at_period_end,
        lines=[
            shapes.Line(
                line_id=item.id,
                sku_code=item.sku_code,
                name=item.name,
                quantity=item.quantity,
                swapped_to=None if item.planned is None else item.planned.name,
                swapped_from=None if item.planned is None else item.planned.begins,
                swaps=[
                    shapes.Choice(
                        sku_code=one.sku_code, name=one.name, price=call.money(one.unit_amount_cents, one.currency_code)
                    )
                    for one in item.choices
                ],
            )
            for item in items
        ],
        terms=await _terms(call, found),
        unpaid=[
            shapes.Owed(
                scheduled_at=render_timestamp(one.scheduled_at) or "",
                amount=Money.of(one.due, one.currency_code, call.locale),
            )
            for one in unpaid
        ],
        products_to_add=[
            shapes.Choice(
                sku_code=one.sku_code, name=one.name, price=call.money(one.unit_amount_cents, one.currency_code)
            )
            for one in await once.products(connection, principal, found.currency_code)
        ],
    )


async def _terms(call: Call, found: Overview) -> shapes.Terms:
    store = call.principal.store
    keeps = await cancelling.commitment(call.connection, store, found.id)
    return shapes.Terms(
        how_often=say(terms.rhythm(found.frequency, call.locale), call.locale),
        frequencies=await choices.frequencies(call.connection, call.principal, found.id),
        prices=[say(sentence, call.locale) for sentence in terms.of(found, call.locale)],
        min_deliveries=found.min_occurrences,
        can_be_cancelled_from=None if keeps is None else render_timestamp(keeps.at),
        can_be_cancelled_now=keeps is None,
        cancellation_reasons=await cancelling.reasons(call.connection, store),
    )


async def _list_upcoming_deliveries(call: Call, asked: shapes.OfSubscription) -> shapes.Deliveries:
    found = await overviews.coming(call.connection, call.principal, asked.subscription_id, most=asked.limit)
    return shapes.Deliveries(deliveries=[_coming(call, run) for run in found])


def _coming(call: Call, run: Coming) -> shapes.Coming:
    return shapes.Coming(
        number=run.index,
        scheduled_at=render_timestamp(run.at) or "",
        status=run.status,
        reason=run.reason,
        can_be_changed=not run.is_settled,
        lines=[
            shapes.DeliveredLine(
                line_id=line.id,
                sku_code=line.sku_code,
                name=line.name,
                quantity=line.quantity,
                usual_quantity=None if line.is_added else line.quantity if line.usually is None else line.usually,
                unit_price=call.money(line.unit_amount_cents, run.currency_code),
            )
            for line in run.lines
        ],
        total=call.money(run.total_amount_cents, run.currency_code),
        is_paid=run.prepaid_amount_cents < 0,
        for_later=call.money(max(run.prepaid_amount_cents, 0) or None, run.currency_code),
    )


async def _named(call: Call, asked: shapes.Delivery) -> str:
    """Return the id of the delivery that is meant, with its subscription held."""
    return await overviews.hold_run(call.connection, call.principal, asked.subscription_id, asked.delivery)


async def _skip_delivery(call: Call, asked: shapes.Delivery) -> shapes.Done:
    return _of_run(await overviews.skip(call.connection, call.principal, await _named(call, asked)))


async def _restore_delivery(call: Call, asked: shapes.Delivery) -> shapes.Done:
    return _of_run(await overviews.skip(call.connection, call.principal, await _named(call, asked), back=True))


async def _move_delivery(call: Call, asked: shapes.Move) -> shapes.Done:
    return _of_run(await overviews.move(call.connection, call.principal, await _named(call, asked), asked.to))


def _of_run(run: Occurrence) -> shapes.Done:
    at = None if run.status == "skipped" else render_timestamp(run.scheduled_at)
    return shapes.Done(id=run.id, status=run.status, at=at)


async def _change_delivery(call: Call, asked: shapes.Contents) -> shapes.Coming:
    connection, principal = call.connection, call.principal
    if (asked.line_id is None) == (asked.sku_code is None):
        raise Invalid("Send either line_id, to change a line, or sku_code, to add a product.")
    run = once.Run(asked.subscription_id, await _named(call, asked))
    await once.check(connection, principal, run)
    if asked.sku_code is not None:
        await once.add(connection, principal, run, asked.sku_code, 1 if asked.quantity is None else asked.quantity)
    elif asked.quantity is None:
        await once.restore(connection, principal, run, str(asked.line_id))
    else:
        await once.alter(connection, principal, run, str(asked.line_id), asked.quantity)
    return _coming(call, await overviews.one_coming(connection, principal, run.subscription_id, run.id))


async def _delay_next_delivery(call: Call, asked: shapes.Put) -> shapes.Done:
    by = Delay(asked.number, "day" if asked.unit == "day" else "interval")
    return _of_subscription(await overviews.delay(call.connection, call.principal, asked.subscription_id, by))


async def _pause_subscription(call: Call, asked: shapes.Pause) -> shapes.Done:
    return _of_subscription(await overviews.pause(call.connection, call.principal, asked.subscription_id, asked.until))


async def _resume_subscription(call: Call, asked: shapes.Subscription) -> shapes.Done:
    """End what keeps deliveries from coming: a pause, a stop, or an end that is near."""
    connection, principal, id_ = call.connection, call.principal, asked.subscription_id
    found = await overviews.find(connection, principal, id_)
    if found.cancel_at_period_end:
        await overviews.keep(connection, principal, id_)
    if found.status == "inactive":
        await overviews.tell(connection, principal, id_, "activate")
    return _of_subscription(await overviews.pause(connection, principal, id_, None))


def _of_subscription(found: Overview) -> shapes.Done:
    return shapes.Done(id=found.id, status=found.status, at=render_timestamp(found.next_run_at))


async def _preview_subscription_change(call: Call, asked: shapes.Rehearsed) -> shapes.Prospect:
    wanted = _amendment(asked)
    return _prospect(call, await amending.rehearse(call.connection, call.principal, asked.subscription_id, wanted))


async def _change_subscription(call: Call, asked: shapes.Changed) -> shapes.Prospect:
    wanted, digest = _amendment(asked), asked.expected_digest
    found = await amending.amend(call.connection, call.principal, asked.subscription_id, wanted, digest)
    return _prospect(call, found)


def _amendment(asked: shapes.Rehearsed) -> Amendment:
    wanted: list[Amendment] = []
    if asked.swap is not None:
        wanted.append(_swap(asked.swap))
    if asked.quantity is not None:
        wanted.append(amending.Quantity(asked.quantity.line_id, asked.quantity.quantity))
    if asked.interval is not None:
        wanted.append(amending.Rhythm(asked.interval.unit, asked.interval.count, asked.interval.weekdays))
    if asked.frequency is not None:
        wanted.append(amending.Frequency(asked.frequency))
    if len(wanted) != 1:
        raise Invalid(
            "Send one of swap, for another product, quantity, for how many come each time, and interval or frequency,"
            " for how often they do."
        )
    return wanted[0]


def _swap(asked: shapes.Swap) -> Amendment:
    if not asked.only_then:
        return amending.Swap(asked.line_id, asked.sku_code, asked.first_delivery)
    if asked.first_delivery is None:
        raise Invalid("Send first_delivery with only_then: the number of the delivery.")
    return amending.SwapOnce(asked.line_id, asked.sku_code, asked.first_delivery)


def _prospect(call: Call, found: Preview) -> shapes.Prospect:
    return shapes.Prospect(
        digest=found.digest,
        deliveries=[_coming(call, run) for run in overviews.told(found.forecast)],
        out_of_stock=found.short,
    )


async def _cancel_subscription(call: Call, asked: shapes.Cancel) -> shapes.Done:
    connection, principal, id_ = call.connection, call.principal, asked.subscription_id
    found = await overviews.find(connection, principal, id_)
    ending = Ending(asked.reason, asked.comment, at_period_end=asked.after_next_delivery)
    await overviews.cancel(connection, principal, id_, ending)
    if asked.after_next_delivery:
        return _of_subscription(found)
    return shapes.Done(id=id_, status="cancelled", at=None)


async def _confirmation_link(call: Call, asked: shapes.Confirm) -> shapes.Confirmation:
    url, expires_at = await actions.hand_out(
        call.request, call.connection, call.principal, asked.subscription_id, asked.action
    )
    return shapes.Confirmation(confirm_url=url, expires_at=render_timestamp(expires_at) or "")


_READS, _WRITES = ("read_subscriptions",), ("read_subscriptions", "update_subscriptions")

TOOLS: Sequence[Tool[Any]] = (
    Tool(
        "list_subscriptions",
        "List subscriptions",
        "The customer's subscriptions that aren't cancelled, with what each delivers and when it does so next.",
        Nothing,
        shapes.Subscriptions,
        _list_subscriptions,
        scopes=_READS,
    ),
    Tool(
        "show_subscription",
        "Show a subscription",
        "A subscription with its lines and what each can be swapped for, its terms (how often it comes, what is off,"
        " from when on it can be cancelled), what is not paid yet, and what could come along once.",
        shapes.OneSubscription,
        shapes.Shown,
        _show_subscription,
        scopes=("read_subscriptions", "read_orders"),
    ),
    Tool(
        "list_upcoming_deliveries",
        "List upcoming deliveries",
        "The next deliveries of a subscription, skipped ones too, with what comes then and what each would come to at"
        " today's prices.",
        shapes.OfSubscription,
        shapes.Deliveries,
        _list_upcoming_deliveries,
        scopes=_READS,
    ),
    Tool(
        "skip_delivery",
        "Skip a delivery",
        "Leaves out one delivery of a subscription; the others stay. `restore_delivery` takes it back.",
        shapes.Delivery,
        shapes.Done,
        _skip_delivery,
        scopes=_WRITES,
    ),
    Tool(
        "restore_delivery",
        "Restore a skipped delivery",
        "Lets a delivery happen after all that was skipped.",
        shapes.Delivery,
        shapes.Done,
        _restore_delivery,
        scopes=_WRITES,
    ),
    Tool(
        "move_delivery",
        "Move a delivery",
        "Moves one delivery of a subscription to another time; those after it stay where they are.",
        shapes.Move,
        shapes.Done,
        _move_delivery,
        scopes=_WRITES,
    ),
    Tool(
        "change_delivery",
        "Change what one delivery brings",
        "Has one delivery bring something else, all others stay: with `sku_code` a product comes along once, with"
        " `line_id` a line comes in another quantity, not at all (0), or as always again (null).",
        shapes.Contents,
        shapes.Coming,
        _change_delivery,
        scopes=_WRITES,
        settles=False,
    ),
    Tool(
        "delay_next_delivery",
        "Put the next delivery off",
        "Puts the next delivery off by so many days, or by so many deliveries; what would come before it is left out."
        " Those after it stay where they are.",
        shapes.Put,
        shapes.Done,
        _delay_next_delivery,
        scopes=_WRITES,
        settles=False,
    ),
    Tool(
        "pause_subscription",
        "Pause a subscription",
        "Leaves out all deliveries of a subscription until a time. `resume_subscription` ends the pause.",
        shapes.Pause,
        shapes.Done,
        _pause_subscription,
        scopes=_WRITES,
    ),
    Tool(
        "resume_subscription",
        "Resume a subscription",
        "Lets a subscription go on with its next date after now: ends a pause or a stop, or takes back that it ends"
        " after the next delivery. One that is cancelled stays so.",
        shapes.Subscription,
        shapes.Done,
        _resume_subscription,
        scopes=_WRITES,
    ),
    Tool(
        "preview_subscription_change",
        "Preview a change of a subscription",
        "What a swap, another quantity, or another interval or frequency would lead to: the next deliveries with dates"
        " and prices, and what is short. Nothing changes. Show it to the customer before `change_subscription`.",
        shapes.Rehearsed,
        shapes.Prospect,
        _preview_subscription_change,
        scopes=_WRITES,
        limit="subscription_previews",
    ),
    Tool(
        "change_subscription",
        "Change a subscription",
        "Changes all deliveries to come: another product in the place of a line, from the next delivery or a later one"
        " on, another quantity of a line, or another interval or frequency.",
        shapes.Changed,
        shapes.Prospect,
        _change_subscription,
        scopes=_WRITES,
    ),
    Tool(
        "cancel_subscription",
        "Cancel a subscription",
        "Ends a subscription for good, at once or after its next delivery. Ask the customer first, and offer to skip or"
        " to pause. Where it has to run for a while yet, the answer says from when on it can be cancelled.",
        shapes.Cancel,
        shapes.Done,
        _cancel_subscription,
        scopes=_WRITES,
        destroys=True,
    ),
    Tool(
        "confirmation_link",
        "Make a link that orders or pays",
        "What is ordered or paid at once the customer confirms on a page: this makes the link to it, for the next"
        " delivery now, one that is not paid yet, or one that is held for its price. Nothing happens until the customer"
        " presses the button there.",
        shapes.Confirm,
        shapes.Confirmation,
        _confirmation_link,
        scopes=_WRITES,
        limit="action_links",
        settles=False,
    ),
)
"""The tools of subscriptions."""
