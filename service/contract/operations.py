"""The operations of the JSON:API: what can be asked at the URLs of a type, and what answers it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from schemas.fields import Write
from schemas.graph import OWNERS, PUBLIC
from schemas.relationships import ToMany
from schemas.resource import Resource
from service.contract import documents, errors, parameters, requests
from service.contract.described import Described
from service.contract.refs import headers, parameter, request_body, response, schema
from service.jsonapi.negotiation import MEDIA_TYPE, Media
from service.jsonapi.pagination import PROFILE
from service.principal import CUSTOMER_SCOPES, GUEST_SCOPES

Object = dict[str, Any]

ROOT = "/api"
_BY_CURSOR = Media(profiles=(PROFILE,)).content_type
REPLAYED = ("Preference-Applied", "Idempotency-Replayed")
SENDING = (parameter("Idempotency-Key"), parameter("Prefer"))
_CHANGING = (parameter("If-Match"), *SENDING)


def shared_responses() -> dict[str, Object]:
    """The answers without a document, which are the same for every type."""
    told = "It is gone, told in a document to who asks for `Prefer: return=representation`."
    return {
        "Deleted": _answer(told, "Deleted", *REPLAYED),
        "NoContent": {"description": "It is done.", "headers": headers("Cache-Control", *REPLAYED)},
        "NotModified": {
            "description": "The representation that `If-None-Match` names is still current.",
            "headers": headers("Cache-Control", "ETag"),
        },
    }


def responses(entry: Described, *, to_one: bool, to_many: bool) -> dict[str, Object]:
    """The answers that hold documents of a type; `to_one` and `to_many` say which relationships lead to it."""
    resource = entry.resource
    name, one, many = resource.__name__, _one(resource), _words(resource.type_)
    found = {
        f"{name}Document": _answer(f"{one.capitalize()}.", f"{name}Document", "ETag"),
        f"{name}Collection": _pages(f"A page of {many}.", f"{name}Collection"),
    }
    if to_one:
        text = f"{one.capitalize()}, or null."
        found[f"{name}OrNullDocument"] = _answer(text, f"{name}OrNullDocument", "ETag")
        found[f"{name}Linkage"] = _answer(f"The identifier of {one}, or null.", f"{name}Linkage")
    if to_many:
        found[f"{name}Linkages"] = _pages(f"A page of identifiers of {many}.", f"{name}Linkages")
    if entry.create:
        text = "It is made; `Location` is its URL."
        created = _answer(text, documents.created(resource), "Location", "ETag", *REPLAYED)
        found[f"{name}Created"] = created | {"links": _links(entry)}
    if "PATCH" in entry.on_resource:
        text = f"{one.capitalize()} as it is now."
        discloses = any(Write.UPDATE in field.disclosed for field in resource.disclosed.values())
        document = documents.created(resource) if discloses else f"{name}Document"
        found[f"{name}Updated"] = _answer(text, document, "ETag", *REPLAYED)
    return found


def entry_point() -> Object:
    """The operations at the root of the API."""
    answers = {"200": _answer("The types and their URLs, in `meta`.", "EntryPoint")} | errors.of_entry_point()
    return {
        "parameters": [parameter("Accept-Language")],
        "get": {
            "tags": ["api"],
            "operationId": "listTypes",
            "summary": "What types there are, and where",
            "security": [],
            "responses": answers,
        },
    }


def bodies(types: Iterable[type[Resource]]) -> dict[str, Object]:
    """The shared bodies of requests about relationships."""
    found = (one for resource in types for one in resource.relationships.values())
    return {requests.linkage(one): _body(requests.sent(one)) for one in found}


def paths(entry: Described, entries: Mapping[str, Described]) -> Object:
    """The URLs of a type: its collection, its resources, their relationships and what those lead to."""
    resource = entry.resource
    url = f"{ROOT}/{resource.type_}"
    every = [parameter("Accept-Language")]
    found: Object = {
        url: {"parameters": every, "get": _list(entry)} | ({"post": _create(entry)} if entry.create else {})
    }
    of_it = [parameter("id"), *every]
    found[f"{url}/{{id}}"] = {"parameters": of_it, "get": _get(entry)} | _changes(entry)
    for name, relationship in resource.relationships.items():
        to = entries[relationship.type_]
        found[f"{url}/{{id}}/{name}"] = {"parameters": of_it, "get": _related(entry, name, to)}
        linkage = {"parameters": of_it, "get": _linkage(entry, name, to)} | _linkage_changes(entry, name)
        found[f"{url}/{{id}}/relationships/{name}"] = linkage
    return found


def _answer(description: str, document: str, *further: str) -> Object:
    return {
        "description": description,
        **({"headers": headers(*further)} if further else {}),
        "content": {MEDIA_TYPE: {"schema": schema(document)}},
    }


def _pages(description: str, document: str) -> Object:
    """A page, by number or offset or, in its own media type, by cursor."""
    answer = _answer(description, document, "Link")
    answer["content"][_BY_CURSOR] = {"schema": schema(f"{document}ByCursor")}
    return answer


def _links(entry: Described) -> Object:
    """What can be done next with a resource that was made. What it is linked with, it tells itself."""
    names = [f"get{entry.resource.__name__}", *(found["operationId"] for found in _changes(entry).values())]
    return {name: {"operationId": name, "parameters": {"id": "$response.body#/data/id"}} for name in names}


def _list(entry: Described) -> Object:
    resource = entry.resource
    return {
        "tags": [resource.type_],
        "operationId": f"list{_pascal(resource.type_)}",
        "summary": f"A page of {_words(resource.type_)}",
        "security": _readers(entry),
        "parameters": parameters.of_many(resource),
        "responses": {"200": response(f"{resource.__name__}Collection")} | errors.of_collection(),
    }


def _create(entry: Described) -> Object:
    resource = entry.resource
    name = resource.__name__
    return {
        "tags": [resource.type_],
        "operationId": f"create{name}",
        "summary": f"Create {_one(resource)}",
        "security": _writers(entry),
        "parameters": [*parameters.of_one(resource), *SENDING],
        "requestBody": _body(schema(f"{name}Create")),
        "responses": {"201": response(f"{name}Created")}
        | errors.of_creation()
        | errors.of_triggers(resource, Write.CREATE),
    }


def _get(entry: Described) -> Object:
    resource = entry.resource
    return {
        "tags": [resource.type_],
        "operationId": f"get{resource.__name__}",
        "summary": _one(resource).capitalize(),
        "security": _readers(entry),
        "parameters": [*parameters.of_one(resource), parameter("If-None-Match")],
        "responses": _read(f"{resource.__name__}Document", tagged=True) | errors.of_single(),
    }


def _read(document: str, *, tagged: bool) -> dict[str, Object]:
    """What answers a successful GET; one of a resource with its tag may also find it unchanged."""
    return {"200": response(document)} | ({"304": response("NotModified")} if tagged else {})


def _changes(entry: Described) -> Object:
    """PATCH and DELETE of a resource, where clients may."""
    resource = entry.resource
    name = resource.__name__
    common = {"tags": [resource.type_], "security": _writers(entry)}
    changes: Object = {}
    if "PATCH" in entry.on_resource:
        changes["patch"] = common | {
            "operationId": f"update{name}",
            "summary": f"Change {_one(resource)}",
            "parameters": [*parameters.of_one(resource), *_CHANGING],
            "requestBody": _body(schema(f"{name}Update")),
            "responses": {"200": response(f"{name}Updated")}
            | errors.of_change()
            | errors.of_triggers(resource, Write.UPDATE),
        }
    if "DELETE" in entry.on_resource:
        changes["delete"] = common | {
            "operationId": f"delete{name}",
            "summary": f"Delete {_one(resource)}",
            "parameters": [*_CHANGING],
            "responses": {"200": response("Deleted"), "204": response("NoContent")} | errors.of_deletion(),
        }
    return changes


def _linkage_changes(entry: Described, name: str) -> Object:
    """PATCH, POST and DELETE of a relationship, where clients may."""
    resource = entry.resource
    found = resource.relationships[name]
    verbs = {"PATCH": ("replace", "Replace"), "POST": ("addTo", "Add to"), "DELETE": ("removeFrom", "Remove from")}
    return {
        method.lower(): {
            "tags": [resource.type_],
            "operationId": f"{verb}{_pascal(name)}Of{resource.__name__}",
            "summary": f"{words} the {_words(name)} of {_one(resource)}",
            "security": _security([entry.writes]) if found.guarded else _writers(entry),
            "parameters": [*_CHANGING],
            "requestBody": request_body(requests.linkage(found)),
            "responses": {"204": response("NoContent")} | errors.of_change(),
        }
        for method, (verb, words) in verbs.items()
        if method in entry.on_relationship(name)
    }


def _body(found: Object) -> Object:
    return {"required": True, "content": {MEDIA_TYPE: {"schema": found}}}


def _writers(entry: Described) -> list[Object]:
    """Who may write a type: of customers and guests those who own something of it."""
    owners = entry.resource.owners.items()
    return _security([entry.writes], *(owner for owner, path in owners if path not in (None, PUBLIC)))


def _related(entry: Described, name: str, to: Described) -> Object:
    resource, target = entry.resource, to.resource
    many = isinstance(resource.relationships[name], ToMany)
    success = f"{target.__name__}{'Collection' if many else 'OrNullDocument'}"
    asked = [*parameters.of_related(target, many=many), *([] if many else [parameter("If-None-Match")])]
    return {
        "tags": [resource.type_],
        "operationId": _related_name(resource, name),
        "summary": f"The {_words(name)} of {_one(resource)}",
        "security": _readers(entry, to),
        "parameters": asked,
        "responses": _read(success, tagged=not many) | _refusals(many=many),
    }


def _related_name(resource: type[Resource], name: str) -> str:
    verb = "list" if isinstance(resource.relationships[name], ToMany) else "get"
    return f"{verb}{_pascal(name)}Of{resource.__name__}"


def _linkage(entry: Described, name: str, to: Described) -> Object:
    resource, target = entry.resource, to.resource
    many = isinstance(resource.relationships[name], ToMany)
    return {
        "tags": [resource.type_],
        "operationId": f"get{_pascal(name)}LinkageOf{resource.__name__}",
        "summary": f"The identifier{'s' if many else ''} of the {_words(name)} of {_one(resource)}",
        "security": _readers(entry, to),
        "parameters": parameters.of_linkage(resource, name, many=many),
        "responses": {"200": response(f"{target.__name__}{'Linkages' if many else 'Linkage'}")} | _refusals(many=many),
    }


def _refusals(*, many: bool) -> dict[str, Object]:
    return errors.of_related_collection() if many else errors.of_single()


def _readers(*entries: Described) -> list[Object]:
    """Who may read something of all these types."""
    scopes = dict.fromkeys(entry.reads for entry in entries)
    return _security(
        scopes, *(owner for owner in OWNERS if all(entry.resource.owners[owner] is not None for entry in entries))
    )


def _security(scopes: Iterable[str], *owners: str) -> list[Object]:
    """The kinds of credential that do, with the scopes that they need."""
    needed = list(scopes)
    kinds = {"customers": ("customerToken", CUSTOMER_SCOPES), "carts": ("cartSession", GUEST_SCOPES)}
    found: list[Object] = [{"integrationToken": needed}]
    for owner in owners:
        name, held = kinds[owner]
        if held.issuperset(needed):
            found.append({name: [] if owner == "carts" else needed})
    return found


def _pascal(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _one(resource: type[Resource]) -> str:
    """`an order`: the type's class in words, which is its singular, with its article."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", resource.__name__).lower()
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
