"""The contract's examples: real answers, shaped as those of now, one for every kind of answer.

They are given beside a replica that has stood still since before there was a shop: what is written, by any operation,
is decided by the primary alone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from service.contract import errors, examples
from service.store import migrate
from tests.chaos.fleet import Postgres
from tests.contract.contract import Contract
from tests.contract.generated.running import Shop, demo_shop
from tests.contract.recording import Recorder
from tests.contract.refusing import refusals, unready
from tests.contract.telling import keep, told_by
from tests.replica import FOR_EVER, see_all, standing_still

Records = list[dict[str, Any]]

UNSHOWN = {
    # Documents about documents.
    *("getContract", "getContractAsJson", "getContractForOlderTools", "getSchema", "getTold", "getToldAsJson"),
    *("getAttachment", "getCalendar", "getPartOfDocumentation", "showApiReference"),
}
"""Operations whose answers are of no use as examples."""


@pytest.fixture(scope="module")
def played(contract: Contract, run_folder: Path, worker_id: str) -> Records:
    """What is recorded now; `make examples` keeps it."""
    with ExitStack() as stack:
        shop = stack.enter_context(_beside_a_replica(run_folder / f"examples-{worker_id}"))
        hooks = {"request": [see_all]}
        client = stack.enter_context(httpx2.Client(base_url=shop.url, timeout=30, event_hooks=hooks))
        recorder = Recorder(shop, contract, client)
        records = recorder.play()
        recorder.clear()
        keep(told_by(client, [shop.credentials["integration"]]))
        recorder.guess()
    records.extend([*refusals(contract), asyncio.run(unready(contract))])
    if os.environ.get("EXAMPLES"):
        Path(os.environ["EXAMPLES"]).write_bytes(orjson.dumps(records, option=orjson.OPT_INDENT_2) + b"\n")
    return records


@contextmanager
def _beside_a_replica(folder: Path) -> Iterator[Shop]:
    """A demo shop, of which its replica holds nothing: who doesn't ask for the newest finds no order there."""
    server = Postgres(folder)
    try:
        asyncio.run(migrate.migrate(server.url))
        with standing_still(server.url) as url:
            settings = {"REPRISE_REPLICA_URL": url, "REPRISE_REPLICA_MAX_LAG": str(FOR_EVER)}
            with demo_shop(folder, **settings) as shop:
                found = httpx2.get(f"{shop.url}/api/orders/ABCRtyUpBa", headers=[shop.credentials["integration"]])
                assert found.status_code == 404
                yield shop
    finally:
        server.stop()


def shape(value: Any) -> Any:
    """The members of objects, whatever their values are; of a list, those that any of its items have."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return sorted({orjson.dumps(shape(inner), option=orjson.OPT_SORT_KEYS).decode() for inner in value})
    return None


@pytest.mark.timeout(400)
def test_examples_have_the_shape_of_what_is_answered_now(played: Records) -> None:
    recorded = orjson.loads((Path(examples.__file__).parent / examples.FILE).read_bytes())
    now, kept = ({(one["operation"], one.get("name")): one for one in records} for records in (played, recorded))
    assert kept.keys() == now.keys(), "run `make examples`"
    for key, record in kept.items():
        for member in ("sent", "answer"):
            assert shape(record.get(member)) == shape(now[key].get(member)), f"{key}: run `make examples`"


def shown(contract: Contract) -> Iterator[tuple[str, dict[str, Any]]]:
    """All that has examples or could have, by operation, each once: the JSON of requests and answers."""
    for item in contract.document["paths"].values():
        for operation in item.values():
            if "operationId" not in operation:
                continue
            answers = [(status, contract.resolve(found)) for status, found in operation["responses"].items()]
            for status, holder in [("sent", operation.get("requestBody", {})), *answers]:
                for media_type, content in holder.get("content", {}).items():
                    if "json" in media_type:
                        yield f"{operation['operationId']} {status} {media_type}", content


def test_examples_are_as_their_schemas_say(contract: Contract) -> None:
    count = 0
    for name, content in shown(contract):
        for example in content.get("examples", {}).values():
            contract.validate(content["schema"], contract.resolve(example)["value"], name)
            count += 1
    assert count > 500


def test_every_good_answer_and_every_json_request_has_an_example(contract: Contract) -> None:
    without = {
        name.split()[0]
        for name, content in shown(contract)
        if name.split()[1] in ("200", "201", "sent") and "profile" not in name and "examples" not in content
    }
    assert without <= UNSHOWN, sorted(without - UNSHOWN)


def test_every_status_has_an_example(contract: Contract) -> None:
    """Also those that `default` stands for: its shared response has one for each."""
    responses = contract.document["components"]["responses"]
    without = set()
    for item in contract.document["paths"].values():
        for operation in item.values():
            if "operationId" not in operation or operation["operationId"] in UNSHOWN:
                continue
            for status, answer in operation["responses"].items():
                name = answer.get("$ref", "").rpartition("/")[2]
                found = responses.get(name, answer).get("content", {})
                shown_ = {one for content in found.values() for one in content.get("examples", {})}
                if status == "default":
                    without |= set(errors.covered(name).values()) - shown_
                elif not shown_ and any("json" in media_type for media_type in found):
                    without.add(name or f"{operation['operationId']}.{status}")
    assert without == set()
