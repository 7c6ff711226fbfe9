"""`make docs`: docs/reference/personal-data.md, what is kept of people and what is secret, from the Schemas' marks."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from schemas.conditions import Empty
from schemas.fields import Mark, Personal
from schemas.graph import PUBLIC, graph
from schemas.kinds import Standard
from schemas.resource import Resource
from schemas.tables import marks
from service.rules.masks import KEPT
from service.store import people
from tests.docs.resources import table
from tests.sealed import kept_as

_HEAD = """# Personal data

Every column of the database has a mark: it is personal, and says something of a person; it is secret, and opens
something to whoever reads it; or it is harmless. The marks stand on the fields of the Schemas in `schemas/`, and in
`schemas/tables.py` for tables that hold no resources. A column without a mark fails a test.

From the marks follow what is left of a customer who is erased, what guests and holders of a repeat link see of a
person, and which credentials are left out of the answers that are kept for an `Idempotency-Key`.

## Kinds

Guests hold the session of a cart. They see what identifies a person only where it is their own: the tables below say
where that is, and can't filter or sort by it, nor by what lies beyond it. Holders of a repeat link see the lines of the
order, and part of the name and the postal code:
"""
_ERASING = """
## Erasing

`PATCH {"attributes": {"_erase": true}}` on a customer, by an integration, takes the person out of the customer and of
all that is theirs: what they own, the orders, carts and addresses of guests who came by a link of their orders or named
their e-mail address, the events of all that with what webhooks were sent of them, and the answers that are kept for an
`Idempotency-Key`. What only they could use is ended: tokens and links are revoked, subscriptions cancelled, open carts
set aside. Each personal column becomes null, or its default where it can't be null, such as `{}`; a text without a
default becomes the word `erased`. Ids, numbers, codes, amounts, skus, instants and countries stay, which a shop has to
keep. So does what an `X-Request-Id` was in log lines.

While a payment of the customer is being asked for, or an import waits that names the customer, `_erase` is answered
with 409: either would bring the person back.

These columns become something else:
"""
_STAYING = """
These stay, in rows that are otherwise emptied:
"""
_IDS = """
So do the ids of customers (%s); by then they stand for
nobody. In these tables nothing is erased:
"""
_TOLD = """
## What happened

Events name the attributes that changed, and leave out what personal ones were and are. Log lines hold the path of a
request, not its query string or body, and of errors of the database not the values that it names; nor does what the
queue keeps of jobs that failed. `payload` of [event_callbacks](resources.md#event_callbacks) shows whole resources: it
is null for tokens that may not read all types.
"""
_RETAINING = """
## How long things are kept

What tells of the past is deleted after a while, whomever it is of:

| what | for how long |
|---|---|
| answers under an `Idempotency-Key` | 24 hours, or less: [REPRISE_RETAIN_ANSWERS](settings.md#reprise_retain_answers) |
| deliveries to webhooks | 30 days: [REPRISE_RETAIN_DELIVERIES](settings.md#reprise_retain_deliveries) |
| events | for good: [REPRISE_RETAIN_EVENTS](settings.md#reprise_retain_events) |
| imports and exports | 90 days: [REPRISE_RETAIN_IMPORTS](settings.md#reprise_retain_imports) |
| files of exports | 7 days |
| tokens that clients fetched | 30 days after they ended |
| the queue's log of jobs | 2 days |
| what is counted for limits, with network addresses | an hour |
| log lines | as you keep the output of the processes: rotate it |
"""
_TYPES = """
## Columns

*Shown as* is the attribute or relationship that clients see. The tables leave out what every type has, free text of the
client's own: {common}.
"""
_SECRETS = """
## Secrets

Columns that hold a credential, or what one is checked against. What is *sealed* opens with a key of the settings
only, in its own row; a *digest* takes such a key to be worked out; of the rest there is a *hash*. So a dump alone opens
nothing ([keys and secrets](../how-to/harden.md#keys-and-secrets)).
"""
_MOMENTARY = """
Fields that are a credential and that no column holds. No answer repeats what is sent. An answer that is kept for an
`Idempotency-Key` has null in place of what is shown, and leaves out what is shown once:
"""
_COMMON = tuple(
    name
    for name, field in Standard._declared_fields.items()  # noqa: SLF001 -- marshmallow has no other way to them
    if (mark := getattr(field, "mark", None)) and mark.personal
)


def page() -> str:
    """The whole page."""
    common = ", ".join(f"`{name}`" for name in _COMMON)
    erasing = [_ERASING.lstrip("\n"), *_erasing()]
    of_types = [line for name, columns in sorted(marks().items()) for line in _section(name, columns)]
    return "\n".join(
        [
            _HEAD,
            *_kinds(),
            *erasing,
            _TOLD.lstrip("\n"),
            _RETAINING.lstrip("\n"),
            _TYPES.format(common=common).lstrip("\n"),
            *of_types,
            _SECRETS.lstrip("\n"),
            *_secrets(),
        ]
    )


def _kinds() -> Iterator[str]:
    yield from table(
        ("kind", "meaning", "guests", "holders of a link"),
        (
            (kind.word, kind.meaning, "their own" if kind.identifies else "all", _kept(KEPT.get(kind, 0)))
            for kind in Personal
        ),
    )


def _erasing() -> Iterator[str]:
    becomes = (("`customers.email`", "the customer's id at `erased.invalid`"),)
    others = ((f"`{column}`", instead.words) for column, instead in people.INSTEAD.items())
    yield from table(("column", "becomes"), (*becomes, *others))
    yield _STAYING.lstrip("\n")
    yield from table(("column", "why"), ((f"`{column}`", why) for column, why in people.KEPT.items()))
    yield _IDS.lstrip("\n") % ", ".join(f"`{column}`" for column in sorted(people.IDS))
    yield from table(("table", "why"), ((f"`{name}`", why) for name, why in people.OTHERS.items()))


def _kept(characters: int) -> str:
    first = "first character" if characters == 1 else f"first {characters} characters"
    return f"at most the {first}" if characters else "nothing"


def _section(name: str, columns: dict[str, Mark | None]) -> Iterator[str]:
    """The personal columns of a table; nothing when it has none of its own."""
    types = [resource for resource in graph.values() if resource.table == name]
    rows = [
        (f"`{column}`", _shown_as(types, column), mark.personal.word, "secret" if mark.secret else "")
        for column, mark in columns.items()
        if mark and mark.personal and column not in _COMMON
    ]
    if not rows:
        return
    yield f"### {name}\n"
    yield from table(("column", "shown as", "kind", "also"), rows)
    yield from (line for resource in types for line in _for_guests(resource))


def _shown_as(types: list[type[Resource]], column: str) -> str:
    names = [
        name
        for resource in types
        for name, field in {**resource.attributes, **resource.relationships}.items()
        if getattr(field, "column", "") == column
    ]
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names)) or "not shown"


def _for_guests(resource: type[Resource]) -> Iterator[str]:
    """What guests see of a type that they read."""
    if resource.owners["carts"] in (None, PUBLIC) or not resource.masked:
        return
    empty = [f"`{condition.field}`" for condition in resource.unmasked or () if isinstance(condition, Empty)]
    assert len(empty) == len(resource.unmasked or ()), "a kind of condition that this page has no words for"
    if empty:
        yield f"Guests see what identifies a person only where {' and '.join(empty)} are empty.\n"
    else:
        yield "Guests see all of it, since they read only rows of their own.\n"


def _secrets() -> Iterator[str]:
    yield from table(
        ("column", "kept as", "of a person"),
        (
            (f"`{name}.{column}`", kept_as(f"{name}.{column}"), mark.personal.word if mark.personal else "")
            for name, columns in sorted(marks().items())
            for column, mark in columns.items()
            if mark and mark.secret
        ),
    )
    yield _MOMENTARY.lstrip("\n")
    yield from table(
        ("field", "when"),
        (
            (f"`{type_}.{name}`", when)
            for type_, resource in graph.items()
            for when, fields in (
                ("sent", resource.triggers),
                ("shown", resource.attributes),
                ("shown once", resource.disclosed),
            )
            for name, field in fields.items()
            if field.mark.secret and not field.column
        ),
    )


if __name__ == "__main__":
    sys.stdout.write(page())
