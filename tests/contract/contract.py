"""Answers held against the OpenAPI document, and JSON:API documents against the specification."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

JSON_API = "application/vnd.api+json"


class Contract:
    """An OpenAPI document that answers can be checked against."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._registry: Registry[Any] = Registry().with_resource("openapi", DRAFT202012.create_resource(document))
        self._paths = {path: re.compile(re.sub(r"\{\w+\}", "[^/]+", path)) for path in document["paths"]}

    def operation(self, method: str, path: str) -> dict[str, Any]:
        """The operation that a URL's path belongs to; the most literal one where several would fit."""
        fitting = [described for described, pattern in self._paths.items() if pattern.fullmatch(path)]
        assert fitting, f"{path} is not described"
        item = self.document["paths"][min(fitting, key=lambda described: described.count("{"))]
        assert method.lower() in item, f"{method} {path} is not described"
        operation: dict[str, Any] = item[method.lower()]
        return operation

    def resolve(self, found: Any) -> Any:
        """What a reference stands for."""
        while isinstance(found, dict) and "$ref" in found:
            at: Any = self.document
            for part in found["$ref"].removeprefix("#/").split("/"):
                at = at[part]
            found = at
        return found

    def check(self, answer: httpx2.Response) -> Any:
        """Assert that an answer is one that the contract describes for its request; gives its body, decoded if JSON."""
        request = answer.request
        operation = self.operation(request.method, request.url.path)
        where = f"{request.method} {request.url}: {answer.status_code} {answer.text[:2000]}"
        described = operation["responses"].get(str(answer.status_code))
        assert described is not None, f"undeclared status, {where}"
        response = self.resolve(described)
        for name, reference in response.get("headers", {}).items():
            assert name in answer.headers or not self.resolve(reference).get("required"), f"no {name}, {where}"
        content = response.get("content", {})
        media_type = answer.headers.get("content-type", "").partition(";")[0]
        if not content:
            assert not answer.content, where
            return None
        assert media_type in content, f"undeclared media type {media_type}, {where}"
        if not media_type.endswith("json"):
            return answer.text
        body = answer.json()
        self.validate(content[media_type]["schema"], body, where)
        if media_type == JSON_API:
            check_document(body)
        return body

    def validate(self, schema: Mapping[str, Any], value: Any, where: str = "") -> None:
        """Assert that a value is one that a schema of the document allows."""
        reference = {**schema, "$ref": f"openapi{schema['$ref']}"} if "$ref" in schema else schema
        problems = list(Draft202012Validator(reference, registry=self._registry).iter_errors(value))
        assert not problems, f"{[f'{p.json_path}: {p.message[:300]}' for p in problems]}, {where}"

    def parameters(self, method: str, path: str) -> Iterator[dict[str, Any]]:
        """The query parameters of an operation."""
        for reference in self.operation(method, path).get("parameters", []):
            parameter = self.resolve(reference)
            if parameter["in"] == "query":
                yield parameter


@cache
def _json_api() -> Draft202012Validator:
    # From pull request 1603 of github.com/json-api/json-api, CC0 1.0.
    return Draft202012Validator(json.loads((Path(__file__).parent / "jsonapi-1.1.json").read_text()))


def check_document(document: Mapping[str, Any]) -> None:
    """Assert what JSON:API 1.1 asks of every document, also what no schema can say."""
    problems = [f"{p.json_path}: {p.message[:300]}" for p in _json_api().iter_errors(document)]
    assert not problems, problems
    assert document["jsonapi"] == {"version": "1.1"}
    if "errors" in document:
        return
    data = document.get("data")
    primary = data if isinstance(data, list) else [] if data is None else [data]
    included = document.get("included", [])
    keys = [(resource["type"], resource["id"]) for resource in [*primary, *included]]
    bare = primary and primary[0].keys() <= {"type", "id", "meta"}
    if not bare:
        assert len(keys) == len(set(keys)), "a resource is in the document twice"
    reachable = {(resource["type"], resource["id"]) for resource in primary}
    todo = list(primary if not bare else [r for r in included if (r["type"], r["id"]) in reachable])
    known = {(resource["type"], resource["id"]): resource for resource in included}
    while todo:
        for linked in _linkage(todo.pop()):
            if linked not in reachable:
                reachable.add(linked)
                todo += [known[linked]] if linked in known else []
    assert known.keys() <= reachable, "something is included that nothing links to"
    for resource in [*(primary if not bare else []), *included]:
        if "links" not in resource:
            continue  # it is kept nowhere, so it has no URL
        own = resource["links"]["self"]
        assert own.endswith(f"/{resource['type']}/{resource['id']}")
        for name, relationship in resource.get("relationships", {}).items():
            assert relationship["links"] == {"self": f"{own}/relationships/{name}", "related": f"{own}/{name}"}
            assert name not in resource.get("attributes", {}), "fields share one namespace"


def _linkage(resource: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for relationship in resource.get("relationships", {}).values():
        data = relationship.get("data")
        for one in data if isinstance(data, list) else [] if data is None else [data]:
            yield one["type"], one["id"]
