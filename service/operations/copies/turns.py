"""The places of runs that are planned one after the other, before any of them has made its order.

Whoever plans a run counts those before it as if all of them made their orders. One that fails takes no place: what
stands behind it moves up, in the phases of prices as in what is paid for together. Workers and forecasts count alike.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from service.operations.copies.runs import Plain, Run
from service.rules.prepaid import Paid


class Turn(NamedTuple):
    """What runs that are planned before another leave to it.

    So many of them `failed`. `paid` is what is paid for once the others are made; None: what is paid for now.
    """

    failed: int = 0
    paid: Paid | None = None

    def counted(self, run: Run) -> Run:
        """The run in the place that is left to it."""
        return replace(run, ahead=run.ahead - self.failed)

    def paid_for(self, run: Run, plain: Plain | None) -> Run:
        """The run with what is paid for of it, as it is where each run pays for itself; a `plain` one may open it."""
        paid = self.paid or run.terms.paid
        return run if paid is None else replace(run, paid=paid, plain=plain)

    def after_order(self, paid: Paid | None) -> Turn:
        """What is left once the run has made its order, with which so much is paid for."""
        return self._replace(paid=paid or self.paid)

    def after_failure(self) -> Turn:
        """What is left once the run has failed."""
        return self._replace(failed=self.failed + 1)
