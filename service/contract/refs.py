"""References to the shared components of the contract, by their names."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

SCHEMAS = "#/components/schemas/"
"""What a reference to a shared schema begins with."""


def schema(name: str) -> Object:
    """A reference to a shared schema."""
    return {"$ref": f"{SCHEMAS}{name}"}


def parameter(name: str) -> Object:
    """A reference to a shared parameter; one that is a header has the header's name."""
    return {"$ref": f"#/components/parameters/{name}"}


def response(name: str) -> Object:
    """A reference to a shared answer."""
    return {"$ref": f"#/components/responses/{name}"}


def request_body(name: str) -> Object:
    """A reference to a shared body of requests."""
    return {"$ref": f"#/components/requestBodies/{name}"}


def headers(*names: str) -> Object:
    """`headers` of an answer, each described under its own name."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
