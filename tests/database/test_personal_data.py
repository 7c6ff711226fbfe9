"""Every column of every table is marked: as personal, as secret, or as harmless. A new column has to decide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from schemas import kinds
from schemas.fields import HARMLESS, SECRET, Mark, Personal
from schemas.graph import graph
from schemas.resource import Resource
from schemas.tables import marks
from service.store.pool import Connection
from service.store.schema import QUEUE

COLUMNS = """
    select c.relname as table, a.attname as column
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    where c.relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema', 'pg_toast')
        and c.relkind in ('r', 'p', 'f', 'm')
        and not c.relispartition and a.attnum > 0 and not a.attisdropped
"""


async def undecided(connection: Connection) -> list[str]:
    """The columns of the database that nothing marks."""
    found = marks()
    rows = await connection.fetch(COLUMNS)
    return [f"{row['table']}.{row['column']}" for row in rows if found.get(row["table"], {}).get(row["column"]) is None]


async def test_every_column_is_marked(connection: Connection) -> None:
    assert await undecided(connection) == [], "say personal=, secret= or harmless= where they are declared, in schemas/"


async def test_every_mark_is_of_a_column(connection: Connection) -> None:
    there = {(row["table"], row["column"]) for row in await connection.fetch(COLUMNS)}
    assert {"orders", "pgqueuer"} <= {table for table, _ in there}, f"the tables of {QUEUE} are looked at too"
    assert {(table, column) for table, columns in marks().items() for column in columns} == there


async def test_a_new_column_and_a_new_table_are_noticed(connection: Connection) -> None:
    await connection.execute("begin")
    try:
        await connection.execute("alter table addresses add column birthday date")
        await connection.execute("create table diaries (store_id bigint, page text)")
        assert await undecided(connection) == ["addresses.birthday", "diaries.store_id", "diaries.page"]
    finally:
        await connection.execute("rollback")


@pytest.mark.parametrize("type_", graph)
def test_every_field_that_is_sent_or_shown_is_marked(type_: str) -> None:
    resource = graph[type_]
    fields = {**resource.attributes, **resource.triggers, **resource.disclosed}
    assert [name for name, field in fields.items() if field.mark is None] == []


def test_a_text_has_to_decide_and_a_number_is_harmless() -> None:
    undecided = [kinds.Text(), kinds.Url(), kinds.JsonObject(), kinds.JsonList(), kinds.TextList(), kinds.Float()]
    assert {field.mark for field in undecided} == {None}
    harmless = [
        kinds.Integer(),
        kinds.Cents(),
        kinds.Boolean(),
        kinds.Timestamp(),
        kinds.Enum("a"),
        kinds.CountryCode(),
    ]
    assert {field.mark for field in harmless} == {HARMLESS}
    assert kinds.Email().mark == Mark(Personal.EMAIL)


@pytest.mark.parametrize("options", [{"personal": Personal.NAME}, {"secret": True}])
def test_what_is_personal_or_secret_is_not_harmless(options: Mapping[str, Any]) -> None:
    with pytest.raises(TypeError, match="is not harmless"):
        kinds.Text(harmless=True, **options)


@pytest.mark.parametrize(
    ("column", "mark"),
    [
        # What was forgotten when a customer was erased (FM-148), and where each of them hides.
        ("addresses.metadata", Mark(Personal.WORDS)),
        ("orders.reference", Mark(Personal.WORDS)),
        ("orders.reference_origin", Mark(Personal.WORDS)),
        ("orders.return_url", Mark(Personal.WORDS)),
        ("line_items.options", Mark(Personal.WORDS)),
        ("cart_items.options", Mark(Personal.WORDS)),
        ("cart_items.options_digest", Mark(Personal.WORDS)),
        ("order_subscription_items.options", Mark(Personal.WORDS)),
        ("repeat_links.revoked_reason", Mark(Personal.WORDS)),
        ("order_factories.errors_log", Mark(Personal.WORDS)),
        ("access_tokens.name", Mark(Personal.WORDS)),
        ("idempotency_keys.body", Mark(Personal.WORDS)),
        ("idempotency_keys.principal", Mark(Personal.IDENTIFIER)),
        ("event_callbacks.payload", Mark(Personal.WORDS)),
        ("payment_attempts.detail", Mark(Personal.WORDS)),
        ("rate_limits.key", Mark(Personal.NETWORK)),
        # Credentials, also those that no client sees.
        ("carts.session", SECRET),
        ("carts.browser", Mark(Personal.DEVICE, secret=True)),
        ("stores.gateway_secret", SECRET),
        ("access_tokens.hash", SECRET),
        ("webhooks.shared_secret", SECRET),
        ("webhooks.previous_secret", SECRET),
        ("customer_payment_sources.payment_source_token", Mark(Personal.PAYMENT, secret=True)),
        ("customer_payment_sources.customer_token", Mark(Personal.PAYMENT, secret=True)),
        ("payment_attempts.source_token", Mark(Personal.PAYMENT, secret=True)),
        # Whose it is.
        ("orders.customer_id", Mark(Personal.IDENTIFIER)),
        ("customer_tags.customer_id", Mark(Personal.IDENTIFIER)),
        ("customer_tags.tag_id", Mark(Personal.PROFILE)),
        ("order_tags.tag_id", HARMLESS),
    ],
)
def test_what_is_easily_forgotten_is_marked(column: str, mark: Mark) -> None:
    table, _, name = column.partition(".")
    assert marks()[table][name] == mark


def test_what_opens_something_is_secret_wherever_it_is_shown_or_sent() -> None:
    def secrets(resource: type[Resource]) -> set[str]:
        fields = {**resource.attributes, **resource.triggers, **resource.disclosed}
        return {name for name, field in fields.items() if field.mark.secret}

    found = {type_: names for type_, resource in graph.items() if (names := secrets(resource))}
    assert found == {
        "tokens": {"token"},
        "api_clients": {"client_secret"},
        "carts": {"session"},
        "stores": {"_gateway_secret"},
        "orders": {"_payment_source_token"},
        "customer_payment_sources": {"payment_source_token", "customer_token"},
        "repeat_links": {"url"},
        "action_links": {"url"},
        "order_subscriptions": {"calendar_url"},
        "webhooks": {"shared_secret"},
        "exports": {"attachment_url"},
    }
