"""A store moves from node to node while clients write to it: what was acknowledged is what is found."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import asyncpg
import pytest

from service.principal import Store
from tests.nodes import on_nodes
from tests.spec.writing import Api, resource

MOVES = 4
WRITERS = 4


@dataclass
class Acknowledged:
    """What clients were told that was done."""

    versions: dict[str, int] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    refused: Counter[int] = field(default_factory=Counter)


@on_nodes
@pytest.mark.timeout(600)
async def test_a_store_that_moves_while_it_is_written_to_loses_nothing(
    api: Api, database_url: str, store: Store
) -> None:
    told, done = Acknowledged(), asyncio.Event()
    admin = await asyncpg.connect(database_url)
    try:
        writers = [asyncio.create_task(_write(api, told, done)) for _ in range(WRITERS)]
        nodes = [await _move(admin, store.id) for _ in range(MOVES)]
        done.set()
        await asyncio.gather(*writers)
        rows = await admin.fetch("select id, version from customers where store_id = $1", store.id)
        events = await admin.fetch(
            "select name, resource_id, count(*) from events"
            " where store_id = $1 and resource_type = 'customers' group by 1, 2",
            store.id,
        )
    finally:
        await admin.close()
    assert len(set(nodes)) > 1
    assert told.refused == {}
    assert {row[0]: row[1] for row in rows} == told.versions
    assert len(told.versions) > MOVES
    assert {id_ for name, id_, number in events if (name, number) == ("customers.create", 1)} == (
        told.versions.keys() | told.gone
    )
    assert {id_ for name, id_, number in events if (name, number) == ("customers.destroy", 1)} == told.gone


async def _write(api: Api, told: Acknowledged, done: asyncio.Event) -> None:
    """Make customers, change each and delete every third, until it is done."""
    number = 0
    while not done.is_set():
        number += 1
        email = f"{id(asyncio.current_task())}-{number}@example.com"
        made = await api.send("POST", "customers", resource("customers", {"email": email}))
        if made.status_code != 201:
            told.refused[made.status_code] += 1
            continue
        id_ = made.json()["data"]["id"]
        told.versions[id_] = 1
        changed = await api.update("customers", id_, {"reference": str(number)})
        told.versions[id_] += changed.status_code == 200
        if number % 3 == 0 and (await api.send("DELETE", f"customers/{id_}")).status_code == 204:
            del told.versions[id_]
            told.gone.add(id_)


async def _move(admin: asyncpg.Connection[asyncpg.Record], store_id: int) -> int:
    """Move a store to another node, and return the port of that."""
    ((shard, host, port),) = await admin.fetch(
        "select shardid, nodename, nodeport from pg_dist_placement join pg_dist_node using (groupid)"
        " where shardid = get_shard_id_for_distribution_column('customers', $1::bigint)",
        store_id,
    )
    others = "select nodename, nodeport from pg_dist_node where shouldhaveshards and nodeport <> $1 limit 1"
    ((to_host, to_port),) = await admin.fetch(others, port)
    await admin.execute(
        "select citus_move_shard_placement($1, $2, $3, $4, $5, 'auto')", shard, host, port, to_host, to_port
    )
    return int(to_port)
