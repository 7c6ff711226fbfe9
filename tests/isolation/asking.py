"""What can be asked about a resource, in every way in which a request can name one: made from registry and Schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.graph import graph
from schemas.kinds import Boolean
from schemas.relationships import ToMany, ToOne
from schemas.resource import Resource
from service.jsonapi.pagination import PROFILE, Cursors
from service.jsonapi.sorting import SortKey
from service.resources import RESOURCES
from tests.samples import SAMPLES
from tests.spec.operating import MEDIA_TYPE as ATOMIC
from tests.spec.operating import add, relate, remove, update
from tests.spec.writing import resource as document_of
from tests.spec.writing import to, to_all

PLAIN = "application/vnd.api+json"
BY_CURSOR = f'{PLAIN}; profile="{PROFILE}"'


@dataclass(frozen=True)
class Request:
    """A request that names a resource, and what else in it follows from the resource's id."""

    method: str
    path: str
    document: Any = None
    media: str = PLAIN
    headers: tuple[tuple[str, str], ...] = ()
    derived: str = ""

    @property
    def body(self) -> bytes | None:
        """The document as it is sent."""
        return None if self.document is None else json.dumps(self.document).encode()

    def __str__(self) -> str:
        """The request, for people."""
        return f"{self.method} {self.path} {'' if self.document is None else json.dumps(self.document)}".strip()


class Named(NamedTuple):
    """A resource that requests name, and one of each other type that is there to be named along with it."""

    type_: str
    id: str
    world: Mapping[str, str]

    @property
    def resource(self) -> type[Resource]:
        """The declaration of its type."""
        return graph[self.type_]


def about(named: Named) -> Iterator[Request]:
    """Every request that names a resource."""
    yield from _reads(named)
    yield from _writes(named)
    yield from _operations(named)
    yield from _from_elsewhere(named)
    yield from _special(named)


def sweeps(type_: str) -> Iterator[str]:
    """The paths of a type's collection: as it is, in every order, with all that each relationship holds."""
    resource = graph[type_]
    yield f"/api/{type_}?page[size]=100"
    for name, field in resource.attributes.items():
        if getattr(field, "sort", False):
            yield f"/api/{type_}?page[size]=100&sort=-{name}"
    for name, relationship in resource.relationships.items():
        if relationship.includable:
            yield f"/api/{type_}?page[size]=100&include={name}"
        for column in getattr(relationship, "sort", ()):
            yield f"/api/{type_}?page[size]=100&sort={name}.{column}"


def linking(own: Named, target: str) -> Iterator[Request]:
    """Every request that links a row of somebody's own to another resource; `world` has one of each type to name."""
    path = f"/api/{own.type_}/{own.id}"
    for name, relationship in own.resource.relationships.items():
        if relationship.type_ != target:
            continue
        many, id_ = isinstance(relationship, ToMany), own.world[target]
        linked = to_all(target, id_) if many else to(target, id_)
        for method in ("PATCH", "POST", "DELETE") if many else ("PATCH",):
            yield Request(method, f"{path}/relationships/{name}", linked)
        yield Request("PATCH", path, document_of(own.type_, None, {name: linked}, id=own.id))
        for operation in (
            update(own.type_, None, {name: linked}, id=own.id),
            relate("update", own.type_, own.id, name, linked["data"]),
            *([relate("add", own.type_, own.id, name, linked["data"])] if many else []),
        ):
            yield Request("POST", "/api/operations", {"atomic:operations": [operation]}, media=ATOMIC)


def _reads(named: Named) -> Iterator[Request]:
    path = f"/api/{named.type_}/{named.id}"
    yield Request("GET", path)
    yield Request("HEAD", path)
    for name, relationship in named.resource.relationships.items():
        yield Request("GET", f"{path}/{name}")
        yield Request("GET", f"{path}/relationships/{name}")
        if isinstance(relationship, ToMany):
            yield Request("GET", f"{path}/{name}?page[size]=1&page[total]=true", media=BY_CURSOR)
        if relationship.includable:
            yield Request("GET", f"{path}?include={name}")
    cursor = Cursors(named.resource, (SortKey(("id",), descending=False),)).at((named.id,))
    for side in ("after", "before"):
        yield Request("GET", f"/api/{named.type_}?sort=id&page[{side}]={cursor}", media=BY_CURSOR, derived=cursor)


def _writes(named: Named) -> Iterator[Request]:
    path = f"/api/{named.type_}/{named.id}"
    change = document_of(named.type_, {"metadata": {"isolation": "x"}}, id=named.id)
    yield Request("PATCH", path, change)
    yield Request("PATCH", path, change, headers=(("If-Match", '"1"'),))
    yield Request("PATCH", path, change, headers=(("If-None-Match", "*"),))
    yield Request("PATCH", path, change, headers=(("Idempotency-Key", f"key-{named.type_}"),), derived=named.id)
    for name, field in named.resource.triggers.items():
        if isinstance(field, Boolean):
            yield Request("PATCH", path, document_of(named.type_, {name: True}, id=named.id))
    yield Request("DELETE", path)
    for name, relationship in named.resource.relationships.items():
        target = named.world.get(relationship.type_, "nobody")
        many = isinstance(relationship, ToMany)
        document = to_all(relationship.type_, target) if many else to(relationship.type_, target)
        for method in ("PATCH", "POST", "DELETE") if many else ("PATCH",):
            yield Request(method, f"{path}/relationships/{name}", document)


def _operations(named: Named) -> Iterator[Request]:
    operations = [
        update(named.type_, {"metadata": {"isolation": "x"}}, id=named.id),
        remove(named.type_, named.id),
        *(
            relate("update", named.type_, named.id, name, to(one.type_, named.world.get(one.type_))["data"])
            for name, one in named.resource.relationships.items()
            if isinstance(one, ToOne)
        ),
        *_added(named),
    ]
    for operation in operations:
        yield Request("POST", "/api/operations", {"atomic:operations": [operation]}, media=ATOMIC)


def _from_elsewhere(named: Named) -> Iterator[Request]:
    """Filters that name it, and resources that are to be linked to it."""
    yield Request("GET", f"/api/{named.type_}?filter[id]={named.id}")
    yield Request("GET", f"/api/{named.type_}?filter[q][id_in]={named.id}")
    for type_, name, _ in _leading_to(named.type_, filtered=True):
        yield Request("GET", f"/api/{type_}?filter[{name}]={named.id}")
        yield Request("GET", f"/api/{type_}?filter[{name}.id]={named.id}")
    for operation in _added(named):
        yield Request("POST", f"/api/{operation['data']['type']}", {"data": operation["data"]})


def _added(named: Named) -> Iterator[dict[str, Any]]:
    """Operations that make something of each type that can be linked to it, with samples of the rest."""
    for type_, name, relationship in _leading_to(named.type_, filtered=False):
        sample = SAMPLES.get(type_)
        if sample is None or not sample.created or RESOURCES[type_].create is None or not relationship.write:
            continue
        links = {other: to(target.type_, named.world.get(target.type_)) for other, target in sample.targets.items()}
        many = isinstance(relationship, ToMany)
        links[name] = to_all(named.type_, named.id) if many else to(named.type_, named.id)
        yield add(type_, dict(sample.attributes), links)


def _leading_to(type_: str, *, filtered: bool) -> Iterator[tuple[str, str, ToOne | ToMany]]:
    for other, resource in graph.items():
        for name, relationship in resource.relationships.items():
            if relationship.type_ == type_ and (relationship.filter or not filtered):
                yield other, name, relationship


def _special(named: Named) -> Iterator[Request]:
    """What is no resource of its own."""
    if named.type_ == "orders":
        link = {"source_order": to("orders", named.id)}
        yield Request("POST", "/api/reorder_previews", document_of("reorder_previews", None, link))
        yield Request("GET", f"/api/v3/{named.world['stores']}/orders/{named.id}/repeatURL", media="application/json")
    if named.type_ == "carts":
        links = {"source_order": to("orders", named.world["orders"]), "cart": to("carts", named.id)}
        yield Request("POST", "/api/reorder_previews", document_of("reorder_previews", None, links))
    if named.type_ in ("order_subscriptions", "order_subscription_items", "occurrences"):
        subject = {"subject": to(named.type_, named.id)}
        yield Request(
            "POST", "/api/subscription_previews", document_of("subscription_previews", {"reference": "x"}, subject)
        )
    if named.type_ == "order_subscriptions":
        yield Request("GET", f"/api/order_subscriptions/{named.id}/forecast")
