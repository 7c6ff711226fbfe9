"""`make docs`: docs/reference/states.md, what can be done to a resource and what follows, from the tables of verbs."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import service.resources  # noqa: F401 -- declares the graph, and checks it against the tables
from service.rules.verbs import MOVES, VERBS, edges
from tests.docs.resources import table

_HEAD = """# States and verbs

A verb is an attribute that is sent and not kept: `PATCH {"attributes": {"_cancel": true}}`. Said in a state
that it is not for, it is refused with 409 `INVALID_STATE`, by somebody who it is not for with 403. Said where all is as
it would leave it ("nothing to do in"), it changes nothing, and no event is written. Each verb that does something
writes the event `<type>.<event>`. Under "who" *guests* are all who may write the type, also with the session of a
cart; *customers* are customers and integrations.

What stands at an arrow without a leading underscore happens by itself.
"""


def page() -> str:
    """The page."""
    return "".join(_parts()).rstrip() + "\n"


def _parts() -> Iterator[str]:
    yield _HEAD
    for type_ in sorted(VERBS.keys() | MOVES.keys()):
        yield f"\n## {type_}\n\n"
        arrows = list(edges(type_))
        if arrows:
            yield "```mermaid\nstateDiagram-v2\n"
            yield from (f"    {source} --> {target}: {label}\n" for source, target, label in arrows)
            yield "```\n"
        rows = [
            (
                f"`_{name}`",
                ", ".join(f"`{source}`" for source in sorted(verb.sources)),
                f"`{verb.target}`" if verb.target else "",
                ", ".join(f"`{status}`" for status in sorted(verb.settled)),
                ", ".join([verb.who, *(f"`{status}`: {who}" for status, who in sorted(verb.only.items()))]),
                verb.effect,
                f"`{verb.event}`",
            )
            for name, verb in VERBS.get(type_, {}).items()
        ]
        if rows:
            yield "\n" if arrows else ""
            yield from table(("verb", "from", "to", "nothing to do in", "who", "effect", "event"), rows)


if __name__ == "__main__":
    sys.stdout.write(page())
