"""Whether what is measured is what is meant: one request of each load is sent and its answer looked at."""

from __future__ import annotations

import http.client
import json

from tests.bench.cases import Case
from tests.bench.load import Load


def check(load: Load, case: Case) -> int:
    """Send the next request of a load and return the bytes of its answer's body.

    Raises AssertionError for an answer that isn't 2xx, or that doesn't hold what the case says.
    """
    request = load.requests[load.position % len(load.requests)]
    load.position += 1
    connection = http.client.HTTPConnection("127.0.0.1", load.server.port, timeout=30)
    try:
        bodies = request.body.split("@N@")
        body = bodies[0] + "".join(f"check-{load.server.pid}-{n}{part}" for n, part in enumerate(bodies[1:]))
        connection.request(request.method, request.path, body or None, dict(load.headers))
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    assert 200 <= answer.status < 300, f"{load.server.name}: {answer.status} {text[:800]!r}"
    assert _rows(json.loads(text)) >= case.told, f"{load.server.name}: {case.title}: {text[:800]!r}"
    assert case.holds in text.decode(), f"{load.server.name}: {case.title}: {case.holds} is missing"
    return len(text)


def _rows(told: object) -> int:
    """How many rows or resources a document holds: objects with an id and more."""
    if isinstance(told, dict):
        return (len(told.keys() & {"id", "attributes"}) > 0 and len(told) > 2) + sum(map(_rows, told.values()))
    return sum(map(_rows, told)) if isinstance(told, list) else 0
