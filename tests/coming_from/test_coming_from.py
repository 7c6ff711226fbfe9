"""Every operation that other services publish is in the table, and every request of the table does what it says."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from tests.coming_from.table import ATOMIC, Step, preparations, recipes, services, topics
from tests.processes import serving

JSON_API = "application/vnd.api+json"
SECONDS = 60
ENOUGH = 0.85
"""Which part of the operations that concern subscriptions has a request here."""


@dataclass(frozen=True)
class Demo:
    """A service with the demo shop, and who asks it."""

    url: str
    tokens: Mapping[str, str]

    def send(self, step: Step, who: str) -> httpx2.Response:
        type_ = ATOMIC if step.operations else JSON_API
        headers = {"Authorization": f"Bearer {self.tokens[who]}", "Content-Type": type_, "Accept": type_}
        url = self.url + quote(step.path, safe="/?&=[],-:")
        return httpx2.request(step.method, url, json=step.document, headers=headers, timeout=SECONDS)


@pytest.fixture(scope="module")
def demo(run_folder: Path, worker_id: str) -> Iterator[Demo]:
    folder = run_folder / f"coming-from-{worker_id}"
    environment = {"REPRISE_DATA_DIR": str(folder), "REPRISE_LOG_LEVEL": "warning", "REPRISE_RATE_LIMIT": "10000"}
    with serving("up", "--port", "0", until="/docs/api\n", **environment) as service:
        yield Demo(service.url, dict(line.split() for line in (folder / "tokens").read_text().splitlines()))


@pytest.fixture(scope="module")
def store(demo: Demo) -> str:
    found = demo.send(Step("GET", "/api/stores"), "integration").json()
    return str(found["data"][0]["id"])


def test_every_name_that_a_service_publishes_is_in_the_table_and_no_other() -> None:
    for service in services().values():
        assert sorted(service.names) == sorted(service.operations), service.title


def test_what_has_no_request_has_a_reason_and_every_request_stands_for_something() -> None:
    found = [operation for service in services().values() for operation in service.operations.values()]
    assert all(operation.recipes or operation.remark or operation.outside for operation in found)
    assert {name for operation in found for name in operation.recipes} == recipes().keys()
    assert {operation.outside for operation in found} - {""} == topics().keys()
    assert {name for recipe in recipes().values() for name in recipe.given} == preparations().keys()


def test_most_operations_that_concern_subscriptions_have_a_request() -> None:
    for service in services().values():
        print(f"{service.title}: {service.mapped} of {len(service.ours)}")  # noqa: T201 -- a figure of the report
    mapped = sum(service.mapped for service in services().values())
    every = sum(len(service.ours) for service in services().values())
    print(f"all: {mapped} of {every}")  # noqa: T201
    assert mapped / every >= ENOUGH


@pytest.mark.parametrize("name", recipes())
def test_a_request_does_what_the_table_says(demo: Demo, store: str, name: str) -> None:
    recipe = recipes()[name]
    known = {"order": "ABCRtyUpBa", "customer": "sam-sample", "store": store, "name": f"coming-{name}"}
    for given in recipe.given:
        play(demo, preparations()[given], known)
    play(demo, recipe.steps, known, "integration" if recipe.shop else "customer")
    play(demo, recipe.proof, known)


def instants() -> dict[str, str]:
    now = datetime.now(UTC)
    spans = {"now": 0, "in_a_moment": 5, "in_a_week": 7 * 86_400, "in_a_year": 365 * 86_400}
    return {name: (now + timedelta(seconds=span)).strftime("%Y-%m-%dT%H:%M:%S.000Z") for name, span in spans.items()}


def play(demo: Demo, steps: Sequence[Step], known: dict[str, str], who: str = "integration") -> None:
    """Send requests, and hold what they show against what it says they do; `known` learns from them."""
    for one in steps:
        # A moment is counted from when the request is sent: those before it may have taken long.
        known |= instants()
        step = one.filled(known)
        answer = sent(demo, step, who)
        for name, member in step.keep.items():
            known[name] = first(answer)[member]
        if step.shows:
            assert shown(step.shows, first(answer)) == dict(step.shows), answer.text


def sent(demo: Demo, step: Step, who: str) -> httpx2.Response:
    """The answer: the first that shows what is waited for."""
    deadline = time.monotonic() + SECONDS
    while True:
        answer = demo.send(step, who)
        assert answer.status_code == step.answered, (step, answer.text)
        if not step.until or shown(step.until, first(answer)) == dict(step.until):
            return answer
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)


def first(answer: httpx2.Response) -> dict[str, Any]:
    """The resource object of an answer, the first where it has several."""
    document = answer.json()
    data = document["atomic:results"][0]["data"] if "atomic:results" in document else document["data"]
    found: dict[str, Any] = data[0] if isinstance(data, list) else data
    return found


def shown(expected: Mapping[str, Any], resource: Mapping[str, Any]) -> dict[str, Any]:
    """What a resource has of what is expected; what may be anything, and is something, is as it is expected."""
    found = {name: resource["attributes"][name] for name in expected}
    return {name: "..." if expected[name] == "..." and value is not None else value for name, value in found.items()}
