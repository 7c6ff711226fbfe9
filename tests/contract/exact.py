"""The contract with what it says once said everywhere, so that checks are exact.

`openapi.yaml` has ranges where a status may happen at any URL, and the headers of every answer in one place. Here each
operation has every status that it can answer with, each with its own codes and headers, and no other.
"""

from __future__ import annotations

from typing import Any

from service.contract import errors
from service.jsonapi.negotiation import MEDIA_TYPE

Object = dict[str, Any]

_RESPONSES = "#/components/responses/"


def exact(document: Object) -> Object:
    """The same contract without ranges, of which nothing is shared with the document but its leaves."""
    common = document["x-headers"]
    components = document["components"]
    shared = components["responses"] | errors.responses(errors.ANSWERS, MEDIA_TYPE)
    return document | {
        "paths": {
            path: {method: _operation(operation, common) for method, operation in item.items()}
            for path, item in document["paths"].items()
        },
        "components": components
        | {
            "responses": {name: _with(found, common) for name, found in shared.items()},
            "schemas": components["schemas"] | errors.schemas(errors.ANSWERS),
        },
    }


def _operation(operation: Any, common: Object) -> Any:
    if "responses" not in operation:
        return operation
    found: Object = {}
    for status, response in operation["responses"].items():
        if status.endswith("XX"):
            covered = errors.covered(response["$ref"].removeprefix(_RESPONSES))
            found = {one: {"$ref": f"{_RESPONSES}{answer}"} for one, answer in covered.items()} | found
        else:
            found[status] = response if "$ref" in response else _with(response, common)
    return operation | {"responses": found}


def _with(response: Object, common: Object) -> Object:
    return response | {"headers": common | response.get("headers", {})}
