"""Why requests of the described form may be refused, since a description of form can't say everything."""

from __future__ import annotations

REASONS = {
    "FILTER_NOT_ALLOWED": "`filter` describes the form of filters; which there are stands in the reference",
    "FORBIDDEN": "the token is of a kind, or has not the scopes, that `security` names",
    "IDEMPOTENCY_KEY_REUSED": "the same key is made up for two requests",
    "INVALID_DATA_FORMAT": "what an operation of a batch holds depends on what it is about",
    "INVALID_FILTER_VALUE": "what a filter is compared with depends on the attribute",
    "INVALID_INCLUDE": "paths of two and more relationships are described by a pattern",
    "INVALID_PAGE_VALUE": "a page is asked for in one of three ways, and cursors are the service's own",
    "INVALID_STATE": "the order, the subscription or the cart is not in a state that allows it",
    "INVALID_TOKEN": "the token of another kind of route",
    "LINK_GONE": "the token is no link's",
    "PRECONDITION_FAILED": "`If-Match` names no version that there is",
    "QUOTA_EXCEEDED": "the customer keeps as many of the type as one may",
    "READ_ONLY": "what a change repeats of read-only fields must be what they are",
    "RECORD_NOT_FOUND": "linkage, or the URL, leads to nothing",
    "RECORD_NOT_UNIQUE": "the id is taken, or a value that only one may have",
    "TOO_MANY_REQUESTS": "addresses that try wrong links have a limit that no setting lifts",
    "TYPE_MISMATCH": "an operation of a batch names a type, and its data another",
    "UNAUTHORIZED": "the route is for tokens of another kind",
    "URI_TOO_LONG": "each value may be long, all of them together not that long",
    "VALIDATION_ERROR": "values depend on one another, and on what is there",
    "MCP 400": "versions of the protocol are made up, and each has requests of its own",
    "MCP 401": "the token is of another kind of route",
    "MCP 403": "the token is no customer's",
    "MCP 404": "the method is made up",
    "MCP 429": "wrong tokens have a limit that no setting lifts",
    "OAuth 400": "what one kind of grant needs, another does not",
    "OAuth 401": "clients and their secrets can't be made up",
    "OAuth 429": "guesses have a limit that no setting lifts",
    "WeMasy 401": "the token is no customer's",
    "WeMasy 404": "the order is not the customer's",
    "WeMasy 409": "the same key is made up for two requests at once",
    "WeMasy 422": "the same key is made up for two requests",
    "WeMasy 429": "who has no customer's token has a limit that no setting lifts",
    "metrics 403": "the port of the API tells metrics to who has their token, and this service has none",
    "page 400": "the form was not got from the page",
    "page 404": "there is no such cart, or no such page",
    "page 410": "the token is no link's",
    "page 422": "the form was not got from the page",
    "page 429": "addresses that try wrong links have a limit that no setting lifts",
}
"""Code of an error -> why a request gets it although it is as described.

Errors of WeMasy's route, of OAuth's, of assistants' and of pages hold none of our codes: they go by their status.
"""

ALWAYS_REFUSED = {
    "GET /calendars/{token}.ics": "tokens of calendars are signed",
    "GET /exports/{token}": "tokens of files are signed",
    **dict.fromkeys(
        (f"{method} /{page}/{{token}}" for method in ("GET", "POST") for page in ("actions", "portal")),
        "tokens of action links are signed",
    ),
    "GET /api/events/stream": "it has no end, so it isn't asked",
}
"""Operation -> why no made-up request gets a good answer from it."""
