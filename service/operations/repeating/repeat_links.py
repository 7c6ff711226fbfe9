"""Repeat links: handed out, opened, and turned into a cart.

Opening writes nothing, however often it is done: mail scanners open every link before its reader does. Committing makes
one cart per link and browser and no order; whoever places that order has to say who they are.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NamedTuple

from schemas.kinds import due
from schemas.repeating import link_state
from service import clock
from service.errors import Gone, Invalid, InvalidState, NotFound
from service.operations.carts import amounts, contents
from service.operations.events import outbox
from service.operations.generic.change import Change
from service.operations.generic.writing import Writer
from service.operations.parties import addresses
from service.operations.repeating import reorders
from service.principal import Store
from service.rules import masks
from service.rules.outcomes import Outcome, Policy
from service.rules.proofs import Proof, Rule, hint, proof
from service.rules.repeat_links import LinkKeys, RepeatLink, read
from service.rules.totals import Totals
from service.store.pool import Connection
from service.store.statements import Command, One, Value
from service.store.write import Columns

POLICY = Policy(stock="partial")
"""A cart made from a link holds what can be bought today: nobody stands by to sort out the rest."""

_NUMBER = re.compile("[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Issued:
    """A link as its owner hands it out: the order's code and the token, which together open it."""

    order_code: str
    token: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A live link's order, as somebody may see it who holds no more than the link.

    `recipient` is masked. `checkout_url` is the store's template with `{session}`, None when it has none. Methods of
    shipping and payment are those of the order that the store still offers. `proof` is how whoever orders shows to be
    the order's customer, None when only the shop can order it again. Prices are those of that customer's group.
    """

    link: RepeatLink
    store: Store
    checkout_url: str | None
    order_id: str
    order_code: str
    currency_code: str
    recipient: str
    billing_address_id: str | None
    shipping_address_id: str | None
    shipping_method_id: str | None
    shipping_method_name: str | None
    payment_method_id: str | None
    payment_method_name: str | None
    proof: Proof | None
    answer: str | None
    customer_group_id: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of each line of an order, and what a cart of them would come to.

    `left_out` are lines that nobody chose, with what would become of them.
    """

    outcomes: Sequence[Outcome]
    left_out: Sequence[Outcome]
    totals: Totals
    tax_included: bool

    @property
    def due(self) -> int:
        """What would have to be paid, in minor units: taxes come on top of the total unless they are in it."""
        return due(self.totals.total, self.totals.tax, tax_included=self.tax_included)


class Committed(NamedTuple):
    """The cart that a link was turned into; whoever has its session can check it out."""

    cart_id: str
    session: str


class _OfBrowser(NamedTuple):
    cart_id: str
    sealed_session: str
    is_open: bool
    is_untouched: bool | None


class OfOrder(NamedTuple):
    """An order with its default link; the link's fields are None when there is none."""

    order_id: str
    order_code: str
    placed_at: datetime | None
    id: str | None
    key_id: str | None
    token_version: int | None
    expires_at: datetime | None
    max_uses: int | None
    uses: int | None
    revoked_at: datetime | None

    def link(self, store: Store) -> RepeatLink | None:
        """The default link, if there is one."""
        if self.id is None or self.key_id is None or self.token_version is None or self.uses is None:
            return None
        return RepeatLink(
            store_id=store.id,
            id=self.id,
            key_id=self.key_id,
            token_version=self.token_version,
            expires_at=self.expires_at,
            max_uses=self.max_uses,
            uses=self.uses,
            revoked_at=self.revoked_at,
        )


class Source(NamedTuple):
    """What a new link takes over from its order."""

    code: str
    placed_at: datetime | None


_OF_ORDER = One("repeating/repeat_links.of_order", OfOrder)
_SOURCE = One("repeating/repeat_links.source", Source)
_LOCK = Command("repeating/repeat_links.lock")
_CART_OF_BROWSER = One("repeating/repeat_links.cart_of_browser", _OfBrowser)
_NOTE_FILLED = Command("repeating/repeat_links.note_filled")
_COUNT_CART = Command("repeating/repeat_links.count_cart")
_RETIRE_DEFAULT = Value("repeating/repeat_links.retire_default", str)
_MAKE_DEFAULT = Value("repeating/repeat_links.make_default", str)
_SIGN_ANEW = Command("repeating/repeat_links.sign_anew")


async def of_order(connection: Connection, store: Store, keys: LinkKeys, reference: str, *, actor: str) -> Issued:
    """The one default link of an order, made when there is none that works; a link that works is never changed.

    `reference` is the order's code, else its number, else its id. One statement when the link is there already. Raises
    NotFound for an order that is unknown or was never placed.
    """
    if "\0" in reference:
        raise _no_order()
    number = int(reference) if _NUMBER.fullmatch(reference) else None
    while True:
        at = clock.now(store)
        found = await _OF_ORDER(connection, store=store.id, reference=reference, number=number)
        if found is None or found.placed_at is None:
            raise _no_order()
        link = found.link(store)
        live = link is not None and link.state(at) == "live"
        if link is not None and live and link.key_id in keys:
            return Issued(found.order_code, keys.token(link))
        async with connection.transaction():
            if link is not None and live:
                await _sign_anew(connection, store, link, keys.newest, at=at, actor=actor)
            else:
                await _make(connection, store, found.order_id, found.order_code, keys.newest, at=at, actor=actor)


async def _revoked(change: Change) -> Columns:
    return {"revoked_at": change.at}


async def _rotated(change: Change) -> Columns:
    return {"key_id": _newest(change), "token_version": change.before["token_version"] + 1}


class RepeatLinks(Writer):
    """Links as their owners make and end them: each has a token of its own, which `_rotate` replaces."""

    effects: ClassVar = {"revoke": _revoked, "rotate": _rotated}

    def status(self, change: Change) -> str:
        """Return its state, which is kept in no column."""
        revoked_at, expires_at, max_uses, uses = map(change.value, ("revoked_at", "expires_at", "max_uses", "uses"))
        return link_state(revoked_at, expires_at, max_uses, uses, change.at)

    async def validate(self, change: Change) -> None:
        """Sign a new link; check what may still change of one."""
        at, expires_at = change.at, change.value("expires_at")
        if change.sets("expires_at") and expires_at is not None and expires_at <= at:
            pointer = change.draft.pointer("expires_at")
            change.problems.append(Invalid("expires_at - must be in the future", pointer=pointer))
        if change.new:
            await self._begin(change)
            return
        if change.before["revoked_at"] is not None and not change.only_of_the_client():
            change.problems.append(InvalidState("The repeat link is revoked: it can't be changed."))

    async def before_write(self, change: Change) -> None:
        """Check that a reason comes with what it is for."""
        live = not change.new and change.before["revoked_at"] is None
        if live and change.sets("revoked_reason") and "revoke" not in change.done:
            pointer = change.draft.pointer("revoked_reason")
            change.problems.append(Invalid("revoked_reason - must be sent together with _revoke", pointer=pointer))

    async def _begin(self, change: Change) -> None:
        source = await _SOURCE(change.connection, store=change.store.id, order=change.draft.related("order"))
        assert source is not None  # noqa: S101 -- linkage was checked
        if source.placed_at is None:
            pointer = change.draft.pointer("order")
            change.problems.append(Invalid("order - was never placed", pointer=pointer))
        change.columns |= {"kind": "custom", "key_id": _newest(change), "order_code": source.code}


class _Opened(NamedTuple):
    link: RepeatLink
    order_id: str
    order_code: str
    checkout_url: str | None
    currency_code: str
    billing_address_id: str | None
    shipping_address_id: str | None
    first_name: str | None
    last_name: str | None
    company: str | None
    zip_code: str | None
    shipping_method_id: str | None
    shipping_method_name: str | None
    payment_method_id: str | None
    payment_method_name: str | None
    rule: Rule
    customer_id: str | None
    answers: list[str]
    customer_group_id: str | None
    store: Store


_OPENED = One("repeating/repeat_links.opened", _Opened)


def _newest(change: Change) -> str:
    assert change.rendering.links is not None  # noqa: S101 -- every request that writes links shows their URLs
    return change.rendering.links.newest


async def open_link(
    connection: Connection, keys: LinkKeys, token: str, order_code: str | None = None, *, hold: bool = False
) -> Opened:
    """What a token opens; writes nothing. With `hold` the link stays as it is until the caller's transaction ends.

    Raises Gone for a token that doesn't open a link now, whatever the reason, and where the code of the order is given
    also for a link of another one.
    """
    named = read(token)
    if named is None:
        raise _gone()
    if hold:
        await _LOCK(connection, store=named.store_id, link=named.id)
    found = await _OPENED(connection, store=named.store_id, link=named.id, now=clock.now())
    if found is None:
        raise _gone()
    genuine = keys.verify(token, found.link) and order_code in (None, found.order_code)
    if not genuine or found.link.state(clock.now(found.store)) != "live":
        raise _gone()
    way = proof(found.rule, found.customer_id, found.answers)
    return Opened(
        link=found.link,
        store=found.store,
        checkout_url=found.checkout_url,
        order_id=found.order_id,
        order_code=found.order_code,
        currency_code=found.currency_code,
        recipient=masks.address(
            first_name=found.first_name,
            last_name=found.last_name,
            company=found.company,
            zip_code=found.zip_code,
            proves=found.rule == "zip_code",
        ),
        billing_address_id=found.billing_address_id,
        shipping_address_id=found.shipping_address_id,
        shipping_method_id=found.shipping_method_id,
        shipping_method_name=found.shipping_method_name,
        payment_method_id=found.payment_method_id,
        payment_method_name=found.payment_method_name,
        proof=way,
        answer=hint(way, found.answers) if found.store.mode == "test" else None,
        customer_group_id=found.customer_group_id,
    )


async def preview(connection: Connection, opened: Opened, choice: Mapping[str, int] | None = None) -> Preview:
    """What would become of the order if the link were committed now, at its customer's prices; writes nothing.

    `choice` holds the quantities of the lines that are wanted; None is all of them.
    """
    outcomes, left_out = await reorders.preview(connection, opened.store, opened.order_id, policy=POLICY, choice=choice)
    quote = await amounts.quote(
        connection,
        opened.store,
        reorders.items_of(outcomes),
        currency=opened.currency_code,
        customer_group_id=opened.customer_group_id,
        at=clock.now(opened.store),
        shipping_method_id=opened.shipping_method_id,
        payment_method_id=opened.payment_method_id,
    )
    return Preview(outcomes, left_out, quote.totals, quote.tax_included)


async def commit(
    connection: Connection,
    opened: Opened,
    browser: str,
    *,
    choice: Mapping[str, int] | None = None,
    once: bool = False,
) -> Committed | None:
    """The one open cart of this link and browser: found again, or made with all details of the order.

    One that is found is brought to today: nobody changed what is in it, so it is filled anew, else its prices are. With
    `once` the browser never gets a second cart, also when the first one was closed meanwhile. The cart belongs to no
    customer, and has copies of the order's addresses. `choice` is as in `preview`. None when nothing of it can be
    bought. Runs in the transaction in which the link was opened and held.
    """
    kept = _hashed(browser)
    there = await _CART_OF_BROWSER(
        connection, store=opened.store.id, link=opened.link.id, browser=kept, also_closed=once
    )
    if there is None:
        return await _fill(connection, opened, kept, choice)
    if there.is_untouched and there.is_open:
        outcomes = (await preview(connection, opened, choice)).outcomes
        if all(outcome.skipped for outcome in outcomes):
            return None
        await _put(connection, opened.store, there.cart_id, outcomes)
    elif there.is_open:
        await amounts.recalculate(connection, opened.store, there.cart_id)
    return _committed(connection, opened.store, there.cart_id, there.sealed_session)


def _hashed(name: str) -> str:
    """What stands for a browser in its cart: cookies, keys and names of clients are not kept."""
    return base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode().rstrip("=")


def _committed(connection: Connection, store: Store, cart_id: str, sealed: str) -> Committed:
    return Committed(cart_id, contents.session(connection, store, cart_id, sealed))


async def _put(connection: Connection, store: Store, cart_id: str, outcomes: Sequence[Outcome]) -> None:
    """Make what can be had the contents of a cart that holds nothing of anybody's own."""
    await reorders.fill(connection, store, cart_id, outcomes)
    await _NOTE_FILLED(connection, store=store.id, cart=cart_id)


async def _fill(
    connection: Connection, opened: Opened, browser: str, choice: Mapping[str, int] | None
) -> Committed | None:
    """Make the cart; None when nothing can be bought."""
    outcomes = (await preview(connection, opened, choice)).outcomes
    if all(outcome.skipped for outcome in outcomes):
        return None
    store, at = opened.store, clock.now(opened.store)
    originals = (opened.billing_address_id, opened.shipping_address_id)
    billing, shipping = await addresses.snapshots(connection, store, originals, at=at)
    cart = await contents.create(
        connection,
        store,
        currency=opened.currency_code,
        at=at,
        actor=f"repeat_links:{opened.link.id}",
        repeat_link_id=opened.link.id,
        browser=browser,
        billing_address_id=billing,
        shipping_address_id=shipping,
        shipping_method_id=opened.shipping_method_id,
        payment_method_id=opened.payment_method_id,
    )
    assert cart is not None  # noqa: S101 -- the link is held, and this browser has no open cart from it
    await _put(connection, store, cart.id, outcomes)
    await _COUNT_CART(connection, store=store.id, link=opened.link.id, at=at)
    return _committed(connection, opened.store, cart.id, cart.sealed_session)


async def _make(
    connection: Connection, store: Store, order_id: str, order_code: str, key_id: str, *, at: datetime, actor: str
) -> None:
    """Put a new default link in the place of none, or of one that is over, unless another transaction just did."""
    retired = await _RETIRE_DEFAULT(connection, store=store.id, order=order_id, at=at)
    made = await _MAKE_DEFAULT(
        connection, store=store.id, id=clock.new_id(), order=order_id, order_code=order_code, key=key_id, at=at
    )
    happened = (("repeat_links.revoke", retired), ("repeat_links.create", made))
    changes = [outbox.Event(name, id_) for name, id_ in happened if id_ is not None]
    await outbox.record_all(connection, store, changes, actor=actor)


async def _sign_anew(
    connection: Connection, store: Store, link: RepeatLink, key_id: str, *, at: datetime, actor: str
) -> None:
    """Give a link, whose token nothing can verify any more because its key was taken away, the newest key."""
    await _SIGN_ANEW(connection, store=store.id, link=link.id, old_key=link.key_id, key=key_id, at=at)
    await outbox.record(connection, store, "repeat_links.update", link.id, actor=actor)


def _no_order() -> NotFound:
    return NotFound("There is no placed order of this id.")


def _gone() -> Gone:
    return Gone("This link doesn't work any more.")
