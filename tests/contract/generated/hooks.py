"""What schemathesis must be told of the contract, and why requests of the described form may be refused.

A description of form can't say everything. Each code of an error that a well-formed request may get has its reason in
REASONS; any other refusal of one is a finding. Its status must be described in any case.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import orjson
import schemathesis
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.core.media_types import YAML_MEDIA_TYPES
from schemathesis.openapi.checks import IgnoredAuth, RejectedPositiveData

REASONS = {
    "FILTER_NOT_ALLOWED": "`filter` describes the form of filters; which there are stands in the reference",
    "FORBIDDEN": "the token is of a kind, or has not the scopes, that `security` names",
    "IDEMPOTENCY_KEY_REUSED": "the same key is made up for two requests",
    "INVALID_DATA_FORMAT": "what an operation of a batch holds depends on what it is about",
    "INVALID_FILTER_VALUE": "what a filter is compared with depends on the attribute",
    "INVALID_INCLUDE": "paths of two and more relationships are described by a pattern",
    "INVALID_PAGE_VALUE": "a page is asked for in one of three ways, and cursors are the service's own",
    "INVALID_STATE": "the order, the subscription or the cart is not in a state that allows it",
    "INVALID_TOKEN": "the token of another kind of route",
    "LINK_GONE": "the token is no link's",
    "PRECONDITION_FAILED": "`If-Match` names no version that there is",
    "READ_ONLY": "what a change repeats of read-only fields must be what they are",
    "RECORD_NOT_FOUND": "linkage, or the URL, leads to nothing",
    "RECORD_NOT_UNIQUE": "the id is taken, or a value that only one may have",
    "TOO_MANY_REQUESTS": "addresses that try wrong links have a limit that no setting lifts",
    "TYPE_MISMATCH": "an operation of a batch names a type, and its data another",
    "UNAUTHORIZED": "the route is for tokens of another kind",
    "URI_TOO_LONG": "each value may be long, all of them together not that long",
    "VALIDATION_ERROR": "values depend on one another, and on what is there",
}
"""Code of an error -> why a request gets it although it is as described."""

PAGES = {
    400: "the form was not got from the page",
    404: "there is no such cart, or no such page",
    410: "the token is no link's",
    429: "addresses that try wrong links have a limit that no setting lifts",
}
"""The same for pages, which hold no code."""

WEMASY = {
    401: "the token is no customer's",
    404: "the order is not the customer's",
    409: "the same key is made up for two requests at once",
    422: "the same key is made up for two requests",
}
"""The same for WeMasy's route, whose errors hold no code."""

EMPTY_FIELDS = re.compile(r"fields%5B\w+%5D=(&|$)")


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext,  # noqa: ARG001 -- the hook's signature
    failure: Failure,
    case: schemathesis.Case[Any],
    response: schemathesis.Response,
) -> bool:
    """Keep a failure, unless it is a refusal with reasons."""
    if isinstance(failure, IgnoredAuth):
        # Who guesses sessions of carts is soon not answered at all any more.
        return "got `429 " not in failure.message
    if isinstance(failure, AcceptedNegativeData):
        # A list of one empty name is written as a list of none.
        return "fields[" not in failure.message or not EMPTY_FIELDS.search(str(response.request.url))
    if not isinstance(failure, RejectedPositiveData):
        return True
    if "/services/" in case.path:
        return response.status_code not in WEMASY
    if response.headers["content-type"][0].startswith("text/html"):
        return response.status_code not in PAGES
    return not all(code in REASONS for code in _codes(orjson.loads(response.content)))


def _codes(document: dict[str, Any]) -> Iterator[str]:
    """The codes of JSON:API's errors, or of Ecwid's."""
    if "errorCode" in document:
        yield document["errorCode"]
    for error in document.get("errors", []):
        yield error["code"]


@schemathesis.hook
def map_case(
    context: schemathesis.HookContext,  # noqa: ARG001 -- the hook's signature
    case: schemathesis.Case[Any],
) -> schemathesis.Case[Any]:
    """Change the resource that a document is about, which no description of a body alone can ask for."""
    data = case.body.get("data") if isinstance(case.body, dict) else None
    if case.method == "PATCH" and case.path.endswith("/{id}") and isinstance(data, dict) and "id" in data:
        data["id"] = case.path_parameters["id"]
    return case


@schemathesis.hook
def before_load_schema(context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:  # noqa: ARG001
    """Give URLs ids of the store's own resources, and describe what can be told from a media type's name alone."""
    ids = dict(_ids(raw_schema))
    for path, item in raw_schema["paths"].items():
        type_ = path.split("/")[2] if path.startswith("/api/") and "{id}" in path else ""
        if type_ in ids:
            mine = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
            first, last = ids[type_]
            for asked in (item, *item.values()):
                if "parameters" in asked:
                    asked["parameters"] = [
                        mine | {"example": first} if found == {"$ref": "#/components/parameters/id"} else found
                        for found in asked["parameters"]
                    ]
            if "delete" in item:
                item["delete"]["parameters"].append(mine | {"example": last})
    for parameter in raw_schema["components"]["parameters"].values():
        items = parameter["schema"].get("items", {})
        if items.get("format") == "int64":
            # Tells clients how large a number may be; violated as a form, it is still a number.
            del items["format"]
    for response in raw_schema["components"]["responses"].values():
        _merge_media_types(response.get("content", {}))


def _ids(raw_schema: dict[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Type -> the first and the last id on a page of it; those of a type that the token may not see are left out."""
    name, _, value = os.environ["CONTRACT_CREDENTIAL"].partition(": ")
    with httpx2.Client(base_url=os.environ["CONTRACT_URL"], headers={name: value}) as client:
        for path in raw_schema["paths"]:
            if path.endswith("/{id}"):
                url = path.removesuffix("/{id}")
                found = client.get(url, params={"page[size]": "100"}).json().get("data")
                if found:
                    yield url.rpartition("/")[2], (found[0]["id"], found[-1]["id"])


def _merge_media_types(content: dict[str, Any]) -> None:
    """Answers by cursor have a parameter in their media type, which schemathesis leaves out when it compares."""
    described: dict[str, list[Any]] = {}
    for name, value in content.items():
        described.setdefault(name.partition(";")[0], []).append(value["schema"])
    content.clear()
    content |= {name: {"schema": {"anyOf": schemas}} for name, schemas in described.items()}


@schemathesis.deserializer(*YAML_MEDIA_TYPES)
def unread(context: schemathesis.DeserializationContext, response: schemathesis.Response) -> dict[str, Any]:  # noqa: ARG001
    """Stand for openapi.yaml, which is longer than what schemathesis keeps of an answer; test_answers.py reads it."""
    return {}
