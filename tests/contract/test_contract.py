"""What holds answers against the contract, does: an answer that is changed a little is found out."""

from __future__ import annotations

from typing import Any

import httpx2
import orjson
import pytest

from tests.contract.contract import JSON_API, Contract
from tests.support import Access


@pytest.fixture
async def answer(client: httpx2.AsyncClient, integration: Access) -> httpx2.Response:
    """A page of orders, none of them."""
    return await client.get("/api/orders?filter[status]=placed", headers=integration.headers)


def tampered(answer: httpx2.Response, **change: Any) -> httpx2.Response:
    """The answer with another status, body or headers, or as one to another request; a header of None is left out."""
    status, content = change.pop("status", 200), change.pop("content", answer.content)
    request = httpx2.Request(change.pop("method", "GET"), f"http://127.0.0.1{change.pop('url', '/api/orders')}")
    headers = dict(answer.headers) | {name.replace("_", "-"): value for name, value in change.items()}
    kept = {name: value for name, value in headers.items() if value is not None and name != "content-length"}
    return httpx2.Response(status, headers=kept, content=content, request=request)


def test_what_is_as_described_passes(contract: Contract, answer: httpx2.Response) -> None:
    assert contract.check(tampered(answer))["data"] == []
    assert contract.check(tampered(answer, url="/api/orders/?filter[q][number_eq]=1&page[after]=x"))["data"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"status": 201},
        {"status": 418},
        {"method": "PUT"},
        {"url": "/api/nothing"},
        {"content": b"{}"},
        {"content": b""},
        {"url": "/api/orders/A"},
        {"url": "/api/orders?colour=red"},
        {"url": "/api/orders?filter[colour]=red&page[colour]=red"},
        {"vary": None},
        {"server_timing": None},
        {"etag": '"1-a"'},
        {"x_odd": "1"},
        {"content_type": "application/json"},
        {"content_type": f'{JSON_API}; profile="https://jsonapi.org/profiles/ethanresnick/cursor-pagination"'},
    ],
    ids=str,
)
def test_what_is_not_as_described_is_found(contract: Contract, answer: httpx2.Response, change: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        contract.check(tampered(answer, **change))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("data",), [{"type": "orders", "id": "A"}]),
        (("meta", "page_count"), -1),
        (("links", "describedby"), "elsewhere"),
        (("errors",), []),
    ],
)
def test_a_body_of_another_form_is_found(
    contract: Contract, answer: httpx2.Response, path: tuple[str, ...], value: Any
) -> None:
    document = answer.json()
    *way, last = path
    at = document
    for key in way:
        at = at[key]
    at[last] = value
    with pytest.raises(AssertionError):
        contract.check(tampered(answer, content=orjson.dumps(document)))
