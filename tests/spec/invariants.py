"""What holds for every answer, whatever was asked: checked on each one that the tests of the chapters receive."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import httpx2
import orjson

from schemas.graph import graph
from schemas.relationships import ToMany
from tests.spec.reading import MEDIA_TYPE

MEMBER_NAME = re.compile(r"[A-Za-z0-9\u0080-\uffff]([-_ A-Za-z0-9\u0080-\uffff]*[A-Za-z0-9\u0080-\uffff])?")
TOP = {"data", "errors", "meta", "jsonapi", "links", "included"}
LINKS = {"self", "related", "describedby", "first", "last", "prev", "next"}
LINK_OBJECT = {"href", "rel", "describedby", "title", "type", "hreflang", "meta"}
RESOURCE = {"type", "id", "attributes", "relationships", "links", "meta"}
ERROR = {"id", "links", "status", "code", "title", "detail", "source", "meta"}
OTHER_SHAPES = re.compile(
    r"/api/(v3|services)(/.*)?|/api/schemas/.*|/(repeat-order|healthz|readyz|metrics|docs(/.*)?|demo(/.*)?|llms\.txt|openapi\.yaml)?"
)
"""Paths whose answers are no JSON:API."""

_titles: dict[tuple[str, str], str] = {}
"""The title of each error code and language, as it was first seen in this run."""


@dataclass(frozen=True)
class Answer:
    """A response and the document in it."""

    response: httpx2.Response
    document: dict[str, Any]

    @property
    def applied(self) -> dict[str, list[str]]:
        """The extensions and profiles that Content-Type names."""
        named = re.findall(r'; ?(\w+)="([^"]*)"', self.response.headers["content-type"])
        return {name: uris.split() for name, uris in named}

    @property
    def asked(self) -> Sequence[tuple[str, str]]:
        """The query parameters of the request."""
        return parse_qsl(self.response.request.url.query.decode(), keep_blank_values=True)

    @property
    def of_relationship(self) -> bool:
        """Whether it is the document of a relationship."""
        return "data" in self.document and "/relationships/" in self.response.request.url.path


Invariant = Callable[[Answer], None]

_invariants: list[Invariant] = []
RULES: list[str] = ["CN-01", "CN-02", "CN-26", "DS-01", "HT-02"]
"""The rules that `check` proves of answers to reading, by their numbers."""


def proves(*rules: str) -> Callable[[Invariant], Invariant]:
    """Register what holds for every document, with the rules that it proves."""

    def register(invariant: Invariant) -> Invariant:
        _invariants.append(invariant)
        RULES.extend(rules)
        return invariant

    return register


def check(response: httpx2.Response) -> None:
    """Assert everything that holds for an answer; its body must have been read."""
    request, headers = response.request, response.headers
    if OTHER_SHAPES.fullmatch(request.url.path) or "access-control-request-method" in request.headers:
        return
    assert "Accept" in [name.strip() for name in headers["vary"].split(",")]
    assert response.status_code != 405 or "allow" in headers
    if response.status_code in (204, 304) or request.method == "HEAD":
        assert not response.content
        assert request.method == "HEAD" or "content-type" not in headers
        return
    if response.status_code == 404 and headers["content-type"].startswith("text/html"):
        assert "text/html" in request.headers["accept"], "a page is for who asks for one"
        assert not request.url.path.startswith("/api/")
        return
    assert re.fullmatch(rf'{re.escape(MEDIA_TYPE)}(; (ext|profile)="[^"]+")*', headers["content-type"])
    assert response.content.startswith(b"{"), "an object, and no byte order mark"
    answer = Answer(response, orjson.loads(response.content))
    for invariant in _invariants:
        invariant(answer)


@proves("CN-28", "DS-10", "JA-01")
def _what_is_applied_is_named_alike(answer: Answer) -> None:
    document = answer.document
    about = document["jsonapi"]
    assert about.keys() <= {"version", "ext", "profile", "meta"}
    assert about["version"] == "1.1"
    assert {name: about[name] for name in ("ext", "profile") if name in about} == answer.applied
    own = document.get("links", {}).get("self")
    if answer.applied and own is not None:
        assert own["type"] == answer.response.headers["content-type"]


@proves("DS-02", "DS-03", "DS-04", "DS-05", "DS-08")
def _the_top_level(answer: Answer) -> None:
    document = answer.document
    own = {name for name in document if ":" not in name or "ext" not in answer.applied}
    assert own <= TOP
    assert document.keys() - {"jsonapi", "links", "included"}
    assert not {"data", "errors"} <= document.keys()
    assert "included" not in document or "data" in document
    assert document.get("links", {}).keys() <= LINKS


@proves("CD-01", "CD-02", "CD-04", "RO-02")
def _what_is_included(answer: Answer) -> None:
    document = answer.document
    if "included" not in document:
        return
    assert isinstance(document["included"], list)
    primary = _listed(document["data"])
    keys = [_key(one) for one in document["included"]]
    whole = [_key(one) for one in primary if len(one.keys() - {"type", "id", "meta"})]
    assert len({*keys, *whole}) == len(keys) + len(whole), "no resource twice"
    if not any(name.startswith("fields[") for name, _ in answer.asked):
        reached, todo = set(), {_key(one) for one in primary}
        linked = {_key(one): set(map(_key, _linked(one))) for one in [*primary, *document["included"]]}
        while todo:
            reached |= todo
            todo = {found for key in todo for found in linked.get(key, ())} - reached
        assert set(keys) <= reached


@proves("RO-01", "RO-03", "RO-04", "RO-05", "RO-06", "RO-07", "RI-01", "MN-01")
def _resource_objects(answer: Answer) -> None:
    document = answer.document
    for one in _resources(document):
        assert isinstance(one["id"], str)
        assert isinstance(one["type"], str)
        assert MEMBER_NAME.fullmatch(one["type"])
        assert one.keys() <= RESOURCE
        assert all(isinstance(one.get(name, {}), dict) for name in RESOURCE - {"type", "id"})
        attributes, relationships = one.get("attributes", {}), one.get("relationships", {})
        assert not attributes.keys() & relationships.keys()
        assert not {"type", "id"} & (attributes.keys() | relationships.keys())
        assert all(MEMBER_NAME.fullmatch(name) for name in (*attributes, *relationships))
        assert not {f"{name}_id" for name in relationships} & attributes.keys(), "no foreign keys"
        for identifier in _linked(one):
            assert identifier.keys() <= {"type", "id", "meta"}
            assert isinstance(identifier["type"], str)
            assert isinstance(identifier["id"], str)


@proves("RL-01", "RL-02", "RL-05", "RL-07")
def _relationship_objects(answer: Answer) -> None:
    document = answer.document
    for one in _resources(document):
        for name, found in one.get("relationships", {}).items():
            assert found.keys() <= {"links", "data", "meta"}
            assert found["links"].keys() == {"self", "related"}, "linkage here has no pages"
            many = isinstance(graph[one["type"]].relationships[name], ToMany)
            assert isinstance(found["data"], list if many else dict | None) if "data" in found else many


@proves("RL-09")
def _linkage_of_what_is_included(answer: Answer) -> None:
    """Every primary resource links what it includes, also where that is nothing."""
    document = answer.document
    if "data" not in document or answer.of_relationship:
        return
    for path in filter(None, dict(answer.asked).get("include", "").split(",")):
        name = path.partition(".")[0]
        for one in _listed(document["data"]):
            if name in one.get("relationships", {}):
                assert "data" in one["relationships"][name]


@proves("FL-02", "FL-06", "RI-01")
def _relationship_documents(answer: Answer) -> None:
    document = answer.document
    if answer.of_relationship:
        assert {"self", "related"} <= document["links"].keys()
        assert all(one.keys() <= {"type", "id", "meta"} for one in _listed(document["data"]))


@proves("LK-01", "LK-02", "ME-01")
def _links_and_meta(answer: Answer) -> None:
    document = answer.document
    for name, value in _members(document):
        if name == "meta":
            assert isinstance(value, dict)
        if name == "links":
            for link in value.values():
                assert link is None or isinstance(link, str | dict)
                if isinstance(link, dict):
                    assert isinstance(link["href"], str)
                    assert link.keys() <= LINK_OBJECT


@proves("ER-01", "ER-02", "ER-04")
def _errors(answer: Answer) -> None:
    document = answer.document
    response = answer.response
    assert ("errors" in document) == (response.status_code >= 400)
    if "errors" not in document:
        return
    assert document["errors"]
    for error in document["errors"]:
        assert error["id"] == response.headers["x-request-id"]
        assert error.keys() <= ERROR
        assert error["links"].keys() <= {"about", "type"}
        assert error.get("source", {}).keys() <= {"pointer", "parameter", "header"}
    statuses = {error["status"] for error in document["errors"]}
    assert {str(response.status_code)} == (statuses if len(statuses) == 1 else {"400"})


@proves("ER-05")
def _titles_of_errors(answer: Answer) -> None:
    document = answer.document
    language = answer.response.headers.get("content-language", "")
    for error in document.get("errors", []):
        assert language in ("en", "nl")
        assert _titles.setdefault((error["code"], language), error["title"]) == error["title"]


@proves("CN-30", "ER-07")
def _sources_of_errors(answer: Answer) -> None:
    document = answer.document
    request = answer.response.request
    for error in document.get("errors", []):
        source = error.get("source", {})
        if "pointer" in source:
            assert resolves(orjson.loads(request.content), source["pointer"]), source
        if error["status"] in ("406", "415"):
            assert "header" in source
        if error["code"] == "PARAM_NOT_ALLOWED" or error["code"].startswith("INVALID_S"):
            assert "parameter" in source or error["status"] != "400"
        if "parameter" in source:
            assert source["parameter"] in [name.replace("\0", "") for name, _ in answer.asked], source


def resolves(document: Any, pointer: str) -> bool:
    """Whether a JSON pointer leads to a value of the document (RFC 6901)."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        try:
            document = document[int(key)] if isinstance(document, list) else document[key]
        except (KeyError, IndexError, TypeError, ValueError):
            return False
    return True


def _listed(data: Any) -> list[Any]:
    """Primary data as a list."""
    return data if isinstance(data, list) else [] if data is None else [data]


def _resources(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every resource object and identifier of a document, primary ones first."""
    yield from _listed(document.get("data"))
    yield from document.get("included", [])


def _key(one: dict[str, Any]) -> tuple[str, str]:
    return one["type"], one["id"]


def _linked(one: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The identifiers of a resource's relationships."""
    for relationship in one.get("relationships", {}).values():
        yield from _listed(relationship.get("data"))


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    """Every member of a document with its name, but for what attributes hold."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name, inner
            if name != "attributes":
                yield from _members(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _members(inner)
