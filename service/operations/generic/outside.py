"""What every writer asks of a URL that the service is to ask itself: of gateways, receivers and issuers."""

from __future__ import annotations

from service.errors import Invalid
from service.operations.generic.change import Change
from service.rules.outside import may_be_asked


def check_url(change: Change, name: str) -> None:
    """Note a problem where an attribute that was sent is no URL that may be asked."""
    url: str | None = change.value(name)
    if change.sets(name) and url is not None and not may_be_asked(url):
        change.problems.append(
            Invalid(
                "{name} - must be an https URL without a name and password",
                name=name,
                pointer=change.draft.pointer(name),
            )
        )
