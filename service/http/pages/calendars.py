"""/calendars/<token>.ics: a subscription's runs as an iCalendar feed (RFC 5545), which calendar programs subscribe to.

The URL is the credential. It shows when what is ordered at which store, and nothing of the customer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from icalendar import Calendar, Event
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.http import guessing
from service.http.api.conditions import entity_tag
from service.http.languages import negotiate
from service.http.state import service_of
from service.operations.subscriptions import calendars
from service.operations.subscriptions.calendars import Date, Feed
from service.principal import Store
from service.rules.named_tokens import NamedKeys
from service.texts import Phrase, language_of, say

PREFIX = "/calendars/"
MEDIA_TYPE = "text/calendar; charset=utf-8"

_ASK_AGAIN = timedelta(hours=12)

_HIGHEST = 0x7FFF_FFFF
"""The highest integer of iCalendar; the version of a subscription whose id a client chose is a larger one."""


async def calendar(request: Request) -> Response:
    """GET and HEAD. Every URL that opens no calendar is the same 410."""
    token = request.path_params["token"]
    service = service_of(request)
    async with guessing.limited(request), service.database.connection() as connection:
        feed = await calendars.open_feed(connection, service.url_keys.calendars, token)
    locale = negotiate(request, feed.store.locale)
    body = _written(feed, locale)
    headers = {
        "Cache-Control": "private, no-cache",
        "Content-Language": language_of(locale),
        "ETag": entity_tag(feed.version, body),
        "Vary": "Accept-Language",
    }
    return Response(body, headers=headers, media_type=MEDIA_TYPE)


routes: list[Route] = [Route(f"{PREFIX}{{token}}.ics", calendar)]


def url_of(keys: NamedKeys, store: Store, origin: str) -> Callable[[str], str]:
    """What makes the URLs of a store's calendars, of a service at a URL of its own, from the ids of subscriptions."""
    return lambda subscription_id: f"{origin}{PREFIX}{keys.token(store.id, subscription_id)}.ics"


def _written(feed: Feed, locale: str) -> bytes:
    written = Calendar()
    written.add("prodid", "-//Reprise//order subscriptions//EN")
    written.add("version", "2.0")
    written.add("method", "PUBLISH")
    written.add("x-wr-calname", say(Phrase("Orders at {store}", store=feed.store.name), locale))
    written.add("refresh-interval", _ASK_AGAIN)
    written.add("x-published-ttl", _ASK_AGAIN)
    for date in feed.dates:
        products = [Phrase("{quantity} x {name}", quantity=quantity, name=name) for name, quantity in date.products]
        told = Phrase("{store}: {products}", store=feed.store.name, products=products)
        written.add_component(_event(feed, date, say(told, locale)))
    body: bytes = written.to_ical()
    return body


def _event(feed: Feed, date: Date, summary: str) -> Event:
    event = Event()
    event.add("uid", f"{feed.subscription_id}-{date.index}@{feed.store.id}.reprise")
    event.add("dtstamp", feed.changed_at)
    event.add("dtstart", date.at)
    event.add("summary", summary)
    event.add("status", "CONFIRMED" if date.takes_place else "CANCELLED")
    event.add("sequence", feed.version & _HIGHEST)
    event.add("transp", "TRANSPARENT")
    return event
