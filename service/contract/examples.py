"""Real answers, and the requests that got them, as examples in the contract; `make examples` records them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from importlib.resources import files
from typing import Any

import orjson

from service.contract import errors

Object = dict[str, Any]

FILE = "examples.json"
"""Beside this module: a list of objects with `operation` (its id), `request` (method and URL), `status`, `media_type`
and `answer`, with the answer's `name`, and with what was `sent` in a body."""


def attach(document: Object) -> None:
    """Put what was recorded of the operations that there are into an OpenAPI document.

    What is answered is a shared example, of which each answer that it shows has the name.
    """
    operations = {
        operation["operationId"]: operation
        for item in document["paths"].values()
        for operation in item.values()
        if "operationId" in operation
    }
    records = [record for record in recorded() if record["operation"] in operations]
    answers = {record["name"]: record for record in records if "name" in record}
    shown: set[str] = set()
    for names, response in _responses(document, operations):
        for media_type, content in response.get("content", {}).items():
            found = [name for name in names(content["schema"]) if name in answers]
            found = [name for name in found if answers[name]["media_type"] == media_type]
            if found:
                content["examples"] = {name: {"$ref": f"#/components/examples/{name}"} for name in found}
                shown.update(found)
    document["components"]["examples"] = {
        name: {"summary": record["request"], "value": record["answer"]}
        for name, record in answers.items()
        if name in shown
    }
    bodies = document["components"]["requestBodies"]
    for record in records:
        if "sent" in record:
            body = operations[record["operation"]]["requestBody"]
            content = next(iter(bodies.get(_referred(body), body)["content"].values()))
            example = {"summary": record["request"], "value": record["sent"]}
            content.setdefault("examples", {record["operation"]: example})


@cache
def recorded() -> list[Object]:
    """What was recorded, in the order of recording."""
    found: list[Object] = orjson.loads((files(__package__) / FILE).read_bytes())
    return found


def name(operation: Object, status: str, schema: Object) -> str:
    """The name of the example of an answer, one for all answers that are alike.

    Documents about resources are alike by their schema, whether they may be null or not; refusals by what is refused.
    """
    response = operation["responses"][status]
    if "$ref" not in response:
        return _inline(operation, status)
    return _referred(response) if int(status) >= _REFUSED else _of_schema(schema)


_REFUSED = 400
_Names = Callable[[Object], Iterable[str]]


def _responses(document: Object, operations: Mapping[str, Object]) -> Iterator[tuple[_Names, Object]]:
    """Every answer that is described, with the names that examples of it may have, by the schema of its content."""
    for shared, response in document["components"]["responses"].items():
        yield partial(_of_shared, shared), response
    for operation in operations.values():
        for status, response in operation["responses"].items():
            if "$ref" not in response:
                yield partial(_of_inline, _inline(operation, status)), response


def _of_shared(name: str, schema: Object) -> tuple[str, ...]:
    covered = tuple(errors.covered(name).values()) if name in errors.OTHERWISE else (name,)
    return (*covered, _of_schema(schema))


def _of_inline(name: str, schema: Object) -> tuple[str, ...]:  # noqa: ARG001 -- as of shared ones
    return (name,)


def _inline(operation: Object, status: str) -> str:
    return f"{operation['operationId']}.{status}"


def _of_schema(schema: Object) -> str:
    return _referred(schema).replace("OrNull", "")


def _referred(found: Object) -> str:
    """The name of what is referred to, if anything is."""
    name_: str = found.get("$ref", "").rpartition("/")[2]
    return name_
