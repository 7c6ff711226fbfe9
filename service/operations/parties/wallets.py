"""Customers' wallets: what is in them is bound to one customer, and nobody else pays with it."""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.graph import graph
from service.errors import Forbidden, Invalid
from service.gateways import stands_for_an_answer
from service.jsonapi.body import blank
from service.operations.generic import quotas
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.principal import Owner, Principal, Store
from service.store.pool import Connection
from service.store.statements import OnlyValue, Part, Value
from service.store.vault import vault_of

_PAYER = Value("parties/wallets.payer", str)
_HOLDER = Value("parties/wallets.holder", str)
_GATEWAY = Value("parties/wallets.gateway", str)
_HAS_GATEWAY = OnlyValue("parties/wallets.has_gateway", bool)
PUT = Part("parties/wallets.put")
_KEPT = Value("parties/wallets.kept", str)

TOKEN: Final = "customer_payment_sources.payment_source_token"  # noqa: S105 -- a column
"""The column of what a gateway calls a source."""


class SealedToken(NamedTuple):
    """What a gateway calls a source, sealed for a row, and what it is found by."""

    text: str
    digest: str


_TOKENS: Final = ("payment_source_token", "customer_token")
"""What integrations send of a source; it is kept and never shown."""


class PaymentSources(Writer):
    """What is in wallets: integrations put it there, with the gateway's tokens."""

    async def before_write(self, change: Change) -> None:
        """Find the gateway of a source, take its tokens, and refuse one that is in another customer's wallet."""
        change.columns |= {name: change.draft.triggers[name] for name in _TOKENS if name in change.draft.triggers}
        await _settle_gateway(change)
        token = change.value("payment_source_token")
        if not change.sets("payment_source_token") or token is None:
            return
        if not token.strip():
            change.problems.append(blank("payment_source_token", change.draft.pointer("payment_source_token")))
        elif await _is_foreign(change.connection, change.store, token, change.value("customer_id")):
            change.problems.append(_foreign("payment_source_token"))


async def check_wallet(change: Change) -> None:
    """Nobody pays from somebody else's wallet."""
    if not change.sets("customer_payment_source_id", "customer_id"):
        return
    source_id = change.value("customer_payment_source_id")
    if source_id is None:
        return
    payer = await _PAYER(change.connection, store=change.store.id, source=source_id)
    owner = change.principal.owner
    if owner is not None and payer != owner.id:
        # To somebody who doesn't see it, it isn't there, and that is all that may be said of it.
        return
    if payer != change.value("customer_id"):
        pointer = change.draft.pointer("customer_payment_source", "customer")
        change.problems.append(Invalid("customer_payment_source - is another customer's", pointer=pointer))


async def check_token(
    connection: Connection, principal: Principal, token: str, customer_id: str | None, *, field: str
) -> None:
    """Raise Invalid for a token that is in the wallet of somebody else than who pays with it.

    `customer_id` is the customer of what is paid. Its wallet is open to an integration, and to the customer, but not to
    a guest.
    """
    payer = customer_id if principal.owner is None else principal.customer_id
    if await _is_foreign(connection, principal.store, token, payer):
        raise _foreign(field)


def require_own(principal: Principal, customer_id: str | None, *, field: str) -> None:
    """Raise what keeps somebody from putting a source into a customer's wallet: Invalid without one, else Forbidden."""
    if customer_id is None:
        raise Invalid("{name} - takes an order of a customer", name=field, fields=(field,))
    if principal.owner is not None and principal.customer_id != customer_id:
        raise Forbidden("The wallet belongs to the customer, who must sign in.", fields=(field,))


def sealed(connection: Connection, store: Store, source_id: str, token: str) -> SealedToken:
    """What a gateway calls a source, as it is kept."""
    vault = vault_of(connection)
    return SealedToken(vault.seal(TOKEN, store.id, source_id, token), vault.digest(TOKEN, store.id, token))


async def kept(connection: Connection, store: Store, customer_id: str, token: str) -> str | None:
    """The source in a customer's wallet that a gateway calls by a token; None where there is none."""
    digests = vault_of(connection).digests(TOKEN, store.id, token)
    return await _KEPT(connection, store=store.id, customer=customer_id, digests=digests)


async def is_full(connection: Connection, store: Store, customer_id: str) -> bool:
    """Whether a customer's wallet holds as many sources as one may; nobody else puts one into it until that is done."""
    return await quotas.is_full(connection, store, Owner("customers", customer_id), graph["customer_payment_sources"])


async def _settle_gateway(change: Change) -> None:
    """Give a new source the gateway that charges it, and hold it against that of its payment method."""
    pointer = change.draft.pointer("payment_method", "gateway")
    of_method = None
    if change.sets("payment_method_id", "gateway") and change.value("payment_method_id") is not None:
        of_method = await _GATEWAY(
            change.connection, store=change.store.id, payment_method=change.value("payment_method_id")
        )
    if change.value("gateway") is None:
        change.columns["gateway"] = of_method or await _usual_gateway(change)
    gateway = change.value("gateway")
    if gateway is None:
        change.problems.append(
            Invalid("gateway - can't be blank: send it, or a payment_method", pointer="/data", meta={"error": "blank"})
        )
    elif of_method not in (None, gateway):
        change.problems.append(
            Invalid(
                "payment_method - is charged through the {gateway} gateway", gateway=str(of_method), pointer=pointer
            )
        )


async def _usual_gateway(change: Change) -> str | None:
    """The gateway of a source that names none: the store's own, else the test gateway in test mode."""
    if await _HAS_GATEWAY(change.connection, store=change.store.id):
        return "external"
    return "test" if change.store.mode == "test" else None


async def _is_foreign(connection: Connection, store: Store, token: str, customer_id: str | None) -> bool:
    """Whether a token is in another wallet than this customer's, and not in that one."""
    if store.mode == "test" and stands_for_an_answer(token):
        return False
    digests = vault_of(connection).digests(TOKEN, store.id, token)
    holder = await _HOLDER(connection, store=store.id, digests=digests, customer=customer_id)
    return holder not in (None, customer_id)


def _foreign(field: str) -> Invalid:
    return Invalid(
        "{name} - is in another customer's wallet",
        name=field,
        fields=(field,),
        meta={"error": "foreign_payment_source", "field": field},
    )
