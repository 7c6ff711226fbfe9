"""What would stand in the way on other engines: the page says all of it."""

from __future__ import annotations

import pytest

from tests.database import sharding
from tests.processes import ROOT


def test_the_page_lists_every_obstacle() -> None:
    """A new one has to be listed: `python -m tests.database.sharding docs/explanation/scale.md`."""
    page = (ROOT / "docs" / "explanation" / "scale.md").read_text()
    assert page.partition(sharding.BEGIN)[2].partition(sharding.END)[0] == sharding.table()


@pytest.mark.parametrize(
    ("what", "place"),
    [
        ("statements on all stores", "copies/copies.abandoned"),
        ("tables of no store", "pgqueuer"),
        ("numbers of transactions", "events/events.horizon"),
        ("foreign keys", "reorders_fill_a_known_cart"),
        ("foreign keys", "stores_keep_the_time_of_a_test_clock"),
        ("row locks", "carts/carts.lock"),
        ("columns of JSON and lists", "stores.policies"),
        ("columns of JSON and lists", "promotions.sku_codes"),
        ("collations named in tables", "stores.id"),
        ("indexes of some rows, or of expressions", "one_key_signs"),
        ("several definitions in one transaction", "0001_tenant"),
    ],
)
def test_obstacles_are_found(what: str, place: str) -> None:
    assert place in set(next(one for one in sharding.BLOCKERS if one.what == what).where())
