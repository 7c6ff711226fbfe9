"""What schemathesis must be told of the contract, and what it notes on its way.

A refusal of a well-formed request is a finding unless reasons.py has its reason. Its status must be described in any
case. What operations answered, and which reasons were needed, goes to the file that CONTRACT_NOTES names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import orjson
import schemathesis
from schemathesis import GenerationMode
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.core.media_types import YAML_MEDIA_TYPES
from schemathesis.generation.meta import TestPhase
from schemathesis.openapi.checks import IgnoredAuth, RejectedPositiveData

from tests.contract.exact import exact
from tests.contract.generated.reasons import REASONS

EMPTY_LIST = re.compile(r"(?:fields%5B\w+%5D|[?&]include)=(&|$)")
_ids_of_types: dict[str, tuple[str, str]] = {}
_noted: set[str] = set()


@schemathesis.hook
def after_call(
    context: schemathesis.HookContext,  # noqa: ARG001 -- the hook's signature
    case: schemathesis.Case[Any],
    response: schemathesis.Response,
) -> None:
    """Note how an operation answered."""
    _note(f"{response.status_code} {case.method.upper()} {case.path}")


def _note(line: str) -> None:
    """Append a line once. Threads may write one twice, which does no harm."""
    if line not in _noted:
        _noted.add(line)
        with Path(os.environ["CONTRACT_NOTES"]).open("a") as notes:
            notes.write(f"{line}\n")


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
        listed = any(name in failure.message for name in ("`fields[", "`include`"))
        return not listed or not EMPTY_LIST.search(str(response.request.url))
    if not isinstance(failure, RejectedPositiveData):
        return True
    needed = set(_needed(case.path, response))
    if not needed or not needed <= REASONS.keys():
        return True
    for reason in needed:
        _note(f"reason {reason}")
    return False


def _needed(path: str, response: schemathesis.Response) -> Iterator[str]:
    """The reasons that a refusal must have."""
    if "/services/" in path:
        yield f"WeMasy {response.status_code}"
    elif path == "/mcp":
        yield f"MCP {response.status_code}"
    elif path.startswith("/oauth/"):
        yield f"OAuth {response.status_code}"
    elif path == "/metrics":
        yield f"metrics {response.status_code}"
    elif response.headers["content-type"][0].startswith("text/html"):
        yield f"page {response.status_code}"
    else:
        yield from _codes(orjson.loads(response.content))


def _codes(document: dict[str, Any]) -> Iterator[str]:
    """The codes of JSON:API's errors, or of Ecwid's."""
    if "errorCode" in document:
        yield document["errorCode"]
    for error in document.get("errors", []):
        yield error["code"]


@schemathesis.hook
def before_call(
    context: schemathesis.HookContext,  # noqa: ARG001 -- the hook's signature
    case: schemathesis.Case[Any],
    kwargs: dict[str, Any],  # noqa: ARG001 -- the hook's signature
) -> None:
    """Change the resource that a document is about, and let linkage of examples lead to what there is.

    No description of a body alone can ask for either.
    """
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    body: Any = case.body
    data = body.get("data") if isinstance(body, dict) else None
    if case.method == "PATCH" and case.path.endswith("/{id}") and isinstance(data, dict):
        case.body = body | {"data": data | {"id": case.path_parameters["id"]}}
    if case.meta.phase.name == TestPhase.EXAMPLES and "/relationships/" in case.path and data:
        case.body = body | {"data": [_known(one) for one in data] if isinstance(data, list) else _known(data)}


def _known(identifier: dict[str, Any]) -> dict[str, Any]:
    """The same with the id of a resource that there is, if there is one of its type."""
    return identifier | {"id": _ids_of_types.get(identifier["type"], (identifier["id"],))[0]}


@schemathesis.hook
def before_load_schema(context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:  # noqa: ARG001
    """Give URLs ids of the store's own resources, and describe what can be told from a media type's name alone."""
    described = exact(raw_schema)
    raw_schema.clear()
    raw_schema |= described
    ids = _ids_of_types
    ids.update(_ids(raw_schema))
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
    shared = raw_schema["components"]["parameters"]
    shared["fields"]["schema"] = _fieldsets(shared.values())
    for response in raw_schema["components"]["responses"].values():
        _merge_media_types(response.get("content", {}))


def _fieldsets(parameters: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The fieldsets of all types, which the contract has at the URL of each type; an empty one asks for no fields."""
    properties = {}
    for parameter in parameters:
        if parameter["name"].startswith("fields["):
            names = "|".join(parameter["schema"]["items"]["enum"])
            type_ = parameter["name"].removeprefix("fields[").rstrip("]")
            properties[type_] = {"type": "string", "pattern": f"^(({names})(,({names}))*)?$"}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _ids(raw_schema: dict[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Type -> the first and the last id on a page of it; those of a type that the token may not see are left out."""
    name, _, value = os.environ["CONTRACT_CREDENTIAL"].partition(": ")
    with httpx2.Client(base_url=os.environ["CONTRACT_URL"], headers={name: value}) as client:
        for path in raw_schema["paths"]:
            if path.startswith("/api/") and path.endswith("/{id}"):
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
