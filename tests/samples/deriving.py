"""Samples, and rows to read, derived from the Schema of a type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from schemas import kinds
from schemas.fields import Write
from schemas.relationships import ToOne
from schemas.resource import Resource
from service.resources import Entry
from tests.samples import Sample

_OF_KINDS: dict[type[kinds.Kind], Callable[[str, Any], Any]] = {
    kinds.Enum: lambda _, field: field.choices[0],
    kinds.CurrencyCode: lambda *_: "EUR",
    kinds.CountryCode: lambda *_: "NL",
    kinds.Email: lambda *_: "sam@example.com",
    kinds.Url: lambda *_: "https://shop.example.com/",
    kinds.TimeZone: lambda *_: "Europe/Amsterdam",
    kinds.LocaleCode: lambda *_: "en",
    kinds.TextList: lambda name, _: [name],
    kinds.Text: lambda name, _: f"A {name.replace('_', ' ')}",
    kinds.Boolean: lambda *_: True,
    kinds.Integer: lambda _, field: max(field.minimum, 1),
    kinds.Float: lambda _, field: max(field.minimum, 0),
    kinds.Timestamp: lambda *_: "2030-06-01T00:00:00.000Z",
    kinds.JsonObject: lambda *_: {"name": "value"},
    kinds.JsonList: lambda *_: [],
}
"""Kind -> a value of it as clients send it; the nearest class decides."""

_OF_THE_CLIENT = ("reference", "reference_origin", "metadata")
"""What every type has, for clients to use as they like."""


def value(name: str, field: kinds.Kind) -> Any:
    """A value of an attribute, as clients send it: its own example, else one of its kind."""
    if "example" in field.metadata:
        return field.metadata["example"]
    return next(_OF_KINDS[kind] for kind in type(field).__mro__ if kind in _OF_KINDS)(name, field)


def sample(entry: Entry) -> dict[str, Any]:
    """The text of a type's sample, as its file says it. Empty for a type that clients neither create nor change."""
    resource = entry.resource
    found: dict[str, Any] = {}
    if entry.create:
        members = {"attributes": dict(_created(resource)), "relationships": dict(_targets(resource))}
        found["create"] = {name: member for name, member in members.items() if member}
    if entry.update:
        found["change"] = dict(_changed(resource))
    return found


def _created(resource: type[Resource]) -> Iterator[tuple[str, Any]]:
    """What has to be sent, and what a client would send at least: the attributes that are the type's own."""
    for name, field in resource.attributes.items():
        if field.write & Write.CREATE and name not in _OF_THE_CLIENT and (field.required or not field.nullable):
            yield name, value(name, field)


def _targets(resource: type[Resource]) -> Iterator[tuple[str, str]]:
    """What has to be sent, and whose it is."""
    owner = str(resource.owner).partition(".")[0]
    for name, found in resource.relationships.items():
        if isinstance(found, ToOne) and found.write & Write.CREATE and (found.required or name == owner):
            yield name, found.type_


def _changed(resource: type[Resource]) -> Iterator[tuple[str, Any]]:
    """A text of its own, else the reference that every type has."""
    for name, field in resource.attributes.items():
        if field.write & Write.UPDATE and name not in _OF_THE_CLIENT and type(field) is kinds.Text:
            yield name, f"Another {name.replace('_', ' ')}"
            return
    yield "reference", "A-1"


def row(resource: type[Resource], sample: Sample | None, ids: Mapping[str, str]) -> dict[str, Any]:
    """Columns of a row of a type: what can't be null, and what its sample creates one with; `ids` are what there is."""
    sent = {name: value(name, field) for name, field in resource.attributes.items() if _has_to_be(name, field)}
    sent |= sample.attributes if sample else {}
    kept = {name: field for name, field in resource.attributes.items() if name in sent}  # not what is sent alone
    columns = {resource.column_of(name): field.deserialize(sent[name]) for name, field in kept.items()}
    needed = {n: r.type_ for n, r in resource.relationships.items() if isinstance(r, ToOne) and r.required}
    needed |= {name: target.type_ for name, target in sample.targets.items()} if sample else {}
    return {**resource.where, **columns, **{resource.column_of(name): ids[type_] for name, type_ in needed.items()}}


def _has_to_be(name: str, field: Any) -> bool:
    written = name in ("created_at", "updated_at", *_OF_THE_CLIENT)
    return bool(field.column and not field.nullable and not written)
