"""What single families of resource types add to the general kinds: names of addresses, options of skus, bounds."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import ValidationError

from schemas.graph import graph
from schemas.parties import full_address, full_name, name_and_address

PERSON = (False, "Ignored Inc.", "John", "Smith")
COMPANY = (True, "The Red Brand Inc.", "John", "Smith")
NAMELESS = (False, None, None, "Smith")
PLACE = ("2883 Geraldine Lane", "Apt.23", "10013", "New York", "NY", "US", "(212) 646-338-1228")


def field(type_: str, name: str) -> Any:
    return graph[type_]().fields[name]


def test_addresses_are_named_as_commerce_layer_names_them() -> None:
    assert full_name(*PERSON) == "John Smith"
    assert full_name(*COMPANY) == "The Red Brand Inc."
    assert full_address(*PLACE) == "2883 Geraldine Lane Apt.23, 10013 New York NY (US) (212) 646-338-1228"
    assert name_and_address(*PERSON, *PLACE) == f"John Smith, {full_address(*PLACE)}"


def test_addresses_without_the_optional_parts_have_no_gaps() -> None:
    assert full_address("Markt 1", None, None, "Delft", "", "NL", None) == "Markt 1, Delft (NL)"
    assert full_name(*NAMELESS) == "Smith"


@pytest.mark.parametrize(
    "options",
    [
        [],
        [{"name": "size"}],
        [{"name": "size", "required": True, "values": ["S", "M"]}, {"name": "engraving", "required": False}],
    ],
)
def test_options_of_skus_are_taken(options: list[Any]) -> None:
    assert field("skus", "options").deserialize(options) == options


@pytest.mark.parametrize(
    "options",
    [
        ["size"],
        [{}],
        [{"name": 1}],
        [{"name": "size"}, {"name": "size"}],
        [{"name": "size", "required": "yes"}],
        [{"name": "size", "values": "S"}],
        [{"name": "size", "values": [1]}],
        [{"name": "size", "default": "S"}],
    ],
)
def test_options_of_skus_that_nobody_could_choose_are_refused(options: list[Any]) -> None:
    with pytest.raises(ValidationError, match="must be a list of objects with a name"):
        field("skus", "options").deserialize(options)


@pytest.mark.parametrize(
    ("type_", "name", "inside", "outside"),
    [
        ("skus", "tax_rate", (0, 0.21, 1), (-0.01, 1.01)),
        ("skus", "weight", (0, 2.5), (-1,)),
        ("addresses", "lat", (-90, 52.01, 90), (-90.1, 90.1)),
        ("addresses", "lng", (-180, 4.36, 180), (-180.1, 180.1)),
        ("promotions", "percentage", (0.01, 12.5, 100), (0, 100.5)),
        ("stock_items", "quantity", (0, 7), (-1,)),
    ],
)
def test_numbers_have_bounds(type_: str, name: str, inside: tuple[float, ...], outside: tuple[float, ...]) -> None:
    for value in inside:
        assert float(field(type_, name).deserialize(value)) == value
    for value in outside:
        with pytest.raises(ValidationError, match=r"must be (greater|less) than or equal to"):
            field(type_, name).deserialize(value)


@pytest.mark.parametrize("name", ["new-customer_2", "a" * 25])
def test_plain_names_of_tags_are_taken(name: str) -> None:
    assert field("tags", "name").deserialize(name) == name


@pytest.mark.parametrize("name", ["", "a" * 26, "two words"])
def test_other_names_of_tags_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        field("tags", "name").deserialize(name)


def test_secrets_are_no_attributes() -> None:
    assert not {"customer_token", "payment_source_token"} & set(graph["customer_payment_sources"].attributes)
    assert not {"hash", "token"} & set(graph["tokens"].attributes)
