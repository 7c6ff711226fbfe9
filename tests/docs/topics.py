"""`make docs`: docs/reference/topics.md, every topic: when its event happens, and what was told of a real one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import service.resources  # noqa: F401 -- declares the graph
from service.contract.topics import told
from service.rules.occasions import when
from service.rules.topics import TOPICS

_HEAD = """# Topics

Every event there can be, by its topic: when it happens, and what a webhook with `payload` `thin` was sent of a real
one. With `full`, `data` is the whole resource, as a request for it returns it. [Webhooks](webhooks.md) and
[the stream](webhooks.md#server-sent-events) take topics by their names, `<type>.*` for all of a type, and `*` for all;
[`/asyncapi.yaml`](/asyncapi.yaml) has their schemas.

Ids and instants are made up, and the same at every recording.
"""


def page() -> str:
    """The page."""
    return "".join(_parts()).rstrip() + "\n"


def _parts() -> Iterator[str]:
    yield _HEAD
    recorded = told()
    for type_, words in TOPICS.items():
        yield f"\n## {type_}\n"
        for word in words:
            name = f"{type_}.{word}"
            yield f"\n### {name}\n\n{when(name)}\n"
            payload = recorded[name]
            short = {member: payload[member] for member in ("data", "meta")}
            yield f"\n```json\n{json.dumps(short, indent=2, ensure_ascii=False)}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(page())
