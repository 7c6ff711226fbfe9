"""The contract with what it says once said everywhere, so that checks are exact.

`openapi.yaml` says as `default` what may be answered at any URL, and has the headers of every answer in one place. Here
each operation has every status that it can answer with, each with its own codes and headers, and no other. Objects that
are made of parts are whole.
"""

from __future__ import annotations

from typing import Any

from service.contract import errors
from service.contract.wholes import whole
from service.jsonapi.negotiation import MEDIA_TYPE

Object = dict[str, Any]

_RESPONSES = "#/components/responses/"


def exact(document: Object) -> Object:
    """The same contract with every status of every operation."""
    common = document["x-headers"]
    document = whole(document, document["components"]["schemas"])
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
        if status == "default":
            covered = errors.covered(response["$ref"].removeprefix(_RESPONSES))
            found = {one: {"$ref": f"{_RESPONSES}{answer}"} for one, answer in covered.items()} | found
        else:
            found[status] = response if "$ref" in response else _with(response, common)
    return operation | {"responses": found}


def _with(response: Object, common: Object) -> Object:
    """A response with the headers that all of its media types have."""
    of_type = common[MEDIA_TYPE] if MEDIA_TYPE in response.get("content", {}) else {}
    return response | {"headers": common["*"] | of_type | response.get("headers", {})}
