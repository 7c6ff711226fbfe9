"""Constraints become API errors: their columns are known, and their names are read as sentences."""

from __future__ import annotations

import pytest

from schemas.base import graph
from service.store.constraints import catalogue, fields
from service.store.pool import Connection


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
