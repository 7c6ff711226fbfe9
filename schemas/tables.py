"""Every table: what its columns say of people, and where its rows lie in a database of several nodes.

Those of resource types follow from their Schemas, those that hold none are declared here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum, auto

from schemas.fields import HARMLESS, SECRET, Mark, Personal
from schemas.graph import graph
from schemas.relationships import PEOPLE, Through, ToMany
from schemas.resource import Resource


def _harmless(*columns: str) -> dict[str, Mark]:
    return dict.fromkeys(columns, HARMLESS)


_WORDS = Mark(Personal.WORDS)
_COMMON = _harmless("store_id", "id", "created_at", "updated_at", "version") | dict.fromkeys(
    ("reference", "reference_origin", "metadata"), _WORDS
)

OTHERS: Mapping[str, Mapping[str, Mark]] = {
    "number_blocks": _harmless("store_id", "kind", "next_number"),
    # The key and the gateway's reference name a payment, not who pays: refunds and accounts need them.
    "payment_attempts": _harmless(
        "store_id", "id", "order_id", "customer_payment_source_id", "key", "gateway", "gateway_url", "saved_to_wallet",
        "saved_to_subscription", "status", "asked", "currency_code", "amount_cents", "gateway_reference",
        "decline_code", "answered_at", "retry_at", "retried_at", "forgiven", "lease_expires_at", "created_at",
        "updated_at",
    )
    | {"source_token": Mark(Personal.PAYMENT, secret=True), "detail": _WORDS},
    "event_numbers": _harmless("store_id", "resource_type", "resource_id", "sequence"),
    "event_cursors": _harmless("store_id", "transaction_id", "event_id"),
    # Why a stream can't be published to speaks of the stream, not of events.
    "destinations": _harmless("name", "holder", "leased_until", "error", "failing_since"),
    "destination_cursors": _harmless("store_id", "destination", "transaction_id", "event_id"),
    "address_horizons": _harmless("store_id", "event_id"),
    # An answer holds what the resource in it held.
    "idempotency_keys": _harmless("store_id", "fingerprint", "status", "headers", "created_at", "expires_at")
    | {"principal": Mark(Personal.IDENTIFIER), "key": _WORDS, "body": _WORDS},
    # Who is counted is a customer, a cart, a token, or the network of somebody without any.
    "rate_limits": _harmless("store_id", "started_at", "expires_at", "hits") | {"key": Mark(Personal.NETWORK)},
    # What a customer's next token is fetched with, and the keys that sign tokens.
    "refresh_tokens": _harmless(
        "store_id", "grant_id", "api_client_id", "scopes", "scope", "created_at", "expires_at", "used_at"
    )
    | {"hash": SECRET, "customer_id": Mark(Personal.IDENTIFIER)},
    "signing_keys": _harmless("id", "public_key", "created_at", "retired_at", "expires_at") | {"private_key": SECRET},
    "collection_changes": _harmless("store_id", "collection", "delta") | {"customers": Mark(Personal.IDENTIFIER)},
    "collection_counts": _harmless("store_id", "collection", "number") | {"customer_id": Mark(Personal.IDENTIFIER)},
    # Files hold what was exported.
    "export_chunks": _harmless("store_id", "id", "export_id", "attempt", "first_byte", "size")
    | {"data": Mark(Personal.WORDS, secret=True)},
    "deployments": _harmless("id", "pinned_at"),
    "deployment": _harmless("singleton", "id", "adopted_at"),
    "workers": _harmless("id", "name", "started_at", "seen_at"),
    "schema_migrations": _harmless("version"),
    # Jobs hold ids. What a job died of may quote what it worked on.
    "pgqueuer": _harmless(
        "id", "priority", "queue_manager_id", "created", "updated", "heartbeat", "execute_after", "status",
        "entrypoint", "dedupe_key", "payload", "headers", "attempts", "slot",
    ),
    "pgqueuer_log": _harmless("id", "created", "job_id", "status", "priority", "entrypoint", "aggregated")
    | {"traceback": _WORDS},
    "pgqueuer_schedules": _harmless(
        "id", "expression", "entrypoint", "heartbeat", "created", "updated", "next_run", "last_run", "status"
    ),
    "pgqueuer_statistics": _harmless("id", "created", "count", "priority", "status", "entrypoint"),
}  # fmt: skip
"""The tables that hold no resources that the API serves: table -> column -> its mark."""


class Place(Enum):
    """Where the rows of a table lie in a database that is spread over several nodes."""

    WITH_STORE = auto()
    """With all other rows of their store, on one of the nodes."""
    EVERYWHERE = auto()
    """On every node: a statement about any store finds them at hand."""
    COORDINATOR = auto()
    """On the node that everybody connects to."""


EVERYWHERE = frozenset({"stores", "test_clocks"})
"""The tables of which every node has a copy: almost every statement reads them, and hardly any writes them."""

AT_HAND = frozenset({"rate_limits"})
"""Tables of stores that lie on the coordinator: nothing is lost with them, and rows that aren't logged can't move."""


def places(types: Mapping[str, type[Resource]] = graph) -> dict[str, Place]:
    """Table -> where its rows lie, for every table: with those of their store if they are of one."""

    def place(name: str, columns: Mapping[str, object]) -> Place:
        if name in EVERYWHERE:
            return Place.EVERYWHERE
        return Place.WITH_STORE if "store_id" in columns and name not in AT_HAND else Place.COORDINATOR

    return {name: place(name, columns) for name, columns in marks(types).items()}


def marks(types: Mapping[str, type[Resource]] = graph) -> dict[str, dict[str, Mark | None]]:
    """Table -> column -> its mark, for every table; None for a column that has to decide and doesn't.

    Raises TypeError where types that share a table mark a column differently.
    """
    found: dict[str, dict[str, Mark | None]] = {name: dict(columns) for name, columns in OTHERS.items()}
    for resource in types.values():
        of_table = found.setdefault(resource.table, {})
        for column, mark in resource.marks().items():
            if of_table.setdefault(column, mark) != mark:
                raise TypeError(f"{resource.__name__}: another type of its table marks {column!r} differently")
        for through, target in _joins(resource):
            of_join = found.setdefault(through.table, {"store_id": HARMLESS})
            of_join[through.own] = _joined(resource.type_, target)
            of_join[through.other] = _joined(target, resource.type_)
    return found


def _joins(resource: type[Resource]) -> Iterator[tuple[Through, str]]:
    for relationship in resource.relationships.values():
        if isinstance(relationship, ToMany) and relationship.through is not None:
            yield relationship.through, relationship.type_


def _joined(type_: str, other: str) -> Mark:
    """What an id in a join table says: whose the row is, or what somebody is tagged with."""
    if type_ == PEOPLE:
        return Mark(Personal.IDENTIFIER)
    return Mark(Personal.PROFILE) if other == PEOPLE else HARMLESS
