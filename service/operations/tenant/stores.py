"""What a shop says of its store: how it keeps time, and where it takes its money."""

from __future__ import annotations

from urllib.parse import urlsplit

import orjson

from service.errors import Invalid
from service.gateways.external import is_secret
from service.operations.generic.writing import Change, Writer
from service.rules.ladders import POLICY, is_ladder


class Stores(Writer):
    """Stores: only one in test mode can keep the time of a test clock."""

    async def complete(self, change: Change) -> None:
        """Check clock, gateway and policies."""
        if change.sets("test_clock_id") and change.value("test_clock_id") is not None and change.store.mode != "test":
            change.problems.append(
                Invalid("test_clock - is for stores in test mode", pointer=change.draft.pointer("test_clock"))
            )
        url: str | None = change.value("gateway_url")
        if change.sets("gateway_url") and url is not None and not _may_be_asked(url):
            change.problems.append(
                Invalid(
                    "gateway_url - must be an https URL without a name and password",
                    pointer=change.draft.pointer("gateway_url"),
                )
            )
        _take_secret(change)
        ladder = orjson.loads(change.value("policies")).get(POLICY, [])
        if change.sets("policies") and not is_ladder(ladder):
            change.problems.append(
                Invalid(
                    "policies - {name} must be at most 10 whole numbers of hours from 1 to 720",
                    name=POLICY,
                    pointer=change.draft.pointer("policies"),
                )
            )


def _take_secret(change: Change) -> None:
    secret: str | None = change.draft.triggers.get("_gateway_secret")
    if secret is None:
        return
    if is_secret(secret):
        change.columns["gateway_secret"] = secret
    else:
        change.problems.append(
            Invalid(
                "_gateway_secret - must be whsec_ with 24 to 64 bytes in base64 behind it",
                pointer=change.draft.pointer("_gateway_secret"),
            )
        )


def _may_be_asked(url: str) -> bool:
    """Whether a gateway may be there: over TLS, or on this very machine, where it is being developed."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or port == 0 or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or host in ("localhost", "127.0.0.1", "::1")
