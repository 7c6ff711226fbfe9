"""openapi.yaml: valid, current, and about the routes that there are, all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from openapi_spec_validator import OpenAPIV30SpecValidator, validate
from starlette.routing import Route

from schemas.graph import graph
from service.contract import openapi
from service.http.routes import routes
from service.principal import SCOPES
from service.resources import RESOURCES
from tests.contract.contract import Contract

FILE = Path(__file__).parents[2] / "openapi.yaml"


MOST_BYTES = 34_600
"""How much of the file a type takes at most, with all that it shares: it was 61 000."""
TYPES = len(RESOURCES) + 1
"""The types of the registry, and previews of subscriptions, which no table keeps."""


def operations(contract: Contract) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in contract.document["paths"].items():
        for method in ("get", "post", "patch", "put", "delete"):
            if method in item:
                yield method, path, item[method]


def test_it_is_valid_openapi_3_1(contract: Contract) -> None:
    validate(contract.document)
    assert contract.document["openapi"] == "3.1.0"


def test_the_older_form_is_valid_openapi_3_0_and_says_the_same(contract: Contract) -> None:
    older = openapi.convert(contract.document)
    validate(older, cls=OpenAPIV30SpecValidator)
    assert older["openapi"].startswith("3.0.")
    assert older["paths"].keys() == contract.document["paths"].keys()
    for path, item in older["paths"].items():
        assert item.keys() == contract.document["paths"][path].keys()
    text = orjson.dumps(older["components"]["schemas"])
    assert b'"null"' not in text
    whole = older["components"]["schemas"]["OrderAttributes"]
    assert whole["properties"].keys() == graph["orders"].attributes.keys()
    assert whole["additionalProperties"] is False
    said = contract.document["components"]["schemas"]["OrderFacts"]["properties"]["status"]
    assert whole["properties"]["status"]["enum"] == said["enum"]
    assert older["components"]["schemas"]["JsonApi"]["properties"]["version"] == {"type": "string", "enum": ["1.1"]}
    assert older["paths"]["/api/orders"]["get"]["x-scopes"] == ["read_orders"]


def test_the_committed_file_is_current_and_small(contract: Contract) -> None:
    text = FILE.read_text()
    assert text == openapi.dump(contract.document), "run `make openapi`"
    assert len(text.encode()) < MOST_BYTES * TYPES, "what types have in common is said once"


def test_the_size_of_a_type_goes_down_only() -> None:
    """Who makes the document smaller lowers the number."""
    assert len(FILE.read_bytes()) > 0.97 * MOST_BYTES * TYPES


def test_every_type_is_described(contract: Contract) -> None:
    assert RESOURCES.keys() == graph.keys()
    for type_, entry in RESOURCES.items():
        url = f"/api/{type_}"
        methods = contract.document["paths"][url].keys() - {"parameters"}
        assert methods == ({"get", "post"} if entry.create else {"get"})
        assert f"{url}/{{id}}" in contract.document["paths"]
        for name in entry.resource.relationships:
            assert f"{url}/{{id}}/{name}" in contract.document["paths"]
            assert f"{url}/{{id}}/relationships/{name}" in contract.document["paths"]


def test_every_route_is_described_and_every_described_path_is_routed(contract: Contract) -> None:
    def plain(path: str) -> str:
        return re.sub(r"\{[^}]*\}", "{}", path)

    described = {plain(path) for path in contract.document["paths"]}
    routed = {plain(route.path): route for route in routes if isinstance(route, Route)}
    generic = {path: re.compile(path.replace("{}", "[^/]+")) for path in routed if path.startswith("/api/{}")}
    fixed = routed.keys() - generic.keys()
    assert fixed <= described
    for path in described - fixed:
        assert any(pattern.fullmatch(path) for pattern in generic.values()), path
    for path, pattern in generic.items():
        assert any(pattern.fullmatch(one) for one in described), path
    for method, path, _ in operations(contract):
        route = routed.get(plain(path))
        assert route is None or not route.methods or method.upper() in route.methods
    # Where a route names no methods, its handler knows them.
    for path in (path for path in fixed if routed[path].methods):
        item = next(item for one, item in contract.document["paths"].items() if plain(one) == path)
        wanted = {method.lower() for method in routed[path].methods or ()} - {"head"}
        assert wanted == item.keys() & {"get", "post", "put", "patch", "delete"}


def test_operations_have_names_of_their_own_and_known_scopes(contract: Contract) -> None:
    names = [operation["operationId"] for _, _, operation in operations(contract)]
    assert len(names) == len(set(names))
    assert all(re.fullmatch("[a-z][A-Za-z]+", name) for name in names)
    tags = {tag["name"] for tag in contract.document["tags"]}
    for _, path, operation in operations(contract):
        assert set(operation["tags"]) <= tags
        scopes = {scope for one in operation["security"] for needed in one.values() for scope in needed}
        assert scopes <= set(SCOPES), path
        assert operation["summary"]


def test_whatever_asks_for_a_token_says_that_wrong_ones_are_soon_not_looked_at(contract: Contract) -> None:
    for method, path, operation in operations(contract):
        # The token of the metrics is the settings' own: nobody counts who guesses it.
        asked = {name for one in operation["security"] for name in one} - {"metricsToken"}
        assert not asked or "429" in contract.operation(method, path)["responses"], (method, path)


def test_nothing_is_described_in_vain(contract: Contract) -> None:
    text = FILE.read_text()
    for kind in ("parameters", "headers", "responses", "schemas"):
        for name in contract.document["components"][kind]:
            assert f"#/components/{kind}/{name}'" in text or f"#/components/{kind}/{name}\n" in text, name


def test_every_attribute_has_a_description() -> None:
    for type_, resource in graph.items():
        fields = {**resource.attributes, **resource.triggers, **resource.disclosed}
        assert [name for name, field in fields.items() if not field.schema().get("description")] == [], type_
