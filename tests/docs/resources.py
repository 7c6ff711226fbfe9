"""`make docs`: docs/reference/resources.md, every resource type, from the Schemas and the registry."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from inspect import getdoc

from schemas.fields import Write
from schemas.kinds import Kind
from schemas.relationships import ToMany, ToOne
from service.jsonapi.filters import filterable
from service.jsonapi.sorting import sortable
from service.resources import RESOURCES, Entry

_HEAD = """# Resources

Every type, made from the same declarations as [`/openapi.yaml`](/openapi.yaml). *Sent* says when a client may send a
field: when it creates a resource, when it changes one, or both; the service sets the rest. Fields marked *shop* are for
integrations: from a customer another value is 403. *Selects* says whether collections can be filtered and sorted by it,
see [Filtering](filtering.md). All types have `id`, and in their `meta` `mode` (`test` or `live`) and `version`.
"""
_SENT = {Write.NEVER: "", Write.CREATE: "create", Write.UPDATE: "change", Write.BOTH: "create, change"}


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(line for type_, entry in RESOURCES.items() for line in _section(type_, entry))])


def _section(type_: str, entry: Entry) -> Iterator[str]:
    resource = entry.resource
    yield f"## {type_}\n\n{getdoc(resource)}\n"
    methods = [f"`{method} /api/{type_}`" for method in entry.on_collection if method != "HEAD"]
    methods += [f"`{method} /api/{type_}/{{id}}`" for method in entry.on_resource if method != "HEAD"]
    scopes = f"Read with `{entry.reads}`"
    scopes += f", written with `{entry.writes}`" if entry.create or entry.update or entry.remove else ""
    yield f"{', '.join(methods)}. {scopes}.\n"
    if resource.quota is not None:
        kept = f"{resource.quota.most}: {resource.quota.what}"
        yield f"One owner [keeps](http.md#quotas-per-customer) at most {kept}.\n"
    kinds = {"filter": set(filterable(resource)), "sort": set(sortable(resource))}
    yield from table(
        ("attribute", "type", "sent", "selects", "meaning"),
        (
            (f"`{name}`", _type(field), _sent(field), _selects(name, kinds), _about(field))
            for name, field in {**resource.attributes, **resource.triggers}.items()
        ),
    )
    yield from table(
        ("relationship", "leads to", "sent", "meaning"),
        (
            (
                f"`{name}`",
                f"{'many' if isinstance(found, ToMany) else 'one of'} [{found.type_}](#{found.type_})",
                _sent(found),
                _line(str(found.metadata.get("description", ""))),
            )
            for name, found in resource.relationships.items()
        ),
    )


def _sent(field: Kind | ToOne | ToMany) -> str:
    """When a client may send a field, and whether customers may not."""
    return f"{_SENT[field.write]}: shop" if field.write and field.guarded else _SENT[field.write]


def _type(field: Kind) -> str:
    described = field.schema()
    types = described.get("type", "any JSON")
    words = " or ".join(types) if isinstance(types, list) else types
    choices = [f"`{choice}`" for choice in described.get("enum", ()) if choice is not None]
    return f"{words}: {', '.join(choices)}" if choices else words


def _about(field: Kind) -> str:
    needed = "Needed to create one. " if field.required else ""
    return needed + _line(str(field.metadata.get("description", "")))


def _selects(name: str, kinds: dict[str, set[str]]) -> str:
    return ", ".join(kind for kind, names in kinds.items() if name in names)


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    found = [f"| {' | '.join(row)} |" for row in rows]
    if found:
        titles = list(head)
        yield "\n".join([f"| {' | '.join(titles)} |", "|---" * len(titles) + "|", *found, ""])


if __name__ == "__main__":
    sys.stdout.write(page())
