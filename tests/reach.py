"""What of our code a piece of it can run: the definitions that it names, those that these name, and so on.

A definition is a function, class or assignment at the top of a module. A class stands for all of its methods, and a
name counts wherever it is written, in annotations too: what is found is never too little, and may be a little too much.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import NamedTuple, TypeAlias

from tests.processes import ROOT

PACKAGES = ("schemas", "service", "sql")


class Definition(NamedTuple):
    """Where something is defined: `service.store.counts`, `keep`."""

    module: str
    name: str


Names: TypeAlias = Mapping[str, Definition | str]
"""What the names of a module stand for: a definition, here or elsewhere, or a module."""


class Module(NamedTuple):
    """A module: what it defines, and what the names in it stand for."""

    defined: Mapping[str, ast.stmt]
    names: Names


def reachable(*roots: Definition) -> Mapping[Definition, ast.stmt]:
    """The definitions that can be run from some. Raises KeyError for one that there is none of."""
    found: dict[Definition, ast.stmt] = {}
    waiting = [*roots]
    while waiting:
        at = _home(waiting.pop())
        if at is not None and at not in found:
            module = _modules()[at.module]
            found[at] = module.defined[at.name]
            waiting += _named(found[at], module.names)
    if missing := {root for root in roots if _home(root) not in found}:
        raise KeyError(missing)
    return found


def texts(definitions: Iterable[ast.stmt]) -> Iterator[str]:
    """The strings that stand in definitions, but for parts of f-strings."""
    for definition in definitions:
        for node in ast.walk(definition):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


@cache
def _modules() -> Mapping[str, Module]:
    trees = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            trees[name] = ast.parse(path.read_text())
    return {name: _module(name, tree, trees) for name, tree in trees.items()}


def _module(name: str, tree: ast.Module, trees: Mapping[str, object]) -> Module:
    names: dict[str, Definition | str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for one in node.names:
                whole = f"{node.module}.{one.name}"
                names[one.asname or one.name] = whole if whole in trees else Definition(node.module, one.name)
        elif isinstance(node, ast.Import):
            names |= {one.asname or one.name: one.name for one in node.names}
    defined = {found: node for node in tree.body for found in _defines(node)}
    return Module(defined, names | {found: Definition(name, found) for found in defined})


def _defines(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield from (part.id for part in ast.walk(target) if isinstance(part, ast.Name))


def _named(definition: ast.stmt, names: Names) -> Iterator[Definition]:
    for node in ast.walk(definition):
        if isinstance(node, ast.Name) and isinstance(found := names.get(node.id), Definition):
            yield found
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = names.get(node.value.id)
            if isinstance(module, str):
                yield Definition(module, node.attr)


def _home(at: Definition) -> Definition | None:
    """Where something is defined that a module may only have imported; None for what isn't ours."""
    module = _modules().get(at.module)
    if module is None:
        return None
    if at.name in module.defined:
        return at
    elsewhere = module.names.get(at.name)
    return _home(elsewhere) if isinstance(elsewhere, Definition) else None
