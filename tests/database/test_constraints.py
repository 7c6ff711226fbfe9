"""Constraints become API errors: their columns are known, and their names are read as sentences."""

from __future__ import annotations

import asyncpg
import pytest

from schemas.graph import graph
from schemas.relationships import ToOne
from service.resources import RESOURCES
from service.store.constraints import broken, catalogue, fields
from service.store.pool import Connection
from service.texts import LANGUAGES
from service.texts import catalogue as sentences


async def test_the_columns_of_constraints_and_unique_indexes(connection: Connection) -> None:
    known = await catalogue(connection)
    assert known["one_customer_per_email"].columns == ("email",)
    assert known["one_active_cart_per_customer"].columns == ("customer_id",)
    assert set(known["addresses_name_a_person_or_a_business"].columns) == {
        "business",
        "company",
        "first_name",
        "last_name",
    }
    assert fields(graph["carts"], known["one_active_cart_per_customer"]) == ["customer"]
    assert fields(graph["customers"], known["customer_tags_belong_to_a_tag"]) == ["tags"]


@pytest.mark.parametrize("type_", graph)
async def test_every_rule_about_what_clients_write_names_a_field(connection: Connection, type_: str) -> None:
    """A rule that names no field could only point at the whole resource."""
    resource = graph[type_]
    kept = set(resource.columns())
    for constraint in (await catalogue(connection)).values():
        if constraint.table == resource.table and kept & set(constraint.columns):
            assert fields(resource, constraint), constraint.name


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ('duplicate key value violates unique constraint "one_customer_per_email_102010"', "one_customer_per_email"),
        (
            'new row for relation "tags_102086" violates check constraint "tags_have_a_plain_name"',
            "tags_have_a_plain_name",
        ),
        (
            'violates foreign key constraint "order_subscription_items_belong_to_an_orde_1f2e3d4c_102090"',
            "order_subscription_items_belong_to_an_order_subscription",
        ),
        ('null value in column "id" of relation "tags_102086" violates not-null constraint', ""),
        ('duplicate key value violates unique constraint "ours_not_102010"', ""),
    ],
)
async def test_the_message_of_a_node_names_a_constraint(connection: Connection, message: str, name: str) -> None:
    error = asyncpg.IntegrityConstraintViolationError()
    error.message = message
    assert broken(await catalogue(connection), error) == name


_RULES = """
    select conname from pg_constraint
    where connamespace = current_schema()::regnamespace and contype in ('c', 'u')
    union all
    select relname from pg_class join pg_index on indexrelid = pg_class.oid
    where relnamespace = current_schema()::regnamespace and indisunique and not indisprimary
"""


@pytest.mark.parametrize("language", LANGUAGES[1:])
async def test_rules_that_clients_can_break_are_said_in_every_language(connection: Connection, language: str) -> None:
    """Rules about one field alone are kept by its kind, in words of its own, but for that nothing is there twice."""
    written: set[tuple[str, str]] = set()
    for resource in (entry.resource for entry in RESOURCES.values() if entry.update):
        written |= {(resource.table, field.column) for field in resource.attributes.values() if field.write}
        written |= {
            (resource.table, found.column)
            for found in resource.relationships.values()
            if isinstance(found, ToOne) and found.write
        }
    known, names = await catalogue(connection), {row[0] for row in await connection.fetch(_RULES)}
    rules = {
        rule.name.replace("_", " ")
        for rule in known.values()
        if rule.name in names
        and any((rule.table, column) in written for column in rule.columns)
        and (len(rule.columns) > 1 or rule.name.startswith("one_"))
    }
    assert "one customer per email" in rules
    assert {rule for rule in rules if not sentences(language).get(rule)} == set()
