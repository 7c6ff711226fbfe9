"""Every route of the service, in one list."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from service.http import demo_checkout, handlers, health, repeat_page, writing
from service.http.facades import ecwid, wemasy

METHODS = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"]
"""All methods reach the generic handlers, which know what a type offers and answer 405 with `Allow` for the rest."""

routes: list[BaseRoute] = [
    *health.routes,
    *ecwid.routes,
    *wemasy.routes,
    *repeat_page.routes,
    *demo_checkout.routes,
    Route("/api", handlers.entry_point),
    *writing.routes,
    Route("/api/{type}", handlers.collection, methods=METHODS),
    Route("/api/{type}/{id}", handlers.resource, methods=METHODS),
    Route("/api/{type}/{id}/relationships/{relationship}", handlers.relationship, methods=METHODS),
    Route("/api/{type}/{id}/{relationship}", handlers.related, methods=METHODS),
]
