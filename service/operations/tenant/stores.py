"""Stores, the tenants: what a shop sets of its own."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import orjson

from schemas.failures import UNPAID_POLICIES
from schemas.kinds import render_timestamp
from service.errors import Invalid, InvalidState
from service.gateways.signing import is_secret
from service.operations.generic.change import Change
from service.operations.generic.outside import check_url
from service.operations.generic.writing import Writer
from service.rules.ladders import POLICY, UNPAID, is_ladder
from service.store import notices
from service.store.statements import One
from service.texts import Either


class Stores(Writer):
    """Stores: only one in test mode can keep the time of a test clock."""

    async def before_write(self, change: Change) -> None:
        """Check clock, gateway and policies."""
        if change.sets("test_clock_id") and change.value("test_clock_id") is not None and change.store.mode != "test":
            change.problems.append(
                Invalid("test_clock - is for stores in test mode", pointer=change.draft.pointer("test_clock"))
            )
        await _check_time(change)
        check_url(change, "gateway_url")
        _take_secret(change)
        policies = orjson.loads(change.value("policies"))
        if change.sets("policies") and policies.get(UNPAID) not in (None, *UNPAID_POLICIES):
            change.problems.append(
                Invalid(
                    "policies - {name} must be {choices}",
                    name=UNPAID,
                    choices=Either(UNPAID_POLICIES),
                    pointer=change.draft.pointer("policies"),
                )
            )
        if change.sets("policies") and not is_ladder(policies.get(POLICY, [])):
            change.problems.append(
                Invalid(
                    "policies - {name} must be at most 10 whole numbers of hours from 1 to 720",
                    name=POLICY,
                    pointer=change.draft.pointer("policies"),
                )
            )

    async def after_write(self, change: Change) -> None:
        """Have every process learn anew what it knows of the store, which it knows with its tokens."""
        await notices.forget(change.connection, change.store.id)


async def _check_time(change: Change) -> None:
    """Time doesn't go back: what a store's clock, or its subscriptions, have seen isn't seen again."""
    clock_id: str | None = change.value("test_clock_id")
    found = None
    if change.sets("test_clock_id") and clock_id is not None:
        found = await _CLOCK(change.connection, store=change.store.id, clock=clock_id)
    if found is None:
        return
    seen = [at for at in (change.store.frozen_at, found.last_run_at) if at is not None and at > found.frozen_at]
    if seen:
        change.problems.append(
            InvalidState(
                "The store has seen {seen}, the clock stands at {at}: advance the clock to then, or take a later one.",
                seen=render_timestamp(max(seen)),
                at=render_timestamp(found.frozen_at),
                pointer=change.draft.pointer("test_clock"),
            )
        )


def _take_secret(change: Change) -> None:
    secret: str | None = change.draft.triggers.get("_gateway_secret")
    if secret is None:
        return
    if is_secret(secret):
        change.columns["gateway_secret"] = secret
    else:
        change.problems.append(
            Invalid(
                "_gateway_secret - must be whsec_ followed by 24 to 64 bytes in base64",
                pointer=change.draft.pointer("_gateway_secret"),
            )
        )


class _Clock(NamedTuple):
    frozen_at: datetime
    last_run_at: datetime | None


_CLOCK = One("tenant/stores.clock", _Clock)
