"""What the items of a new subscription cost today."""

from __future__ import annotations

from service import clock
from service.operations.copies import priced, runs
from service.principal import Store
from service.store.pool import Connection
from service.store.statements import Command

_REPRICE = Command("subscriptions/items.reprice")


async def take_todays(connection: Connection, store: Store, subscription_id: str) -> None:
    """Give the items of a subscription today's prices. One that can't be bought today keeps the price that it has."""
    terms = await runs.terms_of_run(connection, store, subscription_id)
    of = runs.Of(subscription_id)
    items = (await runs.items_of(connection, store, [of])).get(of, [])
    catalogue = await runs.catalogue_of(connection, store, items, terms.basis, clock.now(store))
    wanted = priced.wanted(items, catalogue, runs.Run(terms, place=False))
    found = [(one.item.id, one.price.amount_cents) for one in wanted if one.price]
    ids, units = [id_ for id_, _ in found], [unit for _, unit in found]
    await _REPRICE(connection, store=store.id, items=ids, unit_amounts_cents=units)
