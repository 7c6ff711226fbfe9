"""A shop whose time is moved by hand, and whose worker is this process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2

from service.jobs.advance import AdvanceJob
from service.jobs.copy import CopyJob
from service.jobs.pay import PaymentJob
from service.principal import Store
from service.store.pool import Connection, Database
from tests import factories
from tests.factories import Line
from tests.gateways import nearby
from tests.jobs.playing import freeze, said
from tests.spec.writing import Api, to


def on(text: str) -> datetime:
    """An instant as tests write it: `2026-01-31 09:00`, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _often(attributes: dict[str, Any]) -> dict[str, Any]:
    """Monthly, unless something else is said."""
    return attributes if attributes.keys() & {"frequency", "interval_unit"} else {"frequency": "monthly"} | attributes


@dataclass
class Shop:
    """A store on a test clock, with a sku."""

    api: Api
    database: Database
    connection: Connection
    store: Store
    clock_id: str
    sku: factories.Sku

    @classmethod
    async def open(cls, api: Api, database: Database, connection: Connection, store: Store, at: str) -> Shop:
        """Open it at an instant."""
        frozen = await freeze(api, store, on(at))
        sku = await factories.sku(connection, store, price=1900, stock=1000)
        return cls(api, database, connection, store, frozen["id"], sku)

    async def subscribe(self, placed_at: str, **attributes: Any) -> str:
        """A subscription of an order that was placed then; gives the id."""
        order_id = await factories.full_order(self.connection, self.store, [Line(self.sku, 2)], placed_at=on(placed_at))
        made = await self.api.create(
            "order_subscriptions", _often(attributes), {"source_order": to("orders", order_id)}
        )
        return str(made["id"])

    async def wait_until(self, at: str) -> None:
        """Let time pass, with all that falls due on the way."""
        asked = await self.api.update("test_clocks", self.clock_id, {"_advance_to": said(on(at))})
        assert asked.status_code == 200, asked.text
        job = AdvanceJob(self.database, CopyJob(self.database), PaymentJob(self.database, nearby()))
        await job.go_on(self.store.id, self.clock_id)

    async def edit(self, id_: str, **attributes: Any) -> httpx2.Response:
        """Change a subscription; times are written as tests write them."""
        sent = {
            name: said(on(value)) if name.endswith(("_at", "_until")) and isinstance(value, str) else value
            for name, value in attributes.items()
        }
        return await self.api.update("order_subscriptions", id_, sent)

    async def tell(self, id_: str, **attributes: Any) -> dict[str, Any]:
        """The subscription's attributes after a change that is taken."""
        answer = await self.edit(id_, **attributes)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"]["attributes"])

    async def look(self, id_: str) -> dict[str, Any]:
        """The subscription's attributes."""
        return dict((await self.api.get(f"order_subscriptions/{id_}"))["data"]["attributes"])

    async def occurrences(self, id_: str) -> list[dict[str, Any]]:
        """Its occurrences in their order: the attributes with their ids."""
        found = await self.api.get(f"order_subscriptions/{id_}/occurrences?sort=occurrence_index&page[size]=100")
        return [{"id": one["id"], **one["attributes"]} for one in found["data"]]

    async def ledger(self, id_: str) -> list[tuple[str, str, str | None]]:
        """When they run, what became of them and why."""
        return [(short(one["scheduled_at"]), one["status"], one["reason"]) for one in await self.occurrences(id_)]

    async def ordered(self, id_: str) -> list[str]:
        """When its orders were made."""
        found = await self.api.get(f"order_subscriptions/{id_}/orders?sort=created_at")
        return [short(one["attributes"]["created_at"]) for one in found["data"]]

    async def dates(self, id_: str, number: int) -> list[str]:
        """When it will run."""
        found = await self.api.get(f"order_subscriptions/{id_}/forecast?page[size]={number}")
        return [short(one["attributes"]["scheduled_at"]) for one in found["data"]]


def short(text: str | None) -> str:
    """An instant of a document as tests write it."""
    return "" if text is None else text[:16].replace("T", " ")
