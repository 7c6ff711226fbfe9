"""Documents that are too large to be kept: what they show is told by type, id, link and version."""

from __future__ import annotations

from typing import Any, Final

import orjson

from service.jsonapi.atomic import RESULTS

_IDENTITY: Final = ("type", "id", "links", "meta")


def abridged(body: bytes) -> bytes:
    """A document without what its resources hold and without what is included; `meta.abridged` says so.

    The same resources, or results of operations, are in it, in the same order: whoever gets it can read each anew.
    """
    whole: dict[str, Any] = orjson.loads(body)
    short: dict[str, Any] = {name: whole[name] for name in ("jsonapi", "links") if name in whole}
    if "data" in whole:
        short["data"] = _identities(whole["data"])
    if RESULTS in whole:
        short[RESULTS] = [{"data": _identities(one["data"])} if "data" in one else {} for one in whole[RESULTS]]
    return orjson.dumps(short | {"meta": {"abridged": True}})


def _identities(data: Any) -> Any:
    """Resources by their identity: one, several or null."""
    if isinstance(data, list):
        return [_identities(one) for one in data]
    return data and {name: data[name] for name in _IDENTITY if name in data}
