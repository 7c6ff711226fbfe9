"""What other services' operations are here: `operations.yaml`, told by the requests of `requests.yaml`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
ATOMIC = 'application/vnd.api+json; ext="https://jsonapi.org/ext/atomic"'


@dataclass(frozen=True, slots=True)
class Step:
    """One request, and what its answer has to show."""

    method: str
    path: str
    attributes: Mapping[str, Any] | None = None
    relationships: Mapping[str, str] | None = None
    operations: Sequence[Step] = ()
    keep: Mapping[str, str] = field(default_factory=dict)
    shows: Mapping[str, Any] = field(default_factory=dict)
    until: Mapping[str, Any] = field(default_factory=dict)
    status: int | None = None
    """The status of the answer, where it isn't the usual one of the method."""

    @classmethod
    def read(cls, words: Mapping[str, Any]) -> Step:
        method, path = words["do"].split(" ", 1)
        rest = {name: value for name, value in words.items() if name not in {"do", "operations"}}
        return cls(method, path, operations=[cls.read(one) for one in words.get("operations", ())], **rest)

    def filled(self, known: Mapping[str, str]) -> Step:
        """With what is known in the place of what stands in braces. Raises KeyError for what isn't known."""
        words = {name: getattr(self, name) for name in ("attributes", "relationships", "shows", "until")}
        operations = [one.filled(known) for one in self.operations]
        return replace(self, path=fill(self.path, known), operations=operations, **fill_all(words, known))

    @property
    def answered(self) -> int:
        """The status of its answer."""
        usual = {"DELETE": 204, "POST": 200 if self.operations else 201}
        return self.status or usual.get(self.method, 200)

    @property
    def document(self) -> dict[str, Any] | None:
        """What is sent: None where nothing is."""
        if self.operations:
            return {"atomic:operations": [one.operation for one in self.operations]}
        if self.attributes is None and self.relationships is None:
            return None
        return {"data": self._resource(self.path.removeprefix("/api/"))}

    @property
    def operation(self) -> dict[str, Any]:
        """The same as a part of an atomic request."""
        if self.method == "DELETE":
            return {"op": "remove", "ref": self._resource(self.path)}
        return {"op": {"POST": "add", "PATCH": "update"}[self.method], "data": self._resource(self.path)}

    def _resource(self, path: str) -> dict[str, Any]:
        type_, _, id_ = path.partition("/")
        related = {name: {"data": linked(to)} for name, to in (self.relationships or {}).items()}
        members = {"id": id_, "attributes": self.attributes, "relationships": related}
        return {"type": type_} | {name: value for name, value in members.items() if value}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Requests that do one thing.

    `shop` says whether they take the token of an integration, `given` what is made before them, `proof` what is asked
    after them.
    """

    steps: Sequence[Step]
    shop: bool = False
    given: Sequence[str] = ()
    proof: Sequence[Step] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """What stands for an operation of another service: recipes, or why there is none.

    `outside` names what it is about where that is no subscription.
    """

    recipes: Sequence[str] = ()
    remark: str = ""
    outside: str = ""

    @classmethod
    def read(cls, words: str | Sequence[str] | Mapping[str, Any]) -> Operation:
        if isinstance(words, str):
            return cls([words])
        if not isinstance(words, Mapping):
            return cls(words)
        by = words.get("by", [])
        return cls(
            [by] if isinstance(by, str) else by, words.get("but", words.get("not", "")), words.get("outside", "")
        )


@dataclass(frozen=True, slots=True)
class Service:
    """Another service: what it is called, where its names are from, and its operations."""

    title: str
    about: str
    source: str
    version: str
    read: str
    names: Sequence[str]
    operations: Mapping[str, Operation]

    @property
    def ours(self) -> Mapping[str, Operation]:
        """The operations that concern subscriptions."""
        return {name: found for name, found in self.operations.items() if not found.outside}

    @property
    def mapped(self) -> int:
        """How many of these have a request here."""
        return sum(bool(found.recipes) for found in self.ours.values())


def fill(words: str, known: Mapping[str, str]) -> str:
    return words.format_map(known)


def fill_all(value: Any, known: Mapping[str, str]) -> Any:
    """The same in everything that a value holds."""
    if isinstance(value, str):
        return fill(value, known)
    if isinstance(value, Mapping):
        return {name: fill_all(inner, known) for name, inner in value.items()}
    return [fill_all(inner, known) for inner in value] if isinstance(value, list) else value


def linked(to: str) -> dict[str, str]:
    """A resource identifier, of `orders/1`."""
    type_, id_ = to.split("/")
    return {"type": type_, "id": id_}


def _yaml(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


@cache
def recipes() -> Mapping[str, Recipe]:
    """All recipes by their names."""
    return {name: _recipe(words) for name, words in _yaml("requests.yaml").items() if name != "preparations"}


def _recipe(words: Mapping[str, Any]) -> Recipe:
    steps, proof = ([Step.read(one) for one in words.get(part, ())] for part in ("send", "proof"))
    return Recipe(steps, words.get("who") == "shop", words.get("given", ()), proof)


@cache
def preparations() -> Mapping[str, Sequence[Step]]:
    """What recipes are given, by its names."""
    return {name: [Step.read(one) for one in steps] for name, steps in _yaml("requests.yaml")["preparations"].items()}


@cache
def services() -> Mapping[str, Service]:
    """The other services, in the order of the page."""
    return {name: _service(name, words) for name, words in _yaml("operations.yaml")["services"].items()}


@cache
def topics() -> Mapping[str, str]:
    """What operations are about that don't concern subscriptions, with a sentence on each."""
    found: dict[str, str] = _yaml("operations.yaml")["outside"]
    return found


def _service(name: str, words: Mapping[str, Any]) -> Service:
    listed = json.loads((FOLDER / f"{name}.json").read_text())
    operations = {one: Operation.read(found) for one, found in words["operations"].items()}
    return Service(words["title"], words["about"], operations=operations, **listed)
