"""The terms of a subscription in words: how often it comes, what its deliveries cost less, and when it can be ended."""

from __future__ import annotations

from collections.abc import Sequence

from babel.dates import get_day_names
from babel.numbers import format_percent

from schemas.kinds import format_amount
from service.operations.subscriptions.overviews import Overview
from service.rules.intervals import HOURLY, meant
from service.rules.phases import PricePhase
from service.texts import Phrase


def rhythm(frequency: str, locale: str) -> str:
    """How often something comes; a crontab that means no interval stands for itself."""
    interval = meant(frequency)
    if interval is None:
        return Phrase("Every hour") if frequency == HOURLY else frequency
    if interval.weekdays:
        names = get_day_names("wide", locale=locale)
        days = [names[day] for day in interval.weekdays]
        return Phrase("Every week on {days}", plural="Every {count} weeks on {days}", count=interval.count, days=days)
    match interval.unit:
        case "day":
            return Phrase("Every day", plural="Every {count} days", count=interval.count)
        case "week":
            return Phrase("Every week", plural="Every {count} weeks", count=interval.count)
        case "month":
            return Phrase("Every month", plural="Every {count} months", count=interval.count)
        case "year":
            return Phrase("Every year", plural="Every {count} years", count=interval.count)


def prices(phases: Sequence[PricePhase], currency: str, locale: str) -> list[Phrase]:
    """What deliveries cost less, a sentence for each phase."""
    return [_phase(phase, currency, locale, first=not index) for index, phase in enumerate(phases)]


def of(found: Overview, locale: str) -> list[Phrase]:
    """What the deliveries of a subscription cost less, and how many are paid for that are still to come."""
    sentences = prices(found.pricing_phases, found.currency_code, locale)
    if left := found.prepaid_occurrences_left:
        sentences.append(
            Phrase("Paid for {count} more delivery", plural="Paid for {count} more deliveries", count=left)
        )
    return sentences


def _phase(phase: PricePhase, currency: str, locale: str, *, first: bool) -> Phrase:
    what = _off(phase, currency, locale)
    if phase.occurrences is None:
        return Phrase("Every delivery: {what}", what=what) if first else Phrase("After that: {what}", what=what)
    count = phase.occurrences
    if first:
        return Phrase("First delivery: {what}", plural="First {count} deliveries: {what}", count=count, what=what)
    return Phrase("Next delivery: {what}", plural="Next {count} deliveries: {what}", count=count, what=what)


def _off(phase: PricePhase, currency: str, locale: str) -> Phrase:
    if phase.percentage:
        return Phrase("{off} off", off=format_percent(phase.percentage / 100, "#,##0.##%", locale))
    if phase.amount_cents:
        return Phrase("{off} off", off=format_amount(phase.amount_cents, currency, locale))
    return Phrase("the usual price")
