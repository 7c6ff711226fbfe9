"""Short-lived tokens that an integration hands to a customer."""

from __future__ import annotations

from datetime import datetime, timedelta

from schemas.access import MOST_SECONDS
from service import clock
from service.errors import Invalid
from service.jsonapi.body import Draft, blank
from service.operations.access.tokens import issue
from service.operations.events import outbox
from service.operations.generic.created import Created
from service.principal import CUSTOMER_SCOPES, Principal
from service.store.pool import Connection
from service.texts import Phrase

DEFAULT_SECONDS = 3600
"""How long a customer's token that the API made is valid, unless the request says otherwise."""


async def create(connection: Connection, principal: Principal, draft: Draft) -> Created:
    """POST /api/tokens: make a short-lived token for a customer, shown once, as the attribute `token` of this answer.

    Without `scopes` it gets those scopes of a customer that the requesting token has itself: no token grants more than
    it holds. Raises Invalid without a customer, for no or other scopes, or for a lifetime beyond a day, and what
    `issue` raises.
    """
    customer_id = draft.related("customer")
    if customer_id is None:
        raise blank("customer", "/data")
    at = clock.now()
    attributes = draft.attributes
    grantable = CUSTOMER_SCOPES & principal.scopes
    scopes = attributes.get("scopes", sorted(grantable))
    if not scopes or not grantable.issuperset(scopes):
        raise Invalid(
            "scopes - must be among those that this token may hand out: {known}",
            known=sorted(grantable) or Phrase("none"),
            fields=("scopes",),
        )
    id_, token = await issue(
        connection,
        principal.store.id,
        customer_id=customer_id,
        scopes=scopes,
        name=attributes.get("name"),
        expires_at=_expiry(draft, at),
        at=at,
        id=draft.id,
        extra=attributes,
    )
    await outbox.record(connection, principal.store, "access_tokens.create", id_, actor=outbox.actor(principal))
    return Created(id_, {"token": token})


def _expiry(draft: Draft, at: datetime) -> datetime:
    """Return when a customer's token ends: as the request says, within a day, or else after an hour."""
    sent: datetime | None = draft.attributes.get("expires_at")
    if "expires_in" in draft.triggers and "expires_at" in draft.attributes:
        raise Invalid("expires_in - can't be sent together with expires_at", fields=("expires_in",))
    if sent is None:
        return at + timedelta(seconds=draft.triggers.get("expires_in", DEFAULT_SECONDS))
    if not at < sent <= at + timedelta(seconds=MOST_SECONDS):
        raise Invalid("expires_at - must be within the next 24 hours", fields=("expires_at",))
    return sent
