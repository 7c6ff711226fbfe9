"""`make docs`: docs/reference/access.md, who may use which URL, from the registry and what the tests' matrix proves."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from service.resources import RESOURCES, Entry
from tests.docs.resources import table
from tests.isolation.identities import OF_A_CHANNEL, OF_A_CUSTOMER, OF_A_GUEST, Sight

_HEAD = """# Access

Who may use which URL. *All* is what the store has, *own* what is the asker's: a customer's own, or what is of a guest's
own cart. Where nothing is written, the refusal doesn't depend on the id. Integrations see all of their store, with the
scope that is named. Customers and guests change what is their own; what is shown to them all is changed by integrations
only. *Channels* are bearers of a sales channel's token alone: they own nothing, until they make a cart and send its
session as a guest.

What is another customer's, or another store's, is answered like what isn't there, to the byte: in its URLs and those
of its relationships, in filters, pages, includes and linkage, and in atomic operations. A matrix of tests sends all of
these requests as everybody. A customer's own record names the group that it is in by its id; the group is not shown.

"""
_WORDS: dict[Sight, str] = {"all": "all", "own": "own", "none": ""}


def page() -> str:
    """The page."""
    head = ("URL", "methods", "guests", "channels", "customers", "read with", "write with")
    return _HEAD + "".join(table(head, _rows())).rstrip() + "\n"


def _rows() -> Iterator[tuple[str, ...]]:
    for type_, entry in RESOURCES.items():
        for url, methods in _urls(type_, entry):
            sight = (_WORDS[seen[type_]] for seen in (OF_A_GUEST, OF_A_CHANNEL, OF_A_CUSTOMER))
            writes = f"`{entry.writes}`" if set(methods) - {"GET", "HEAD"} else ""
            reads = f"`{entry.reads}`" if "GET" in methods else ""
            yield f"`{url}`", " ".join(methods), *sight, reads, writes


def _urls(type_: str, entry: Entry) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield f"/api/{type_}", entry.on_collection
    yield f"/api/{type_}/{{id}}", entry.on_resource
    for name in entry.resource.relationships:
        yield f"/api/{type_}/{{id}}/relationships/{name}", entry.on_relationship(name)


if __name__ == "__main__":
    sys.stdout.write(page())
