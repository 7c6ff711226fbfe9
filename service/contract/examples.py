"""Real answers, and the requests that got them, as examples in the contract; `make examples` records them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import orjson

Object = dict[str, Any]

FILE = "examples.json"
"""Beside this module: a list of objects with `operation` (its id), `request` (method and URL), `status`,
`media_type` and `answer`, and with what was `sent` in a body."""


def attach(document: Object) -> None:
    """Put what was recorded of the operations that there are into an OpenAPI document."""
    operations = {
        operation["operationId"]: operation
        for item in document["paths"].values()
        for operation in item.values()
        if "operationId" in operation
    }
    for record in recorded():
        operation = operations.get(record["operation"])
        if operation is None:
            continue
        response = _resolved(document, operation["responses"].get(record["status"], {}))
        _add(response, record["media_type"], record, record["answer"])
        if "sent" in record:
            _add(operation["requestBody"], next(iter(operation["requestBody"]["content"])), record, record["sent"])


@cache
def recorded() -> list[Object]:
    """What was recorded, in the order of recording."""
    found: list[Object] = orjson.loads((files(__package__) / FILE).read_bytes())
    return found


def _add(holder: Object, media_type: str, record: Object, value: Any) -> None:
    content = holder.get("content", {})
    if media_type in content:
        examples = content[media_type].setdefault("examples", {})
        examples[record["operation"]] = {"summary": record["request"], "value": value}


def _resolved(document: Object, found: Object) -> Object:
    """An answer in place, or the shared one that a reference stands for."""
    name = found.get("$ref", "").rpartition("/")[2]
    resolved: Object = document["components"]["responses"][name] if name else found
    return resolved
