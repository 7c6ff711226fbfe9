"""What a client would like of an answer (RFC 7240): `Prefer: return=minimal` or `return=representation`.

JSON:API comes first: an answer that must show the resource does so. That is every create and update here, since both
set `updated_at` ("201 Created", "200 OK"). Where it leaves the choice, as for relationships and
deletions, the preference decides.
"""

from __future__ import annotations

from starlette.requests import Request

from service.jsonapi.headers import elements

MINIMAL = "return=minimal"
REPRESENTATION = "return=representation"


def wanted(request: Request) -> str | None:
    """`return=minimal`, `return=representation`, or None; of several the first counts (RFC 7240, section 2)."""
    for preference in elements(request.headers.getlist("prefer")):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "return":
            choice = "return=" + value.strip().strip('"').lower()
            return choice if choice in (MINIMAL, REPRESENTATION) else None
    return None


def headers(request: Request, applied: str) -> dict[str, str]:
    """The headers of an answer that does what `applied` names: says so where it was asked for."""
    return {"Preference-Applied": applied} if wanted(request) == applied else {}
