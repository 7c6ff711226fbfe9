"""What is told of each topic, recorded from real shops, with values that are the same at every recording."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import orjson

from service.contract import topics

Payload = dict[str, Any]

FILE = Path(topics.__file__).parent / topics.FILE
ORIGIN = "https://api.shop.example"
_ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
_URL = re.compile(r"https?://[^/\"]+(?=/api/)")


def steady(payload: Payload) -> Payload:
    """A payload with ids, instants and origins that don't depend on when and where it was recorded."""
    text = _URL.sub(ORIGIN, orjson.dumps(payload).decode())
    for found, said in ((_ULID, "01KB9XR4ZQ{:016}"), (_INSTANT, "2026-12-01T09:{:02}:00.000Z")):
        numbers = count(1)
        known: dict[str, str] = {}
        for one in found.findall(text):
            if one not in known:
                known[one] = said.format(next(numbers))
        text = found.sub(lambda match, known=known: known[match[0]], text)  # type: ignore[misc]  # bound at once
    made: Payload = orjson.loads(text)
    return made


def told_by(client: httpx2.Client, headers: list[tuple[str, str]]) -> list[Payload]:
    """All that a shop's stream tells, from the beginning until it has nothing more to tell."""
    found: list[Payload] = []
    url = "/api/events/stream?after=start&payload=thin"
    try:
        with client.stream("GET", url, headers=headers, timeout=5) as answer:
            found.extend(orjson.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))
    except httpx2.ReadTimeout:
        pass
    return found


def keep(payloads: Iterable[Payload]) -> None:
    """Keep the first of each topic where examples are recorded; else see that each of these topics is kept."""
    first: dict[str, Payload] = {}
    for payload in payloads:
        first.setdefault(payload["meta"]["event"]["name"], steady(payload))
    if os.environ.get("EXAMPLES"):
        with FILE.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            kept = orjson.loads(file.read() or b"{}") | first
            file.seek(0)
            file.write(orjson.dumps(kept, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")
            file.truncate()
    missing = first.keys() - topics.told().keys()
    assert os.environ.get("EXAMPLES") or not missing, f"{sorted(missing)}: run `make examples`"
