"""What the portal says after a press, since the page looks much the same then, and what changed may be far down.

The answer to a press is a redirect, so the page is told by its URL what was done. The words are ours, whatever the URL
says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from service.operations.subscriptions.overviews import Coming
from service.operations.subscriptions.swaps import Item
from service.texts import Phrase

_OF_RUN: Final[Mapping[str, Phrase]] = {
    "skip": Phrase("The delivery of {day} is skipped."),
    "unskip": Phrase("The delivery of {day} comes after all."),
    "move": Phrase("The delivery comes on {day} now."),
    "add": Phrase("It comes along on {day}."),
    "alter": Phrase("The delivery of {day} is changed."),
    "as_always": Phrase("The delivery of {day} is changed."),
    "swap_once": Phrase("It is swapped, in the delivery of {day} only."),
    "send_once": Phrase("The delivery of {day} goes to the other address."),
}
"""What was done to one run."""

_OF_ALL: Final[Mapping[str, Phrase]] = {
    "delay": Phrase("The next delivery comes later."),
    "order_now": Phrase("It is ordered."),
    "settle": Phrase("It is paid."),
    "unswap": Phrase("It is not swapped."),
    "swap": Phrase("It is swapped, from the next delivery on."),
    "send": Phrase("The next deliveries go there."),
    "pay": Phrase("The next deliveries are paid with it."),
    "resume": Phrase("The deliveries go on."),
    "activate": Phrase("The deliveries go on."),
    "keep": Phrase("The deliveries go on."),
    "amend": Phrase("It is changed, for all deliveries to come."),
}
"""What was done to the subscription, where nothing else on the page says so."""


def told(form: Mapping[str, str]) -> str:
    """The query by which the next page says what a button did: `?done=skip&run=…`; empty where it says so anyhow."""
    done = form.get("do", "")
    if done == "amend" and form.get("amend") == "swap":
        done = "swap_once" if form.get("only") else "swap"
    if done in _OF_RUN:
        run = form.get("from" if done == "swap_once" else "run", "")
        return "?" + urlencode({"done": done, "run": run})
    # A swap that begins later is shown beside its product.
    later = done == "swap" and form.get("from")
    return "?" + urlencode({"done": done}) if done in _OF_ALL and not later else ""


def message(
    query: Mapping[str, str], runs: Iterable[Coming], day: Callable[[datetime], str]
) -> tuple[Phrase, Mapping[str, str]] | None:
    """What to say of the last press and what to put into it; None where the URL names nothing that is known."""
    done = query.get("done", "")
    if done in _OF_ALL:
        return _OF_ALL[done], {}
    run = next((run for run in runs if str(run.index) == query.get("run")), None)
    return None if run is None or done not in _OF_RUN else (_OF_RUN[done], {"day": day(run.at)})


def differs(run: Coming, items: Sequence[Item]) -> bool:
    """Whether something else comes with a run than the subscription orders each time."""
    if run.total_amount_cents is None:
        return False
    return {(line.id, line.name, line.quantity) for line in run.lines} != {
        (item.id, item.name, item.quantity) for item in items
    }
