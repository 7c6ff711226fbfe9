"""What every verb comes to in every status, by who says it, written down by hand: nothing of the service.

A cell is the status that follows; `=` where nothing changes, `~` where something does but not the status, or the code
of the refusal. Columns are statuses. A draft has no lines here, and so no prices.
"""

from __future__ import annotations

from collections.abc import Mapping

Table = Mapping[str, Mapping[str, str]]


def _table(text: str) -> Table:
    """Verb -> status -> cell."""
    head, *rows = (line.split() for line in text.strip().splitlines())
    return {verb: dict(zip(head, cells, strict=True)) for verb, *cells in rows}


ORDERS = {
    "shop": _table("""
                              draft      pending    placed     approved   cancelled
        _place                422        placed     =          =          409
        _cancel               cancelled  cancelled  cancelled  cancelled  =
        _approve              409        409        approved   =          409
        _refresh_prices       409        ~          409        409        409
        _create_subscriptions 409        409        ~          ~          409
    """),
    "customer": _table("""
                              draft      pending    placed     approved   cancelled
        _place                422        placed     =          =          409
        _cancel               cancelled  cancelled  cancelled  403        =
        _approve              403        403        403        403        403
        _refresh_prices       409        ~          409        409        409
        _create_subscriptions 409        409        ~          ~          409
    """),
    "guest": _table("""
                              draft      pending    placed     approved   cancelled
        _place                422        placed     =          =          409
        _cancel               cancelled  cancelled  403        403        =
        _approve              403        403        403        403        403
        _refresh_prices       409        ~          409        409        409
        _create_subscriptions 403        403        403        403        403
    """),
}

SUBSCRIPTIONS = {
    "shop": _table("""
                     draft      active     inactive   cancelled
        _activate    active     =          active     409
        _deactivate  409        inactive   =          409
        _cancel      cancelled  cancelled  cancelled  =
        _pause_until 409        ~          ~          409
        _resume      409        ~          ~          409
        _skip_next   409        ~          ~          409
        _run_now     409        ~          ~          409
        _unpark      409        =          =          409
    """),
    "customer": _table("""
                     draft      active     inactive   cancelled
        _activate    active     =          active     409
        _deactivate  409        inactive   =          409
        _cancel      cancelled  cancelled  cancelled  =
        _pause_until 409        ~          ~          409
        _resume      409        ~          ~          409
        _skip_next   409        ~          ~          409
        _run_now     409        ~          ~          409
        _unpark      403        403        403        403
    """),
}

OCCURRENCES = _table("""
             planned  due      completed  skipped  held     failed   missed
    _skip    skipped  409      409        =        409      409      409
    _unskip  =        409      409        planned  409      409      409
    _approve 409      409      409        409      due      409      409
    _reject  409      409      409        409      skipped  409      409
    _retry   409      409      409        409      409      due      409
""")
"""Of a subscription that runs, and of those that are to come; the shop and the customer alike."""

LINKS = _table("""
            live     expired  revoked
    _revoke revoked  revoked  409
    _rotate ~        ~        409
""")

CLOCKS = _table("""
                ready      advancing
    _advance_to advancing  409
""")

COPIES_OF = {"draft": 422, "active": 201, "inactive": 201, "cancelled": 422}
"""What a copy that is asked for by hand is answered with, by the status of its subscription."""
