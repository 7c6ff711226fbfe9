"""Terms: what a shop and a customer agree on besides what is delivered and when."""

from __future__ import annotations

from schemas import periods
from schemas.failures import UNPAID_POLICIES
from schemas.fields import Write
from schemas.kinds import Enum, Integer, JsonList
from schemas.phases import DOC, EXAMPLE, check_phases


class Terms:
    """The terms of a subscription; a model's are those of the subscriptions that are made by it."""

    min_occurrences = Integer(
        minimum=1,
        write=Write.BOTH,
        guarded=True,
        doc="How many runs must have made their orders before a customer can cancel; null: none.",
    )
    pricing_phases = JsonList(
        write=Write.BOTH, guarded=True, validators=[check_phases], harmless=True, doc=DOC, example=EXAMPLE
    )
    prepaid_occurrences = Integer(
        minimum=periods.FEWEST,
        maximum=periods.MOST,
        write=Write.BOTH,
        guarded=True,
        doc="How many deliveries are paid for at once, with the first of them; null: each is paid for as it comes.",
    )
    unpaid_policy = Enum(
        *UNPAID_POLICIES,
        write=Write.BOTH,
        guarded=True,
        doc="What follows the last refusal of a payment: nothing, `_deactivate` (`pause`) or `_cancel`. Null: what the"
        " model of a subscription says, else the store's policies, else `keep`.",
    )
