"""`openapi.yaml`: the contract of every route, made from the same declarations that route the requests.

What the registry lists is described here, type by type; routes that other services' documents decide, and pages, are
written down by hand in `fixed.yaml`, beside their own schemas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Protocol

import yaml

from schemas.base import PUBLIC, Resource, ToMany, ToOne
from service.jsonapi.negotiation import MEDIA_TYPE
from service.jsonapi.openapi import documents, errors, parameters
from service.principal import CUSTOMER_SCOPES

Object = dict[str, Any]
_ROOT = "/api"


class Described(Protocol):
    """What the registry says of a type: its Schema, the scopes that it asks for, and how clients write it."""

    @property
    def resource(self) -> type[Resource]:
        """The type."""

    @property
    def reads(self) -> str:
        """The scope that reading asks for."""

    @property
    def writes(self) -> str:
        """The scope that writing asks for."""

    @property
    def create(self) -> object | None:
        """What creates one; None when clients can't."""

    @property
    def on_resource(self) -> tuple[str, ...]:
        """The methods of a resource's URL."""

    def on_relationship(self, name: str) -> tuple[str, ...]:
        """The methods of a relationship's own URL."""


def build(entries: Mapping[str, Described]) -> Object:
    """The OpenAPI 3.1 document of these types and of the fixed routes.

    `entries` holds what the registry says of each type, in the order in which the types are to appear. Raises TypeError
    when two types would share the name of a schema.
    """
    fixed = _fixed()
    types = [entry.resource for entry in entries.values()]
    paths: Object = {_ROOT: {"get": _entry_point()}}
    for entry in entries.values():
        paths |= _paths(entry, entries)
    return {
        "openapi": "3.1.0",
        "info": fixed["info"],
        "servers": fixed["servers"],
        "tags": [*fixed["tags"], *({"name": type_.type_, "description": documents.prose(type_)} for type_ in types)],
        "paths": fixed["paths"] | paths,
        "components": _components(entries, fixed["components"]),
    }


def dump(document: Mapping[str, Any]) -> str:
    """A document as YAML: always the same text for the same document, no anchors, lines of about 120 characters."""
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


class _Dumper(yaml.SafeDumper):
    """Writes paragraphs as blocks, and what occurs twice twice: many tools that read OpenAPI know no YAML aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 -- YAML's signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


@cache
def _fixed() -> Object:
    text = (files(__package__) / "fixed.yaml").read_text()
    document: Object = yaml.safe_load(text)
    return document


def _components(entries: Mapping[str, Described], fixed: Mapping[str, Object]) -> Object:
    types = [entry.resource for entry in entries.values()]
    linked = [found for type_ in types for found in type_.relationships.values()]
    to_one = {found.type_ for found in linked if isinstance(found, ToOne)}
    to_many = {found.type_ for found in linked if isinstance(found, ToMany)}
    schemas = [documents.shared(types), errors.schemas(), fixed["schemas"]]
    deleted = _answer("It is gone, told in a document to who asks for `Prefer: return=representation`.", "Deleted")
    responses = [errors.responses(MEDIA_TYPE), fixed["responses"], {"Deleted": deleted}]
    asked = [parameters.identifier(), parameters.paging()]
    for entry in entries.values():
        type_ = entry.resource
        ends = {"to_one": type_.type_ in to_one, "to_many": type_.type_ in to_many}
        schemas += [documents.resource_schemas(type_), documents.linked_schemas(type_, **ends)]
        schemas += [documents.creation_schemas(type_)] if entry.create else []
        schemas += [documents.update_schemas(type_)] if "PATCH" in entry.on_resource else []
        responses.append(_responses(type_, creatable=entry.create is not None, **ends))
        asked.append(parameters.described(type_))
    return {
        "securitySchemes": fixed["securitySchemes"],
        "parameters": _merged(asked),
        "headers": fixed["headers"],
        "responses": _merged(responses),
        "schemas": _merged(schemas),
    }


def _merged(parts: Iterable[Mapping[str, Object]]) -> Object:
    merged: Object = {}
    for part in parts:
        for name, value in part.items():
            if name in merged:
                raise TypeError(f"openapi.yaml: two types would share the component {name}")
            merged[name] = value
    return merged


def _responses(resource: type[Resource], *, creatable: bool, to_one: bool, to_many: bool) -> dict[str, Object]:
    name = resource.__name__
    found = {
        f"{name}Document": _answer(f"{_one(resource).capitalize()}.", f"{name}Document"),
        f"{name}Collection": _answer(f"A page of {_words(resource.type_)}.", f"{name}Collection"),
    }
    if to_one:
        found[f"{name}OrNullDocument"] = _answer(f"{_one(resource).capitalize()}, or null.", f"{name}OrNullDocument")
        found[f"{name}Linkage"] = _answer(f"The identifier of {_one(resource)}, or null.", f"{name}Linkage")
    if to_many:
        found[f"{name}Linkages"] = _answer(f"A page of identifiers of {_words(resource.type_)}.", f"{name}Linkages")
    if creatable:
        found[f"{name}Created"] = _answer("It is made; `Location` is its URL.", f"{name}Created", Location="Location")
    return found


def _answer(description: str, schema: str, **headers: str) -> Object:
    return {
        "description": description,
        "headers": errors.headers(**headers),
        "content": {MEDIA_TYPE: {"schema": documents.schema(schema)}},
    }


def _response(name: str) -> Object:
    return {"$ref": f"#/components/responses/{name}"}


def _entry_point() -> Object:
    answers = {"200": _answer("The types and their URLs, in `meta`.", "EntryPoint")} | errors.of_entry_point()
    return {
        "tags": ["api"],
        "operationId": "listTypes",
        "summary": "What types there are, and where",
        "security": [],
        "responses": answers,
    }


def _paths(entry: Described, entries: Mapping[str, Described]) -> Object:
    resource = entry.resource
    url = f"{_ROOT}/{resource.type_}"
    paths: Object = {url: {"get": _list(entry)} | ({"post": _create(entry)} if entry.create else {})}
    of_it = [parameters.parameter("id")]
    paths[f"{url}/{{id}}"] = {"parameters": of_it, "get": _get(entry)} | _changes(entry)
    for name, found in resource.relationships.items():
        to = entries[found.type_]
        paths[f"{url}/{{id}}/{name}"] = {"parameters": of_it, "get": _related(entry, name, to)}
        linkage = {"parameters": of_it, "get": _linkage(entry, name, to)} | _linkage_changes(entry, name)
        paths[f"{url}/{{id}}/relationships/{name}"] = linkage
    return paths


def _list(entry: Described) -> Object:
    resource = entry.resource
    return {
        "tags": [resource.type_],
        "operationId": f"list{_pascal(resource.type_)}",
        "summary": f"A page of {_words(resource.type_)}",
        "security": _readers(entry),
        "parameters": parameters.of_many(resource),
        "responses": {"200": _response(f"{resource.__name__}Collection")} | errors.of_collection(),
    }


def _create(entry: Described) -> Object:
    resource = entry.resource
    name = resource.__name__
    return {
        "tags": [resource.type_],
        "operationId": f"create{name}",
        "summary": f"Create {_one(resource)}",
        "security": _security([entry.writes], customers=resource.owner is not None),
        "parameters": parameters.of_one(resource),
        "requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": documents.schema(f"{name}Create")}}},
        "responses": {"201": _response(f"{name}Created")} | errors.of_creation(),
    }


def _get(entry: Described) -> Object:
    resource = entry.resource
    return {
        "tags": [resource.type_],
        "operationId": f"get{resource.__name__}",
        "summary": _one(resource).capitalize(),
        "security": _readers(entry),
        "parameters": parameters.of_one(resource),
        "responses": {"200": _response(f"{resource.__name__}Document")} | errors.of_single(),
    }


def _changes(entry: Described) -> Object:
    """PATCH and DELETE of a resource, where clients may."""
    resource = entry.resource
    name = resource.__name__
    common = {"tags": [resource.type_], "security": _security([entry.writes], customers=_of_customers(resource))}
    changes: Object = {}
    if "PATCH" in entry.on_resource:
        changes["patch"] = common | {
            "operationId": f"update{name}",
            "summary": f"Change {_one(resource)}",
            "parameters": parameters.of_one(resource),
            "requestBody": _body(documents.schema(f"{name}Update")),
            "responses": {"200": _response(f"{name}Document")} | errors.of_creation(),
        }
    if "DELETE" in entry.on_resource:
        changes["delete"] = common | {
            "operationId": f"delete{name}",
            "summary": f"Delete {_one(resource)}",
            "responses": {
                "200": _response("Deleted"),
                "204": {"description": "It is gone."},
            }
            | errors.of_deletion(),
        }
    return changes


def _linkage_changes(entry: Described, name: str) -> Object:
    """PATCH, POST and DELETE of a relationship, where clients may."""
    resource = entry.resource
    found = resource.relationships[name]
    customers = _of_customers(resource) and not found.guarded
    verbs = {"PATCH": ("replace", "Replace"), "POST": ("addTo", "Add to"), "DELETE": ("removeFrom", "Remove from")}
    return {
        method.lower(): {
            "tags": [resource.type_],
            "operationId": f"{verb}{_pascal(name)}Of{resource.__name__}",
            "summary": f"{words} the {_words(name)} of {_one(resource)}",
            "security": _security([entry.writes], customers=customers),
            "requestBody": _body(documents.sent(found)),
            "responses": {"204": {"description": "So it is now."}} | errors.of_creation(),
        }
        for method, (verb, words) in verbs.items()
        if method in entry.on_relationship(name)
    }


def _body(found: Object) -> Object:
    return {"required": True, "content": {MEDIA_TYPE: {"schema": found}}}


def _of_customers(resource: type[Resource]) -> bool:
    """Whether customers write a type, within what is theirs."""
    return resource.owner not in (None, PUBLIC)


def _related(entry: Described, name: str, to: Described) -> Object:
    resource, target = entry.resource, to.resource
    many = isinstance(resource.relationships[name], ToMany)
    success = f"{target.__name__}{'Collection' if many else 'OrNullDocument'}"
    return {
        "tags": [resource.type_],
        "operationId": f"{'list' if many else 'get'}{_pascal(name)}Of{resource.__name__}",
        "summary": f"The {_words(name)} of {_one(resource)}",
        "security": _readers(entry, to),
        "parameters": parameters.of_many(target) if many else parameters.of_one(target),
        "responses": {"200": _response(success)} | _refusals(many=many),
    }


def _linkage(entry: Described, name: str, to: Described) -> Object:
    resource, target = entry.resource, to.resource
    many = isinstance(resource.relationships[name], ToMany)
    return {
        "tags": [resource.type_],
        "operationId": f"get{_pascal(name)}LinkageOf{resource.__name__}",
        "summary": f"The identifier{'s' if many else ''} of the {_words(name)} of {_one(resource)}",
        "security": _readers(entry, to),
        "parameters": parameters.of_linkage(resource, name, many=many),
        "responses": {"200": _response(f"{target.__name__}{'Linkages' if many else 'Linkage'}")} | _refusals(many=many),
    }


def _refusals(*, many: bool) -> dict[str, Object]:
    return errors.of_related_collection() if many else errors.of_single()


def _readers(*entries: Described) -> list[Object]:
    """Who may read something of all these types."""
    scopes = dict.fromkeys(entry.reads for entry in entries)
    return _security(scopes, customers=all(entry.resource.owner is not None for entry in entries))


def _security(scopes: Iterable[str], *, customers: bool) -> list[Object]:
    """The kinds of token that do, with the scopes that they need."""
    needed = list(scopes)
    found: list[Object] = [{"integrationToken": needed}]
    return [*found, {"customerToken": needed}] if customers and CUSTOMER_SCOPES.issuperset(needed) else found


def _pascal(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _one(resource: type[Resource]) -> str:
    """`an order`: the type's class in words, which is its singular, with its article."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", resource.__name__).lower()
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
