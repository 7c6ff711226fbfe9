"""A single delivery in the portal, also one further on that has no row yet: its page, and what its forms do."""

from __future__ import annotations

import asyncio
import html
import re
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from service.http.pages import deliveries
from service.principal import Store
from service.store.pool import Connection
from tests import factories
from tests.api.pressing import everything, link, nonce, press
from tests.factories import Line
from tests.faults.playing import Shop, on, short
from tests.spec.writing import offenders

NEXT, LATER = "1", "6"
WEEKS_AGO, DAYS = "2026-03-08 09:00", {NEXT: "2026-03-15", LATER: "2026-04-19"}
"""When the order was placed, and when these runs of each week take place. The later one has no row."""
MOVED = {NEXT: "2026-03-17", LATER: "2026-04-21"}
BOTH = pytest.mark.parametrize("run", [NEXT, LATER], ids=["next", "later"])


@dataclass(frozen=True)
class Portal:
    """A subscription's portal, with what can come along and another address to send it to."""

    shop: Shop
    client: httpx2.AsyncClient
    subscription: str
    path: str
    item: str
    mug: str
    work: str

    def form(self, do: str, run: str) -> dict[str, str]:
        """What a form of a run's page sends."""
        own: dict[str, dict[str, str]] = {
            "move": {"day": MOVED[run]},
            "add": {"sku": self.mug},
            "alter": {"line": self.item, "quantity": "5"},
            "send_once": {"address": self.work},
        }
        return {"do": do, "run": run, **own.get(do, {})}

    async def press(self, do: str, run: str, **fields: str) -> httpx2.Response:
        """Press a button on the page of a run."""
        return await press(self.client, f"{self.path}?delivery={run}", **self.form(do, run) | fields)

    async def occurrence(self, run: str) -> dict[str, Any]:
        """The run's row; nothing where it has none."""
        rows = await self.shop.occurrences(self.subscription)
        return next((one for one in rows if str(one["occurrence_index"]) == run), {})

    async def different(self) -> list[tuple[str, str, int]]:
        """What is different about single runs: the run, the sku and how many."""
        found = await self.shop.api.get(f"occurrence_items?filter[order_subscription]={self.subscription}&sort=id")
        lines = [one["attributes"] for one in found["data"]]
        return [(str(one["occurrence_index"]), one["sku_code"], one["quantity"]) for one in lines]


@pytest.fixture
async def portal(shop: Shop, client: httpx2.AsyncClient, connection: Connection, store: Store) -> Portal:
    id_ = await shop.subscribe(WEEKS_AGO, frequency="weekly")
    customer = await connection.fetchval("select customer_id from order_subscriptions where id = $1", id_)
    mug = await factories.sku(connection, store, price=850, stock=100)
    await factories.full_order(connection, store, [Line(mug)], customer_id=customer, placed_at=on("2026-02-01 09:00"))
    await factories.address(connection, store, customer_id=customer, line_1="Oudegracht 1")
    work = await factories.address(connection, store, customer_id=customer, line_1="Zadelstraat 2", city="Delft")
    (item,) = (await shop.api.get(f"order_subscriptions/{id_}/order_subscription_items"))["data"]
    assert (await shop.api.update("skus", shop.sku.id, {"substitute_sku_codes": [mug.code]})).status_code == 200
    path = (await link(shop, id_, "manage", expires_at="2026-06-01T00:00:00Z"))["path"]
    return Portal(shop, client, id_, path, item["id"], mug.code, work)


def problems(page: httpx2.Response) -> str:
    """What a page says that was refused."""
    return html.unescape(page.text.partition('role="alert"')[2].partition("</div>")[0])


async def test_looking_at_a_delivery_gives_it_no_row(portal: Portal, connection: Connection, store: Store) -> None:
    before = await everything(connection, store)
    listed = (await portal.client.get(portal.path)).text
    assert listed.count("?delivery=") == deliveries.RUNS
    for _ in range(50):
        page = await portal.client.get(f"{portal.path}?delivery={LATER}")
    assert "Delivery of Sunday 19 April 2026" in page.text
    for words in ("counts for this delivery only", "Add it once", "Move it", "Skip it", "Send this one there"):
        assert words in page.text
    dutch = (await portal.client.get(f"{portal.path}?delivery={LATER}", headers={"Accept-Language": "nl"})).text
    for words in ("Bezorging van zondag 19 april 2026", "Wat er meekomt", "Alle bezorgingen"):
        assert words in dutch
    assert await everything(connection, store) == before


@BOTH
@pytest.mark.parametrize(
    ("do", "says"),
    [
        ("skip", "is skipped."),
        ("move", "The delivery comes on "),
        ("add", "It comes along on "),
        ("alter", "is changed."),
        ("send_once", "goes to the other address."),
    ],
)
async def test_a_delivery_is_changed_alone(
    *, portal: Portal, connection: Connection, store: Store, run: str, do: str, says: str
) -> None:
    before = [one for one in await portal.shop.occurrences(portal.subscription) if str(one["occurrence_index"]) != run]
    done = await portal.press(do, run)
    assert done.status_code == 303
    page = (await portal.client.get(done.headers["location"])).text
    assert says in page.partition('role="status"')[2].partition("</p>")[0]
    row, after = await portal.occurrence(run), await portal.shop.occurrences(portal.subscription)
    assert row["status"] == ("skipped" if do == "skip" else "planned")
    assert short(row["scheduled_at"]) == f"{portal.form(do, run).get('day', DAYS[run])} 09:00"
    others = [one for one in after if str(one["occurrence_index"]) != run]
    # Where the next one is skipped, one more is planned.
    assert [one["scheduled_at"] for one in others][: len(before)] == [one["scheduled_at"] for one in before]
    different = {"add": [(run, portal.mug, 1)], "alter": [(run, portal.shop.sku.code, 5)]}
    assert await portal.different() == different.get(do, [])
    elsewhere = (await portal.shop.api.get(f"occurrences/{row['id']}/shipping_address"))["data"]
    assert (elsewhere and elsewhere["id"]) == (portal.work if do == "send_once" else None)
    told = await portal.shop.api.get("events?filter[actor_type]=action_links&page[size]=50")
    names = [one["attributes"]["name"] for one in told["data"]]
    assert names.count("occurrences.create") == (run == LATER)
    assert not await offenders(connection, store)


async def test_what_was_changed_long_before_is_ordered(portal: Portal) -> None:
    for do in ("add", "alter"):
        assert (await portal.press(do, LATER)).status_code == 303
    await portal.shop.wait_until("2026-04-20 00:00")
    orders = await portal.shop.api.get(f"order_subscriptions/{portal.subscription}/orders?sort=created_at")
    amounts = [one["attributes"]["subtotal_amount_cents"] for one in orders["data"]]
    assert amounts == [3800] * 5 + [5 * 1900 + 850]


@BOTH
async def test_a_skipped_delivery_says_so_and_comes_after_all(portal: Portal, run: str) -> None:
    assert (await portal.press("skip", run)).status_code == 303
    page = (await portal.client.get(f"{portal.path}?delivery={run}")).text
    assert "Deliver after all" in page
    assert "Move it" not in page
    assert (await portal.press("unskip", run)).status_code == 303
    assert (await portal.occurrence(run))["status"] == "planned"


@BOTH
@pytest.mark.parametrize("do", ["skip", "move", "add", "alter", "send_once"])
async def test_presses_at_once_do_it_once(portal: Portal, run: str, do: str) -> None:
    """Also by two links: there is one row, and whoever comes later finds it."""
    paths = [portal.path, (await link(portal.shop, portal.subscription, "manage"))["path"]]
    forms = [portal.form(do, run) | {"nonce": nonce(await portal.client.get(path))} for path in paths]
    sent = [*zip(paths, forms, strict=True)] * 2
    answers = await asyncio.gather(*(portal.client.post(path, data=form) for path, form in sent))
    assert {answer.status_code for answer in answers} <= {303, 409, 422}, [one.status_code for one in answers]
    assert 303 in {answer.status_code for answer in answers}
    rows = [one["occurrence_index"] for one in await portal.shop.occurrences(portal.subscription)]
    assert rows.count(int(run)) == 1
    assert len(await portal.different()) <= 1
    told = await portal.shop.api.get("events?filter[name]=occurrences.create")
    assert len(told["data"]) == (run == LATER)


@BOTH
@pytest.mark.parametrize(
    ("do", "fields", "says"),
    [
        ("move", {"day": "2020-01-01"}, "The delivery can't be on that day. Choose one from"),
        ("move", {"day": "soon"}, "The delivery can't be on that day."),
        ("add", {"sku": "LAWNMOWER"}, "That can't be ordered then."),
        ("add", {"sku": ""}, "That can't be ordered then."),
        ("alter", {"quantity": "1e9"}, "Choose a quantity from 0 to 9999."),
        ("alter", {"line": "nobodys"}, "That can't be ordered then."),
        ("alter", {"quantity": "0"}, "That can't be ordered then."),
        ("as_always", {"line": "nobodys"}, "That can't be ordered then."),
        ("send_once", {"address": "nobodys"}, "That can't be done here."),
    ],
)
async def test_what_is_refused_leaves_no_row_and_keeps_the_page(
    *,
    portal: Portal,
    connection: Connection,
    store: Store,
    run: str,
    do: str,
    fields: dict[str, str],
    says: str,
) -> None:
    before = await everything(connection, store)
    refused = await portal.press(do, run, **fields)
    assert 400 <= refused.status_code < 500
    assert says in problems(refused)
    assert "Delivery of " in refused.text
    assert await everything(connection, store) == before


@pytest.mark.parametrize("run", ["0", "7", "-1", "+6", "6.0", "\N{ARABIC-INDIC DIGIT SIX}", "9" * 40, "six", "\0", ""])
async def test_what_is_none_of_the_deliveries_is_not_found(
    portal: Portal, connection: Connection, store: Store, run: str
) -> None:
    before = await everything(connection, store)
    for do in ("skip", "move", "add"):
        refused = await press(portal.client, portal.path, **portal.form(do, LATER) | {"run": run})
        assert (refused.status_code, "There is no such" in problems(refused)) == (404, True)
    page = await portal.client.get(portal.path, params={"delivery": run})
    assert page.status_code == 404
    assert "Next deliveries" in page.text
    assert await everything(connection, store) == before


async def test_the_delivery_of_somebody_else_is_not_found(
    portal: Portal, client: httpx2.AsyncClient, connection: Connection, store: Store
) -> None:
    other = await portal.shop.subscribe(WEEKS_AGO, frequency="weekly")
    foreign = [one["id"] for one in await portal.shop.occurrences(other)]
    before = await everything(connection, store)
    for id_ in foreign:
        assert (await press(client, portal.path, do="skip", run=id_)).status_code == 404
        assert (await client.get(f"{portal.path}?delivery={id_}")).status_code == 404
    assert await everything(connection, store) == before


@BOTH
@pytest.mark.parametrize("do", ["skip", "move", "add", "alter", "send_once"])
@pytest.mark.parametrize(
    ("since", "still"), [("ordered", "Next deliveries"), ("cancelled", "This subscription has ended")]
)
async def test_a_page_that_stayed_open_changes_nothing_of_what_is_over(
    *, portal: Portal, connection: Connection, store: Store, run: str, do: str, since: str, still: str
) -> None:
    """It says so, and shows what can be done instead."""
    path = f"{portal.path}?delivery={run}"
    form = portal.form(do, run) | {"nonce": nonce(await portal.client.get(path))}
    if since == "cancelled":
        assert (await press(portal.client, portal.path, do="cancel")).status_code == 303
    elif run == LATER:
        await portal.shop.wait_until("2026-04-20 00:00")
    else:
        assert (await press(portal.client, portal.path, do="order_now")).status_code == 303
    before = await everything(connection, store)
    refused = await portal.client.post(path, data=form)
    assert (refused.status_code, "There is no such" in problems(refused)) == (404, True)
    assert still in refused.text
    assert await everything(connection, store) == before


@BOTH
async def test_a_page_that_stayed_open_is_about_the_same_delivery_where_it_was_moved(portal: Portal, run: str) -> None:
    path = f"{portal.path}?delivery={run}"
    form = portal.form("alter", run) | {"nonce": nonce(await portal.client.get(path))}
    assert (await portal.press("move", run)).status_code == 303
    assert (await portal.client.post(path, data=form)).status_code == 303
    assert await portal.different() == [(run, portal.shop.sku.code, 5)]
    assert short((await portal.occurrence(run))["scheduled_at"]) == f"{portal.form('move', run)['day']} 09:00"


@pytest.mark.parametrize("do", ["skip", "move", "add", "alter", "send_once", "look"])
async def test_what_is_settled_already_says_until_which_day_it_could_be_changed(portal: Portal, do: str) -> None:
    """On a page that was opened before; in the words of the page, not in those of the API, which gives an instant."""
    path = f"{portal.path}?delivery={NEXT}"
    opened = nonce(await portal.client.get(path))
    assert (await portal.shop.tell(portal.subscription, cutoff_hours=200))["cutoff_hours"] == 200
    assert (await portal.press(do, LATER)).status_code in (200, 303)
    swap = {"amend": "swap", "item": portal.item, "sku": portal.mug, "from": NEXT, "only": "1"} if do == "look" else {}
    refused = await portal.client.post(path, data={"nonce": opened, **portal.form(do, NEXT), **swap})
    assert refused.status_code == 409
    assert "This delivery could be changed until Saturday 7 March 2026." in problems(refused)
    assert "2026-03" not in problems(refused)


@pytest.mark.parametrize("skipped", [False, True])
async def test_what_is_settled_has_no_buttons(portal: Portal, *, skipped: bool) -> None:
    """It can only be ordered now; the delivery after it can be changed as always."""
    said = "This delivery can't be changed any more."
    if skipped:
        assert (await portal.press("skip", NEXT)).status_code == 303
    one, all_ = f"{portal.path}?delivery={NEXT}", portal.path
    assert [said in html.unescape((await portal.client.get(path)).text) for path in (one, all_)] == [False, False]
    assert (await portal.shop.tell(portal.subscription, cutoff_hours=200))["cutoff_hours"] == 200
    page, pages = [html.unescape((await portal.client.get(path)).text) for path in (one, all_)]
    assert said in page
    assert 'name="do"' not in page
    assert pages.count(said) == 1
    assert not re.search(rf'name="run" value="{NEXT}"|delivery={NEXT}"|<option value="{NEXT}">', pages)
    assert f'name="run" value="{int(NEXT) + 1}"' in pages
