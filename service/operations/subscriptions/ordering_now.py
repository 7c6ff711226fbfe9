"""What comes of ordering the next run of a subscription now: it is judged as of now, not as of the run's own date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from schemas.failures import FailureType
from service import clock
from service.errors import InvalidState
from service.operations.subscriptions import forecasts, ledgers, overviews
from service.operations.subscriptions.overviews import Coming
from service.principal import Principal
from service.rules import schedule
from service.rules.failures import WHY_NOT
from service.rules.schedule import NotMovable, TooSoon
from service.store.pool import Connection


@dataclass(frozen=True, slots=True)
class OrderNow:
    """The next run as it is if it is ordered now, None where there is none, and what keeps it from that.

    `fails` says of which type its failure would be, `allowed_at` from when on it would not come too soon after another;
    both are None where nothing keeps it.
    """

    run: Coming | None = None
    fails: FailureType | None = None
    allowed_at: datetime | None = None

    @property
    def possible(self) -> bool:
        """Whether an order comes of it."""
        return self.run is not None and self.fails is None


async def look(connection: Connection, principal: Principal, subscription_id: str) -> OrderNow:
    """Return what comes of ordering the next run of a customer's subscription now; writes nothing. Raises NotFound."""
    store = principal.store
    terms = await ledgers.running(connection, store, subscription_id, principal.customer_id)
    if terms is None:
        return OrderNow()
    standing = await ledgers.standing(connection, store, terms)
    standing, now = await ledgers.kept_apart(connection, store, terms, standing), clock.now(store)
    try:
        entry = schedule.ordered_next(standing, now)
    except TooSoon as error:
        return OrderNow(allowed_at=error.allowed_at)
    except NotMovable:
        return OrderNow()
    found = await forecasts.look_at(connection, store, subscription_id, entry)
    (run,) = overviews.told(found, await ledgers.ids(connection, store, subscription_id, [entry.index]))
    estimate = found.runs[0].estimate
    return OrderNow(run, None if estimate is None else estimate.fails_now)


async def order(connection: Connection, principal: Principal, subscription_id: str) -> None:
    """Order the next run now, in place of its date.

    Raises InvalidState where no order would come of it, and as the API's verb does.
    """
    fails = (await look(connection, principal, subscription_id)).fails
    if fails is not None:
        reason = WHY_NOT[fails]
        raise InvalidState(reason)
    await overviews.order_next(connection, principal, subscription_id)
