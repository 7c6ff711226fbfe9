"""Where verbs start: all of them, whoever says them and however many transactions they take.

What may start is in the tables of `service.rules.verbs`, and nowhere else.
"""

from __future__ import annotations

from service.errors import Forbidden, InProgress, InvalidState
from service.principal import Principal
from service.rules.verbs import VERBS, Verb, Who
from service.texts import Either


def starts(principal: Principal, type_: str, name: str, status: str | None) -> Verb | None:
    """Return the row of a verb that is to be done in a status; None when all is as the verb would leave it.

    Raises KeyError for a verb without a row, Forbidden when it isn't for the principal, InvalidState when it isn't for
    the status, and InProgress when the status passes by itself.
    """
    verb = VERBS[type_][name]
    if not verb.is_for(_who(principal), status):
        who = verb.needs(status)
        if verb.needs(None) == who:
            raise Forbidden("_{verb} of {type} is for {who} only.", verb=name, type=type_, who=who, fields=_named(name))
        raise Forbidden(
            "_{verb} of {type} that are {status} is for {who} only.",
            verb=name,
            type=type_,
            status=status,
            who=who,
            fields=_named(name),
        )
    if not verb.sources or status in verb.sources | verb.lacking:
        return verb
    if status in verb.settled:
        return None
    if status in verb.passing:
        raise passing(status)
    raise InvalidState(
        "It is {status}: _{verb} is for {type} that are {allowed}.",
        status=status,
        verb=name,
        type=type_,
        allowed=Either(sorted(verb.sources)),
        fields=_named(name),
    )


def passing(status: str | None) -> InProgress:
    """Return the refusal of what is asked in a status that passes by itself."""
    return InProgress("It is {status}; retry in a moment.", status=status, headers={"Retry-After": "1"})


def _named(verb: str) -> tuple[str]:
    """The field by which a client says a verb."""
    return (f"_{verb}",)


def _who(principal: Principal) -> Who:
    if principal.is_guest:
        return "guests"
    return "integrations" if principal.customer_id is None else "customers"
