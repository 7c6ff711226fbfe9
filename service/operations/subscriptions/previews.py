"""What a change to a subscription would lead to: its next runs, as the change leaves them.

A preview is the change itself, in a transaction that is rolled back: it is refused as the change would be, and shows
what the change would do. `digest` stands for what was shown. A change that names it as `expected_digest` is done only
if it leads to the same.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from service.errors import PreviewStale
from service.jsonapi.body import Draft
from service.operations.generic.change import Change
from service.operations.subscriptions import forecasts
from service.operations.subscriptions.estimates import Estimate
from service.operations.subscriptions.forecasts import Forecast, Run
from service.principal import Store
from service.store.pool import Connection

RUNS: Final = 3
"""How many of the runs to come a preview shows."""
EXPECTED: Final = "expected_digest"
"""What a change names the digest of its preview by."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a subscription does next, once something is changed.

    `short` are the codes of skus of which the next run needs more than there are now.
    """

    subscription_id: str
    forecast: Forecast
    short: Sequence[str]
    digest: str


async def look(connection: Connection, store: Store, subscription_id: str, draft: Draft) -> Preview:
    """What follows from a change that was done in this transaction, as it was sent in a draft."""
    found = await forecasts.look(connection, store, subscription_id, None, offset=0, size=RUNS)
    following = next((run.estimate for run in found.runs if run.estimate is not None), None)
    short = [] if following is None else _short(following)
    asked = {**draft.attributes, **draft.triggers}
    asked.pop(EXPECTED, None)
    told = [draft.resource.type_, draft.id, asked, draft.relationships, short, [_told(run) for run in found.runs]]
    written = orjson.dumps(told, default=str, option=orjson.OPT_SORT_KEYS)
    return Preview(subscription_id, found, short, hashlib.sha256(written).hexdigest())


async def check(change: Change) -> None:
    """Hold a change that was done to the digest of its preview. Raises PreviewStale where it leads elsewhere."""
    expected = change.draft.triggers.get(EXPECTED)
    if expected is None:
        return
    fresh = await look(change.connection, change.store, change.whole["id"], change.draft)
    if fresh.digest != expected:
        raise PreviewStale(
            "What this change leads to has changed since its preview.",
            fields=(EXPECTED,),
            meta={"digest": fresh.digest},
        )


def _told(run: Run) -> list[object]:
    """What a client is shown of a run."""
    estimate = run.estimate
    worked_out = [] if estimate is None else [estimate.total, estimate.told(), estimate.messages]
    return [run.entry.index, run.entry.status, run.entry.scheduled_at, run.needs_approval, *worked_out]


def _short(estimate: Estimate) -> list[str]:
    needed: Counter[str] = Counter()
    for one in estimate.lines:
        if one.problem is None and one.outcome.item is not None:
            needed[one.outcome.item.sku_id] += one.outcome.resulting_quantity
    known = {one.outcome.item.sku_id: one.outcome.item for one in estimate.lines if one.outcome.item is not None}
    return sorted(item.code for id_, item in known.items() if item.stock is not None and needed[id_] > item.stock)
