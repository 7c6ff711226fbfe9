"""`make new TYPE=gift_messages`: write what the tests need beside the three edits that make a resource type."""

from __future__ import annotations

import sys
from difflib import get_close_matches

import yaml

from schemas.graph import graph
from service.resources import RESOURCES
from tests import samples
from tests.samples.deriving import sample

_PAGE = "docs/how-to/add-a-resource-type.md"


def write(type_: str) -> str:
    """Write the sample of a type, unless it has one or needs none; returns a sentence that says which.

    Raises SystemExit with a sentence for what is no type of the registry.
    """
    if type_ not in RESOURCES:
        raise SystemExit(_unknown(type_))
    path = samples.path(type_)
    shown = path.relative_to(samples.FOLDER.parents[1])
    if path.exists():
        return f"{shown} is there already: it stays as it is."
    kept = sample(RESOURCES[type_])
    if not kept:
        return f"Clients only read {type_}: the tests need nothing. Add one to the demo data, so that it is shown."
    path.write_text(yaml.safe_dump(kept, sort_keys=False, allow_unicode=True))
    return f"Wrote {shown}: read it through, and make its values ones that a reader understands."


def _unknown(type_: str) -> str:
    if not type_:
        return "Say which type: make new TYPE=gift_messages"
    if type_ in graph:
        return f"service/resources.py has no line for {type_}: add one. See {_PAGE}."
    near = get_close_matches(type_.lower().replace("-", "_"), graph.keys(), n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"schemas/ declares no type {type_}.{meant} See {_PAGE} for the three edits that come first."


if __name__ == "__main__":
    sys.stdout.write(write("".join(sys.argv[1:2])) + "\n")
