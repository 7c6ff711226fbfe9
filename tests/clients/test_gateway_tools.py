"""What gateways make of the contract, in each of its forms."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from service.contract import openapi
from service.jsonapi.negotiation import MEDIA_TYPE
from service.resources import RESOURCES
from tests.clients.conftest import FOLDER, NODE

Document = dict[str, Any]

SENT = {"Authorization": "Bearer secret", "Content-Type": MEDIA_TYPE}
ORDER = {"source_order": {"data": {"type": "orders", "id": "ABCRtyUpBa"}}}
REORDER = {"data": {"type": "reorders", "attributes": {"stock_policy": "partial"}, "relationships": ORDER}}

BAD = [
    {"data": {"type": "reorders"}},
    {"data": {"type": "carts", "relationships": ORDER}},
    {"data": {"type": "reorders", "relationships": {"source_order": {"data": {"type": "carts", "id": "A"}}}}},
    {"data": {"type": "reorders", "attributes": {"stock_policy": "all"}, "relationships": ORDER}},
]
"""Bodies that no reorder can be made of."""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def contract_() -> Document:
    return openapi.build(RESOURCES)


@pytest.fixture(scope="module", params=["3.1", "3.0"])
def form(request: pytest.FixtureRequest, contract_: Document, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with one form of the contract."""
    document = contract_ if request.param == "3.1" else openapi.convert(contract_)
    assert document["openapi"].startswith(request.param)
    file = tmp_path_factory.mktemp("contract") / f"openapi-{request.param}.json"
    file.write_bytes(orjson.dumps(document))
    return file


@contextmanager
def running(command: Sequence[str | Path], until: str) -> Iterator[str]:
    """The URL of a program that serves; what it says must tell it."""
    with subprocess.Popen(
        [NODE, *command], cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            said = ""
            while not (found := re.search(rf"{until}.*?(http://127\.0\.0\.1:\d+)", said)):
                line = process.stdout.readline()
                assert line, said
                said += line
            yield found[1]
        finally:
            process.kill()


def test_kong_routes_every_operation(contract_: Document, tmp_path: Path) -> None:
    file = tmp_path / "openapi-3.0.json"
    file.write_bytes(orjson.dumps(openapi.convert(contract_)))
    done = subprocess.run([NODE, "kong.js", file], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    routes = {
        (method, path) for route in json.loads(done.stdout) for method in route["methods"] for path in route["paths"]
    }
    for url, item in contract_["paths"].items():
        example = re.sub(r"\{\w+\}", "A1", url)
        for method in item.keys() - {"parameters"}:
            # Its regular expressions name groups as Kong's engine has them.
            fitting = [path for one, path in routes if one == method.upper() and _pattern(path).fullmatch(example)]
            assert fitting, (method, url)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(path.replace("(?<", "(?P<").removesuffix("$"))


def test_express_openapi_validator_lets_good_requests_through_and_no_bad_ones(form: Path) -> None:
    with running(["validator.js", form], "answers at") as url, httpx2.Client(base_url=url, timeout=120) as client:
        client.headers.update(SENT)
        for good in (
            "/api/orders?include=customer&fields[orders]=number,status&fields[customers]=email&page[size]=5",
            "/api/orders?filter[status]=placed&filter[q][number_eq]=1&sort=-placed_at&page[after]=start",
            "/api/orders/A/line_items?filter[sku_code][eq]=MUG&page[number]=2&page[size]=10",
            "/api/orders/A/relationships/customer?include=customer",
        ):
            answer = client.get(good)
            assert answer.status_code == 204, (good, answer.text)
        for bad in ("/api/orders?sort=colour", "/api/orders?include=Customer", f"/api/orders/{'x' * 65}"):
            answer = client.get(bad)
            assert answer.status_code == 400, (bad, answer.text)
        assert client.get("/api/orders", headers={"Authorization": ""}).status_code == 401
        assert client.get("/api/nothing").status_code == 404
        assert client.put("/api/orders").status_code == 405
        assert client.post("/api/reorders", content=orjson.dumps(REORDER)).status_code == 204
        change = {"type": "orders", "id": "A", "attributes": {"reference": "PO-21", "_cancel": True}}
        assert client.patch("/api/orders/A", content=orjson.dumps({"data": change})).status_code == 204
        for sent in BAD:
            answer = client.post("/api/reorders", content=orjson.dumps(sent))
            assert answer.status_code == 400, (sent, answer.text)


def test_prism_answers_with_the_examples_and_refuses_what_is_bad(contract_: Document, tmp_path: Path) -> None:
    """It gets the 3.1 form: a null of the 3.0 form it reads as an `enum` with null twice, and then checks no body."""
    file = tmp_path / "openapi.json"
    file.write_bytes(orjson.dumps(contract_))
    prism = FOLDER / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"
    shown = [example["value"] for example in contract_["components"]["examples"].values()]
    with (
        running([prism, "mock", "--host", "127.0.0.1", "--port", "0", file], "listening on") as url,
        httpx2.Client(base_url=url, timeout=120, headers=SENT | {"Accept": MEDIA_TYPE}) as client,
    ):
        for good in ("/api/orders?include=customer&page[size]=5", "/api/orders/A", "/api/orders/A/line_items"):
            answer = client.get(good)
            assert answer.status_code == 200, (good, answer.text)
            assert answer.json() in shown
        made = client.post("/api/reorders", content=orjson.dumps(REORDER))
        assert made.status_code == 201, made.text
        assert made.json() in shown
        for bad in ("/api/orders?sort=colour", f"/api/orders/{'x' * 65}"):
            answer = client.get(bad)
            assert answer.status_code == 422, (bad, answer.text)
        assert client.get("/api/orders", headers={"Authorization": ""}).status_code == 401
        for sent in BAD:
            answer = client.post("/api/reorders", content=orjson.dumps(sent))
            assert answer.status_code == 422, (sent, answer.text)
