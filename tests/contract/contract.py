"""Answers held against the OpenAPI document, and JSON:API documents against the specification."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs

from tests.contract.exact import exact

JSON_API = "application/vnd.api+json"
METHODS = ("get", "post", "patch", "put", "delete")

_ORDINARY = frozenset({
    "content-type", "content-length", "content-encoding", "date", "server",
    "content-security-policy", "cross-origin-opener-policy", "referrer-policy", "x-content-type-options",
    "x-frame-options", "x-robots-tag",
})  # fmt: skip
"""Headers that an answer may have without a word in the contract; those of CORS may come along too."""
_URI = "urn:contract"
_REFUSALS = (400, 401, 403, 404, 405, 406, 413, 414, 415, 429, 431, 500, 503)
"""How something is answered that the contract doesn't offer."""


class Contract:
    """An OpenAPI document that answers can be checked against."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._exact = exact(document)
        # A slash within an order's code is part of its segment.
        self._paths = {
            path: re.compile(re.sub(r"\\\{\w+\\\}", ".+" if "{orderId}" in path else "[^/]+", re.escape(path)))
            for path in document["paths"]
        }
        self._fitting = lru_cache(maxsize=4096)(self._fitting_path)
        shared = {"components": self._exact["components"]}
        self._registry = jsonschema_rs.Registry([(_URI, shared)], draft=jsonschema_rs.Draft202012)
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def _fitting_path(self, path: str) -> str | None:
        fitting = [described for described, pattern in self._paths.items() if pattern.fullmatch(path)]
        return min(fitting, key=lambda described: described.count("{"), default=None)

    def described(self, path: str) -> dict[str, Any] | None:
        """What there is at a URL's path, with or without a slash at its end; the most literal of what would fit."""
        found = self._fitting(path.rstrip("/") or "/")
        return None if found is None else self._exact["paths"][found]

    def operation(self, method: str, path: str) -> dict[str, Any]:
        """The operation that a URL's path belongs to."""
        item = self.described(path)
        assert item is not None, f"{path} is not described"
        assert method.lower() in item, f"{method} {path} is not described"
        operation: dict[str, Any] = item[method.lower()]
        return operation

    def resolve(self, found: Any) -> Any:
        """What a reference stands for."""
        while isinstance(found, dict) and "$ref" in found:
            at: Any = self._exact
            for part in found["$ref"].removeprefix("#/").split("/"):
                at = at[part]
            found = at
        return found

    def check(self, answer: httpx2.Response) -> Any:
        """Assert that an answer is one that the contract describes for its request; gives its body, decoded if JSON.

        What the contract doesn't offer must be refused, with an error of a shape that it describes.
        """
        request = answer.request
        where = f"{request.method} {request.url}: {answer.status_code} {answer.text[:2000]}"
        method, path = _asked(request)
        item = self.described(path)
        if item is not None and answer.headers.get("allow") and path.startswith("/api"):
            offered = {one.upper() for one in METHODS if one in item} | {"HEAD", "OPTIONS"}
            told = {one.strip() for one in answer.headers["allow"].split(",")}
            assert told | {"HEAD", "OPTIONS"} == offered, where
        if item is None or method not in item:
            return self._refusal(answer, where)
        described = item[method]["responses"].get(str(answer.status_code))
        assert described is not None, f"undeclared status, {where}"
        response = self.resolve(described)
        self._headers(answer, response.get("headers", {}), where)
        if answer.is_success:
            self._request(request, item[method], where)
        content = response.get("content", {})
        if not content or request.method == "HEAD":
            assert not answer.content, where
            return None
        media_type = _fitting_media(answer.headers.get("content-type", ""), content)
        assert media_type is not None, f"undeclared media type {answer.headers.get('content-type')}, {where}"
        # A part of something has no schema of its own.
        return answer.text if answer.status_code == 206 else self._body(answer, content[media_type]["schema"], where)

    def _body(self, answer: httpx2.Response, schema: Mapping[str, Any], where: str) -> Any:
        media_type = answer.headers["content-type"].partition(";")[0]
        if not media_type.endswith("json"):
            return answer.text
        assert answer.content, where
        body = answer.json()
        self.validate(schema, body, where)
        if media_type == JSON_API:
            # Fieldsets may leave out the linkage that led to what is included.
            check_document(body, full_linkage=b"fields" not in answer.request.url.query)
        return body

    def _refusal(self, answer: httpx2.Response, where: str) -> Any:
        """Hold an answer to something undescribed against what errors look like; OPTIONS may be asked anywhere."""
        if answer.request.method == "OPTIONS" and answer.is_success:
            assert answer.headers.keys() & {"allow", "access-control-allow-methods"}, where
            return answer.text
        assert answer.status_code in _REFUSALS, f"neither described nor refused, {where}"
        if answer.headers.get("content-type", "").partition(";")[0] != JSON_API or not answer.content:
            return answer.text
        return self._body(answer, {"$ref": "#/components/schemas/Errors"}, where)

    def _headers(self, answer: httpx2.Response, described: Mapping[str, Any], where: str) -> None:
        known = {name.lower(): self.resolve(reference) for name, reference in described.items()}
        for name, header in known.items():
            if name in answer.headers:
                self._header(header["schema"], answer.headers[name], f"{name} of {where}")
            else:
                assert not header.get("required"), f"no {name}, {where}"
        for name in answer.headers:
            assert name in known or name in _ORDINARY or name.startswith("access-control-"), f"{name}, {where}"

    def _header(self, schema: Mapping[str, Any], text: str, where: str) -> None:
        value = int(text) if schema["type"] == "integer" and text.isdecimal() else text
        self.validate(schema, value, where)

    def _request(self, request: httpx2.Request, operation: Mapping[str, Any], where: str) -> None:
        """Assert that what was taken is described: the query parameters, and the body if it is JSON."""
        query = request.url.query.decode("ascii")
        if query:
            described = list(self._queried(operation))
            known = {parameter["name"] for parameter in described}
            families = {parameter["name"] for parameter in described if parameter.get("style") == "deepObject"}
            for name in httpx2.QueryParams(query):
                fits = name in known or name.partition("[")[0] in families
                assert fits, f"undeclared parameter {name}, {where}"
        content = operation.get("requestBody", {}).get("content", {})
        media_type = _fitting_media(request.headers.get("content-type", ""), content)
        if media_type is not None and media_type.endswith("json"):
            self.validate(content[media_type]["schema"], json.loads(request.content), f"sent to {where}")

    def validate(self, schema: Mapping[str, Any], value: Any, where: str = "") -> None:
        """Assert that a value is one that a schema of the document allows."""
        key = json.dumps(schema)
        if key not in self._validators:
            absolute = json.loads(key.replace('"#/', f'"{_URI}#/'))
            self._validators[key] = jsonschema_rs.Draft202012Validator(absolute, registry=self._registry)
        _assert_valid(self._validators[key], value, where)

    def parameters(self, method: str, path: str) -> Iterator[dict[str, Any]]:
        """The query parameters of an operation."""
        yield from self._queried(self.operation(method, path))

    def _queried(self, operation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for reference in operation.get("parameters", []):
            parameter = self.resolve(reference)
            if parameter["in"] == "query":
                yield parameter


def _asked(request: httpx2.Request) -> tuple[str, str]:
    """The method, HEAD as GET, and the path that a request means."""
    method, path = request.method.lower(), request.url.raw_path.decode("ascii").partition("?")[0]
    override = request.headers.get("x-http-method-override", "").lower()
    if method == "post" and path.startswith("/api/") and override in ("patch", "put", "delete"):
        method = override
    return "get" if method == "head" else method, path


def _fitting_media(media_type: str, content: Iterable[str]) -> str | None:
    """The described media type of an answer: with its parameters, else without."""
    plain = media_type.partition(";")[0]
    return next((name for name in (media_type, plain) if name in content), None)


def _assert_valid(validator: jsonschema_rs.Draft202012Validator, value: Any, where: str) -> None:
    if not validator.is_valid(value):
        problems = [f"{'/'.join(map(str, p.instance_path))}: {p.message[:300]}" for p in validator.iter_errors(value)]
        raise AssertionError(f"{problems}, {where}")


@cache
def _json_api() -> jsonschema_rs.Draft202012Validator:
    # From pull request 1603 of github.com/json-api/json-api, CC0 1.0.
    return jsonschema_rs.Draft202012Validator(json.loads((Path(__file__).parent / "jsonapi-1.1.json").read_text()))


def check_document(document: Mapping[str, Any], *, full_linkage: bool = True) -> None:
    """Assert what JSON:API 1.1 asks of every document, also what no schema can say.

    `full_linkage` asks for linkage that leads to everything that is included.
    """
    plain = {name: value for name, value in document.items() if ":" not in name}
    if plain.keys() < document.keys():
        # The schema knows no extensions: what is theirs stands in for the member that every document needs.
        assert document["jsonapi"]["ext"], "members of an extension that was not applied"
        plain["meta"] = {}
    _assert_valid(_json_api(), plain, "")
    assert document["jsonapi"].keys() <= {"version", "ext", "profile"}
    assert document["jsonapi"]["version"] == "1.1"
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
    assert not full_linkage or known.keys() <= reachable, "something is included that nothing links to"
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
