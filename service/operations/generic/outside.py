"""What every writer asks of a URL that the service is to ask itself: of gateways, receivers and issuers."""

from __future__ import annotations

from service.errors import Invalid
from service.operations.generic.change import Change
from service.rules.outside import is_within, may_be_asked
from service.store.pool import reach_of


def check_url(change: Change, name: str, *, events: bool = False) -> None:
    """Note a problem where an attribute that was sent is no URL that may be asked, or leads where nobody is asked.

    `events` are what is sent there, and not questions: a store in test mode may have a receiver on this very machine.
    """
    url: str | None = change.value(name)
    if not change.sets(name) or url is None:
        return
    pointer = change.draft.pointer(name)
    if not may_be_asked(url):
        problem = Invalid("{name} - must be an https URL without a name and password", name=name, pointer=pointer)
    elif is_within(url, reach_of(change.connection).of(change.store.mode if events else "live")):
        return
    elif events:
        problem = Invalid(
            "{name} - leads to a private address, which this server never connects to: run"
            " `reprise listen --forward-to URL` there, or start the server with REPRISE_ALLOW_PRIVATE_ADDRESSES=true",
            name=name,
            pointer=pointer,
        )
    else:
        problem = Invalid(
            "{name} - leads to a private address, which this server never connects to: name a public one, or start the"
            " server with REPRISE_ALLOW_PRIVATE_ADDRESSES=true",
            name=name,
            pointer=pointer,
        )
    change.problems.append(problem)
