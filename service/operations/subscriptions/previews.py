"""What a change to a subscription would lead to: its next runs, as the change leaves them.

A preview is the change itself, in a transaction that is rolled back: it is refused as the change would be, and shows
what the change would do. `digest` stands for what was shown. A change that names it as `expected_digest` is done only
if it leads to the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import orjson

from service.errors import PreviewStale
from service.jsonapi.body import Draft
from service.operations.generic.change import Change
from service.operations.generic.writing import Deferred, Writer
from service.operations.subscriptions import forecasts
from service.operations.subscriptions.forecasts import Forecast, Run
from service.principal import Store
from service.store.pool import Connection

RUNS: Final = 3
"""How many of the runs to come a preview shows."""
EXPECTED: Final = "expected_digest"
"""What a change names the digest of its preview by."""
FROM: Final = "_swap_from"
"""What names the run from which on a change counts: its preview shows the runs from there on, if that is further on."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a subscription does next, once something is changed.

    `short` are the codes of skus of which the next run needs more than there are now.
    """

    subscription_id: str
    forecast: Forecast
    short: Sequence[str]
    digest: str


def asked_of(draft: Draft) -> list[object]:
    """What was asked for in a draft."""
    asked = {**draft.attributes, **draft.triggers}
    asked.pop(EXPECTED, None)
    return [draft.resource.type_, draft.id, asked, draft.relationships]


async def look(
    connection: Connection, store: Store, subscription_id: str, asked: Sequence[object], index: int | None = None
) -> Preview:
    """What follows from a change that was done in this transaction; `asked` says which one it was.

    Shown are the runs to come, or those from `index` on where the change begins after them.
    """
    found = await forecasts.look(connection, store, subscription_id, None, size=RUNS)
    if index is not None and found.runs and found.runs[-1].entry.index < index:
        found = await forecasts.look(connection, store, subscription_id, None, size=RUNS, index=index)
    following = next((run.estimate for run in found.runs if run.estimate is not None), None)
    short = [] if following is None else following.short
    told = [*asked, short, [_told(run) for run in found.runs]]
    written = orjson.dumps(told, default=str, option=orjson.OPT_SORT_KEYS)
    return Preview(subscription_id, found, short, hashlib.sha256(written).hexdigest())


class Previewed(Writer):
    """Writers of what can be previewed: a change that names a digest is held to it once all that follows is written."""

    async def _finish(self, change: Change, deferred: Deferred | None) -> None:
        """What others leave for later is done at once for such a change, since what it leads to is looked at."""
        expected = change.draft.triggers.get(EXPECTED)
        await super()._finish(change, deferred if expected is None else None)
        if expected is not None:
            await _check(change, expected)


async def _check(change: Change, expected: str) -> None:
    """Hold a change that was done to the digest of its preview. Raises PreviewStale where it leads elsewhere."""
    subscription_id = change.whole["id"] if change.whole else change.id
    index = change.draft.triggers.get(FROM)
    hold(await look(change.connection, change.store, subscription_id, asked_of(change.draft), index), expected)


def hold(fresh: Preview, expected: str | None) -> None:
    """Raise PreviewStale for a preview that differs from the one of a digest; None expects nothing."""
    if expected is not None and fresh.digest != expected:
        raise PreviewStale(
            "What this change leads to has changed since its preview.",
            fields=(EXPECTED,),
            meta={"digest": fresh.digest},
        )


@asynccontextmanager
async def undone(connection: Connection) -> AsyncIterator[None]:
    """Undo what is done within, whatever comes of it."""
    rehearsal = connection.transaction()
    await rehearsal.start()
    try:
        yield
    finally:
        await rehearsal.rollback()


def _told(run: Run) -> list[object]:
    """What a client is shown of a run."""
    estimate = run.estimate
    worked_out = [] if estimate is None else [estimate.total, estimate.told(), estimate.messages]
    return [run.entry.index, run.entry.status, run.entry.scheduled_at, run.needs_approval, *worked_out]
