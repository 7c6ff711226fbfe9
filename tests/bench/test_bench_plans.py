"""The short form of `make plans`: a store of 3 000 orders costs no operation much more than one of 300."""

from __future__ import annotations

import pytest

from tests.bench import plans

SMALL, LARGE = 300, 3_000

FACTOR, SPARE = 1.4, 40
"""What may be more in the large store: indexes are a level deeper, and a page more is filled here and there."""

ONE_AFTER_THE_OTHER = ("first page of orders by cursor", "counted page of orders", "page of events")
"""Without statistics Postgres takes a store for a two-hundredth of all rows, and sorts what it then finds. That ends
with the first look of autovacuum, and grows no further beyond some ten thousand rows."""


@pytest.mark.timeout(280)
async def test_the_buffers_of_hot_operations_do_not_grow_with_the_store(server_url: str) -> None:
    grown = await _grown(server_url)
    if grown:
        # Autovacuum looks after the catalogues of a database at any time, and is counted: what it does isn't repeated.
        again = await _grown(server_url)
        grown = {one: counts for one, counts in again.items() if one in grown}
    assert not grown


async def _grown(server_url: str) -> dict[tuple[str, str], tuple[int, int]]:
    """What touches more in the large store, by operation and state: so much in the small one, so much in the large."""
    found = {orders: await plans.count(server_url, orders, plans.STATES) for orders in (SMALL, LARGE)}
    return {
        (name, state): (small, large)
        for state in plans.STATES
        for name, small in found[SMALL][state].items()
        if (large := found[LARGE][state][name]) > FACTOR * small + SPARE
        and not (state == "fresh" and name in ONE_AFTER_THE_OTHER)
    }
