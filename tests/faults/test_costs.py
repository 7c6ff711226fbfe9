"""What a request costs is counted before it is paid."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from schemas.graph import graph
from service.errors import ApiError, InvalidDocument, TooCostly
from service.jsonapi import body, query
from tests.spec.writing import Api, resource


def _steps(work: Callable[[], object]) -> int:
    """How many calls it takes to refuse something."""
    calls = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        with pytest.raises(ApiError):
            work()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.rule("FM-123")
async def test_an_answer_tells_a_hundred_problems_and_counts_them_all(api: Api) -> None:
    unknown = {f"a{number}": 1 for number in range(400)}
    answer = await api.send("POST", "skus", resource("skus", unknown))
    document = answer.json()
    assert (answer.status_code, len(document["errors"])) == (422, 100)
    assert document["meta"]["problems"] >= 400
    few = (await api.send("POST", "skus", resource("skus", {"a": 1, "b": 2}))).json()
    assert "meta" not in few


@pytest.mark.rule("FM-123")
async def test_a_resource_object_has_only_so_many_members(api: Api) -> None:
    many = {f"a{number}": 1 for number in range(130_000)}
    for document in (resource("skus", many), resource("skus", {"code": "A", "name": "A"}, many)):
        answer = await api.send("POST", "skus", document)
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["code"]) == (400, "INVALID_DATA_FORMAT")
        assert "130000" in error["detail"]
        assert len(answer.content) < 2_000


@pytest.mark.rule("FM-123")
def test_unknown_members_are_refused_without_a_look_at_each() -> None:
    def read(amount: int) -> object:
        return body.creation(graph["skus"], resource("skus", {f"a{number}": 1 for number in range(amount)}))

    with pytest.raises(InvalidDocument):
        read(1_000)
    assert _steps(lambda: read(100_000)) < _steps(lambda: read(1_000)) + 10


@pytest.mark.rule("FM-124")
@pytest.mark.parametrize(
    "filters",
    [
        pytest.param(lambda n: [("filter[q][" + "_or_".join(["number"] * n) + "_in]", "1,2,3")], id="names"),
        pytest.param(lambda n: [("filter[number][eq_any]", ",".join(["1"] * n))], id="values"),
        pytest.param(
            lambda n: [("filter[q][" + "_or_".join(["customer_email"] * n) + "_eq_any]", ",".join(["a"] * 500))],
            id="both",
        ),
        pytest.param(lambda n: [(f"filter[number][not_eq_{number}]", "1") for number in range(n)], id="parameters"),
        pytest.param(lambda n: [("filter[" + "customer." * n + "email]", "1")], id="steps"),
        pytest.param(lambda n: [("include", ",".join(["line_items.sku"] * n) + ",x")], id="include"),
        pytest.param(lambda n: [("sort", ",".join(["number"] * n) + ",x")], id="sort"),
        pytest.param(lambda n: [("fields[orders]", ",".join(["number"] * n) + ",x")], id="fields"),
    ],
)
def test_refusing_a_query_takes_time_in_proportion_to_its_length(filters: Callable[[int], Any]) -> None:
    orders = graph["orders"]
    some, twice = (_steps(lambda n=n: query.parse(orders, filters(n), shape="many")) for n in (600, 1_200))  # type: ignore[misc]
    assert twice < 2.5 * some + 200


@pytest.mark.rule("FM-124")
def test_a_filter_beyond_the_limit_is_refused_before_its_values_are_read() -> None:
    def ask(values: int) -> object:
        name = "_or_".join(["number"] * 60)
        return query.parse(graph["orders"], [(f"filter[q][{name}_in]", ",".join(["1"] * values))], shape="many")

    with pytest.raises(TooCostly):
        ask(500)
    assert _steps(lambda: ask(500)) < _steps(lambda: ask(1)) + 20


@pytest.mark.rule("FM-131")
async def test_assets_are_compressed_once(client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second reader costs no compression, whatever its codings; one that takes none gets the content itself."""
    url = "/docs/assets/swagger-ui-bundle.js"
    first = await client.get(url, headers={"Accept-Encoding": "br, gzip, zstd"})
    monkeypatch.setattr("service.http.assets.gzip.compress", None)
    second = await client.get(url, headers={"Accept-Encoding": "gzip;q=0.5"})
    assert first.headers["content-encoding"] == second.headers["content-encoding"] == "gzip"
    plain = await client.get(url, headers={"Accept-Encoding": "gzip;q=0, identity"})
    assert "content-encoding" not in plain.headers
    assert plain.content == first.content == second.content
    assert "Accept-Encoding" in plain.headers["vary"]
