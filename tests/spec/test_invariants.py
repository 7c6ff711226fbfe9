"""What is checked on every answer is noticed when it is broken."""

from __future__ import annotations

from typing import Any

import httpx2
import orjson
import pytest

from tests.spec import invariants
from tests.spec.reading import MEDIA_TYPE, PROFILE

URL = "http://127.0.0.1/api/orders"
HEADERS = {"Content-Type": MEDIA_TYPE, "Vary": "Accept", "X-Request-Id": "r", "Content-Language": "en"}


def page() -> dict[str, Any]:
    """A good page of one order with its customer."""
    own = {"type": "orders", "id": "o", "links": {"self": f"{URL}/o"}, "attributes": {"status": "draft"}}
    links = {"self": f"{URL}/o/relationships/customer", "related": f"{URL}/o/customer"}
    customer = {"type": "customers", "id": "c"}
    own |= {"relationships": {"customer": {"links": links, "data": customer}}}
    return {"jsonapi": {"version": "1.1"}, "links": {"self": URL}, "data": [own], "included": [customer | {"meta": {}}]}


def problem() -> dict[str, Any]:
    """A good error document."""
    error = {"id": "r", "links": {"about": "x", "type": "x"}, "status": "400", "code": "MADE_UP", "title": "Made up"}
    return {"jsonapi": {"version": "1.1"}, "errors": [error | {"detail": "x", "source": {"parameter": "include"}}]}


def received(document: Any, status: int = 200, **headers: str) -> httpx2.Response:
    """An answer with a document."""
    request = httpx2.Request("GET", f"{URL}?include=customer")
    return httpx2.Response(status, headers=HEADERS | headers, content=orjson.dumps(document), request=request)


def changed(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A document with another value in one place."""
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return document


def test_good_answers_are_good() -> None:
    invariants.check(received(page()))
    invariants.check(received(problem(), 400))


OWN = ("data", 0)
LINKED = (*OWN, "relationships", "customer")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("nope",), 1), (("errors",), []), (("links", "nope"), "x"), (("meta",), []),
        (("jsonapi", "version"), "1.0"), (("jsonapi", "profile"), [PROFILE]),
        (("links", "self"), 7), (("links", "self"), {"href": "x", "nope": 1}),
        (("included",), {}), (("included", 0, "id"), "other"), (("data",), []),
        (("included",), [page()["included"][0]] * 2), (("included", 0), page()["data"][0]),
        ((*OWN, "id"), 7), ((*OWN, "type"), "a!"), ((*OWN, "lid"), "x"),
        ((*OWN, "attributes"), []), ((*OWN, "attributes", "_x"), 1),
        ((*OWN, "attributes", "customer"), 1), ((*OWN, "attributes", "customer_id"), 1),
        ((*OWN, "attributes", "id"), 1), ((*LINKED, "data"), []), ((*LINKED, "nope"), 1),
        ((*LINKED, "links", "next"), "x"), ((*LINKED, "data", "lid"), "x"),
        (LINKED, {"links": page()["data"][0]["relationships"]["customer"]["links"]}),
    ],
)  # fmt: skip
def test_a_broken_document_is_noticed(path: tuple[str | int, ...], value: Any) -> None:
    with pytest.raises((AssertionError, TypeError)):
        invariants.check(received(changed(page(), path, value)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("errors",), []), (("errors", 0, "status"), "404"), (("errors", 0, "status"), 400),
        (("errors", 0, "nope"), 1), (("errors", 0, "links", "nope"), "x"),
        (("errors", 0, "id"), "other"), (("errors", 0, "title"), "Made up otherwise"),
        (("errors", 0, "source"), {"nope": "x"}), (("errors", 0, "source"), {"parameter": "sort"}),
        (("data",), None),
    ],
)  # fmt: skip
def test_a_broken_error_is_noticed(path: tuple[str | int, ...], value: Any) -> None:
    invariants.check(received(problem(), 400))
    with pytest.raises(AssertionError):
        invariants.check(received(changed(problem(), path, value), 400))


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {"Content-Type": f"{MEDIA_TYPE}; charset=utf-8"}), (200, {"Content-Type": "application/json"}),
        (200, {"Vary": "Accept-Encoding"}), (204, {}), (304, {}), (405, {}), (400, {}),
        (200, {"Content-Type": f'{MEDIA_TYPE}; profile="{PROFILE}"'}),
    ],
)  # fmt: skip
def test_a_broken_head_is_noticed(status: int, headers: dict[str, str]) -> None:
    with pytest.raises(AssertionError):
        invariants.check(received(page(), status, **headers))


@pytest.mark.rule("ER-06")
def test_pointers_are_followed() -> None:
    document = {"data": {"a/b": [{"~": 1}]}}
    for pointer, there in (
        ("", True), ("/data", True), ("/data/a~1b/0/~0", True), ("/data/a~1b/1", False), ("/data/a", False),
        ("/data/a~1b/x", False), ("/data/a~1b/0/~0/x", False),
    ):  # fmt: skip
        assert invariants.resolves(document, pointer) is there, pointer
