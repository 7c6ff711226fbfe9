"""Edits of what subscriptions order, for how much, and where it goes, in every run or in a single one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx2

from tests.chaos.mixed import AHEAD, SIZES, Editor, Mixed
from tests.faults.plain_contents import Piece
from tests.spec.writing import resource, to

Attributes = dict[str, Any]


def _set_to(one: Mixed, editor: Editor, was: int) -> int | None:
    """A price that the shop sets by hand; None mostly."""
    return None if editor.by_customer or one.chance.randrange(4) else max(was + one.chance.choice((-75, 0, 60)), 1)


def _mode(one: Mixed, editor: Editor, was: bool | None) -> bool | None:  # noqa: FBT001
    """Whether the price of a line is to count that was agreed on; as it was mostly."""
    return was if editor.by_customer or one.chance.randrange(4) else one.chance.choice((None, True, False))


def _size(one: Mixed, was: str | None) -> str | None:
    return was if one.chance.randrange(3) else one.chance.choice((None, *SIZES))


def _options(size: str | None) -> Attributes:
    return {} if size is None else {"size": size}


def _sent(line: Piece, was: Piece | None, set_to: int | None) -> Attributes:
    """What is sent to make a line of what it was; None: of nothing."""
    sent: Attributes = {"quantity": line.pieces}
    if was is None or line.size != was.size:
        sent["options"] = _options(line.size)
    if was is None or line.fixed is not was.fixed:
        sent["price_mode"] = None if line.fixed is None else "fixed" if line.fixed else "current"
        if was is None and line.fixed is None:
            del sent["price_mode"]
    return sent if set_to is None else {**sent, "unit_amount_cents": set_to}


async def _add(one: Mixed, editor: Editor) -> None:
    run, draft = one.a_run(), one.chance.randrange(3) == 0
    plain = Piece(one.a_sku(), one.chance.randint(1, 4), 0, _size(one, None), fixed=_mode(one, editor, None))
    price = one.shelf.price(plain.sku, editor.now)
    set_to = _set_to(one, editor, price)
    line = plain._replace(unit=price if set_to is None else set_to, by_hand=set_to is not None)
    answer = await _say(editor, run, {"sku_code": line.sku, **_sent(line, None, set_to)}, None, draft=draft)
    if one.note(editor, answer, refused=one.is_closed(run), what=(run, line, draft)):
        id_ = answer.json()["data"]["id"]
        one.contents.lines.setdefault((run, draft), {})[id_] = line
        one.contents.ids[run, draft, id_] = id_


async def _alter(one: Mixed, editor: Editor) -> None:
    """Another quantity or product of an item in a run, none among them, or a change of what was said of it."""
    contents = one.contents
    run, draft, item = one.a_run(), one.chance.randrange(3) == 0, one.chance.choice([*contents.items])
    then = contents.each_time(run)[item]
    known = contents.ids.get((run, draft, item))
    was = then._replace(fixed=None) if known is None else contents.lines[run, draft][item]
    pieces = one.chance.randint(0, 4)
    sku = one.chance.choice([was.sku, then.sku, one.a_sku()]) if pieces else was.sku
    size, set_to = _size(one, was.size) if pieces else was.size, _set_to(one, editor, was.unit) if pieces else None
    wanted = Piece(sku, pieces, was.unit, size, was.by_hand, _mode(one, editor, was.fixed))
    if pieces:
        mode = then.fixed if wanted.fixed is None else wanted.fixed
        line = one.repriced(was, wanted, editor, set_to, counts=one.till.fixed if mode is None else mode)
    else:
        line = wanted
    left = contents.of(run, drafts=draft) | {item: line}
    if sku in one.shelf.gone or not any(piece.pieces for piece in left.values()):
        return
    sent = {"sku_code": sku, **_sent(line, was, set_to)}
    if known is None:
        answer = await _say(editor, run, sent, item, draft=draft)
    else:
        answer = await editor.api.update("occurrence_items", known, sent)
    if one.note(editor, answer, refused=one.is_closed(run), what=(run, item[-4:], line, set_to, draft)):
        contents.ids[run, draft, item] = answer.json()["data"]["id"]
        contents.lines.setdefault((run, draft), {})[item] = line


async def _leave_out_another(one: Mixed, editor: Editor) -> None:
    """What is left out is nothing else at the same time."""
    run, item = one.a_run(), one.chance.choice([*one.contents.items])
    sku = next(code for code in sorted(one.shelf.prices) if code != one.contents.each_time(run)[item].sku)
    if (run, False, item) not in one.contents.ids:
        answer = await _say(editor, run, {"sku_code": sku, "quantity": 0}, item, draft=False)
        one.note(editor, answer, refused=True, what=(run, item[-4:], sku))


async def _forget(one: Mixed, editor: Editor) -> None:
    contents, coming = one.contents, one.plain.coming(AHEAD)
    known = [key for key in contents.ids if key[0] in coming]
    if not known:
        return
    run, draft, key = one.chance.choice(sorted(known))
    left = {name: line for name, line in contents.of(run).items() if name != key}
    if not draft and key not in contents.items and not any(piece.pieces for piece in left.values()):
        return
    answer = await editor.api.send("DELETE", f"occurrence_items/{contents.ids[run, draft, key]}")
    if one.note(editor, answer, refused=one.is_closed(run), what=(run, draft, key[-4:])):
        del contents.ids[run, draft, key]
        del contents.lines[run, draft][key]


async def _commit(one: Mixed, editor: Editor) -> None:
    contents, coming = one.contents, one.plain.coming(AHEAD)
    drafted = sorted(run for run, draft in contents.lines if draft and run in coming and contents.lines[run, True])
    if not drafted:
        return
    run = one.chance.choice(drafted)
    if not any(piece.pieces for piece in contents.of(run, drafts=True).values()):
        return
    id_ = await _occurrence(editor, run)
    answer = await editor.api.update("occurrences", str(id_), {"_commit": True})
    if one.note(editor, answer, refused=one.is_closed(run), what=run):
        contents.commit(run)


async def _edit(one: Mixed, editor: Editor) -> None:
    """Another quantity, size or price of an item from now on."""
    contents = one.contents
    item, pieces = one.chance.choice([*contents.items]), one.chance.randint(1, 4)
    was, swap = contents.items[item], contents.swaps.get(item)
    if {was.sku, *(() if swap is None else (swap.sku,))} & one.shelf.gone:
        return
    wanted = Piece(was.sku, pieces, was.unit, _size(one, was.size), was.by_hand, _mode(one, editor, was.fixed))
    set_to, counts = _set_to(one, editor, was.unit), one.till.counts(wanted)
    anew = not editor.by_customer and set_to is None and one.chance.randrange(5) == 0
    line = one.repriced(was, wanted, editor, set_to, counts=counts)
    line = line.becomes(was.sku, one.shelf.price(was.sku, editor.now)) if anew else line
    sent = {**_sent(line, was, set_to), **({"_reprice": True} if anew else {})}
    answer = await editor.api.update("order_subscription_items", item, sent)
    if not one.note(editor, answer, what=(item[-4:], line, set_to, anew)):
        return
    if swap is not None:
        price = one.shelf.price(swap.sku, editor.now)
        before = was._replace(sku=swap.sku, unit=swap.unit, by_hand=False)
        then = one.repriced(before, line.becomes(swap.sku, swap.unit), editor, counts=counts)
        contents.swaps[item] = swap._replace(unit=price if anew else then.unit)
    contents.change(item, line)


async def _swap(one: Mixed, editor: Editor) -> None:
    """Another product in the place of an item, at once or from a run on; one that is ordered beside it is not."""
    contents = one.contents
    item, sku = one.chance.choice([*contents.items]), one.a_sku()
    since = None if one.chance.randrange(3) == 0 else one.a_run()
    own, swap = sku == contents.items[item].sku, contents.swaps.get(item)
    known = swap is not None and (swap.since, swap.sku) == (since, sku)
    refused = not own and not known and contents.is_ordered_beside(item, sku, since)
    refused = refused or (since is not None and one.is_closed(since))
    sent = {"_swap": sku, **({} if since is None else {"_swap_from": since})}
    answer = await editor.api.update("order_subscription_items", item, sent)
    if one.note(editor, answer, refused=refused, what=(item[-4:], sku, since)) and not known:
        contents.swap(item, None if own else sku, since, one.shelf.price(sku, editor.now))


async def _unswap(one: Mixed, editor: Editor) -> None:
    item = one.chance.choice([*one.contents.items])
    answer = await editor.api.update("order_subscription_items", item, {"_unswap": True})
    if one.note(editor, answer, what=item[-4:]):
        one.contents.swap(item, None, None)


async def _send_elsewhere(one: Mixed, editor: Editor) -> None:
    """Another address or another way to ship, or both, for one run."""
    run, address, way = one.a_run(), one.chance.choice([*one.addresses]), one.chance.choice([*one.shelf.ways, None])
    linked, what = _linked(one, address, way)
    known = await _occurrence(editor, run)
    if known is None:
        linked["order_subscription"] = to("order_subscriptions", editor.id_)
        document = resource("occurrences", {"occurrence_index": run}, linked)
        answer = await editor.api.send("POST", "occurrences", document)
    else:
        answer = await editor.api.update("occurrences", known, None, linked)
    # A run that nothing is asked of that isn't so already can't be too late.
    differs = ("shipping_address" in linked and one.goes_to.get(run) != one.addresses[address]) or (
        "shipping_method" in linked and one.ships_by.get(run) != way
    )
    if one.note(editor, answer, refused=one.is_closed(run) and (known is None or differs), what=(run, what)):
        if "shipping_address" in linked:
            one.goes_to[run] = one.addresses[address]
        if "shipping_method" in linked:
            one.ships_by.pop(run, None)
            one.ships_by |= {} if way is None else {run: way}


async def _move_house(one: Mixed, editor: Editor) -> None:
    """Another address or another way to ship, or both, for all runs."""
    address, way = one.chance.choice([*one.addresses]), one.chance.choice([*one.shelf.ways])
    linked, what = _linked(one, address, way)
    answer = await editor.api.update("order_subscriptions", editor.id_, None, linked)
    if one.note(editor, answer, what=what):
        one.address = one.addresses[address] if "shipping_address" in linked else one.address
        one.way = way if "shipping_method" in linked else one.way


def _linked(one: Mixed, address: str, way: str | None) -> tuple[Attributes, list[str | None]]:
    """What is sent of an address and a way to ship, or both, and the same to be told."""
    which = one.chance.choice(((True, False), (False, True), (True, True)))
    linked = {"shipping_address": to("addresses", address), "shipping_method": to("shipping_methods", way)}
    sent = {name: link for (name, link), chosen in zip(linked.items(), which, strict=True) if chosen}
    return sent, [told for told, chosen in zip((one.addresses[address], way), which, strict=True) if chosen]


async def _say(
    editor: Editor, run: int, attributes: Mapping[str, Any], item: str | None, *, draft: bool
) -> httpx2.Response:
    """Say something of a run."""
    linked = {"order_subscription": to("order_subscriptions", editor.id_)}
    if item is not None:
        linked["order_subscription_item"] = to("order_subscription_items", item)
    sent = {**attributes, "occurrence_index": run, "draft": draft}
    return await editor.api.send("POST", "occurrence_items", resource("occurrence_items", sent, linked))


async def _occurrence(editor: Editor, run: int) -> str | None:
    """The id of a run's row, where it has one."""
    found = await editor.api.get(f"order_subscriptions/{editor.id_}/occurrences?filter[occurrence_index]={run}")
    return str(found["data"][0]["id"]) if found["data"] else None


CONTENTS: Mapping[str, Callable[[Mixed, Editor], Awaitable[None]]] = {
    "add": _add,
    "alter": _alter,
    "alter again": _alter,
    "leave out another": _leave_out_another,
    "forget": _forget,
    "commit": _commit,
    "item": _edit,
    "swap": _swap,
    "swap later": _swap,
    "unswap": _unswap,
    "elsewhere": _send_elsewhere,
    "house": _move_house,
}
