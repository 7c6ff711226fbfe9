"""What a client would like of an answer (RFC 7240): `Prefer: return=minimal` or `return=representation`.

JSON:API comes first: an answer that must show the resource does so. That is every create and update here, since both
set `updated_at` ("201 Created", "200 OK"). Where it leaves the choice, as for relationships and
deletions, the preference decides.
"""

from __future__ import annotations

import re

from starlette.requests import Request

MINIMAL = "return=minimal"
REPRESENTATION = "return=representation"

_RETURN = re.compile(r"(?:^|[,;])\s*return\s*=\s*\"?(minimal|representation)\"?\s*(?=$|[,;])", re.IGNORECASE)


def wanted(request: Request) -> str | None:
    """`return=minimal`, `return=representation`, or None; of several the first counts (RFC 7240, section 2)."""
    match = _RETURN.search(", ".join(request.headers.getlist("prefer")))
    return f"return={match[1].lower()}" if match else None


def headers(request: Request, applied: str) -> dict[str, str]:
    """The headers of an answer that does what `applied` names: says so where it was asked for."""
    return {"Preference-Applied": applied} if wanted(request) == applied else {}
