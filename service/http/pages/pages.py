"""Our own pages: plain HTML that needs no script, light and dark, and shows nobody anything it needn't.

Everything a page is made of is in it, but for the pictures of products: these come from where the shop keeps them. The
content security policy names the one inline style sheet by its hash and the origins of the pictures that are shown, and
allows nothing else, so not even a stray script could run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from schemas.kinds import format_amount, located
from service.errors import ApiError, Invalid, InvalidState, NotFound
from service.http import urls
from service.http.languages import negotiate
from service.http.pages import terms
from service.texts import Phrase, language_of, say

TEMPLATES = Path(__file__).parent / "templates"
CARD = ("base.css", "card.css")
"""The style sheets of a page that is one card."""

_MOST_FIELDS = 250

PRIVATE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}
"""Headers of every answer that a credential in the URL leads to: kept nowhere, passed on to nobody."""


class _Style(NamedTuple):
    """A style sheet, and the hash by which a policy allows it."""

    text: Markup
    hash: str


class Notice(NamedTuple):
    """What a page says that only says something."""

    title: Phrase
    text: Phrase


GONE = Notice(
    Phrase("This link doesn't work any more"),
    Phrase("Ask the shop for a new one, or order in the shop as usual."),
)
STALE = Notice(
    Phrase("Please open the page again"),
    Phrase("This page was open for too long. Nothing was ordered."),
)
MISSING = Notice(
    Phrase("There is nothing here"),
    Phrase("The address may have been copied incompletely."),
)
ABSENT = Phrase("That can't be done here.")
PROBLEM = Notice(
    Phrase("That didn't work"),
    Phrase("Nothing was ordered. Please try again in a moment."),
)

_environment = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(
    request: Request,
    template: str,
    values: Mapping[str, Any],
    *,
    status: int = 200,
    locale: str | None = None,
    form_target: str = "",
    styles: tuple[str, ...] = CARD,
    own: bool = False,
) -> Response:
    """A page from `templates/`, in the reader's language or else that of `locale`.

    Templates see `values`, `say(sentence, **values)`, `money(cents, currency)`, `rhythm(frequency)` and `picture(url)`:
    the URL of a product's picture where a page may show it, whose origin the policy then allows.
    `form_target` is a URL of another origin to which the page's form may lead. `styles` are its style sheets, in
    `templates/`; with `own` it may load pictures and scripts of the service's own.
    """
    chosen = negotiate(request) if locale is None else negotiate(request, locale)
    language = language_of(chosen)

    def said(sentence: str, **values: Any) -> str:
        return say(Phrase(sentence, **values), language)

    def money(cents: int, currency: str) -> str:
        return format_amount(cents, currency, chosen) or ""

    def rhythm(frequency: str) -> str:
        return say(terms.rhythm(frequency, chosen), language)

    shown: list[str] = []

    def picture(url: str | None) -> str | None:
        found = picture_of(url, urls.api(request))
        shown.extend([found] if found else ())
        return found

    style = _style(styles)
    given = {
        "say": said,
        "language": language,
        "money": money,
        "rhythm": rhythm,
        "picture": picture,
        "style": style.text,
        **values,
    }
    content = _environment.get_template(template).render(given)
    headers = {
        **PRIVATE,
        "Content-Language": language,
        "Content-Security-Policy": _policy(style, form_target, shown, own=own),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Vary": "Accept-Language",
        "X-Frame-Options": "DENY",
    }
    return HTMLResponse(content, status, headers)


def impossible() -> Invalid:
    """The refusal of what no page of ours offers."""
    reason = ABSENT
    return Invalid(reason)


def refusals(error: ApiError | None, day: Callable[[datetime], str]) -> Sequence[Phrase]:
    """Why what a button says was not done, for customers; nothing without an error. `day` writes an instant's day.

    Where it can't be done as things are, what else is wrong about it isn't told: the API names fields and ids.
    """
    if error is None:
        return ()
    problems = error.problems
    told = [problem for problem in problems if isinstance(problem, InvalidState)] or problems
    return [_for_customers(problem, day) for problem in told]


def _for_customers(problem: ApiError, day: Callable[[datetime], str]) -> Phrase:
    """What somebody is told of a problem who knows none of the API's words."""
    if isinstance(problem, NotFound) and problem.source:
        return ABSENT
    closed_at = (problem.meta or {}).get("closed_at")
    if closed_at is not None:
        return Phrase("This delivery could be changed until {day}.", day=day(datetime.fromisoformat(closed_at)))
    return problem.detail


def render(request: Request, error: ApiError) -> Response:
    """The page for a problem: what a reader can do about it, and nothing of its cause."""
    answer = notice(request, {404: MISSING, 410: GONE}.get(error.http_status, PROBLEM), status=error.http_status)
    answer.headers.update(error.headers)
    return answer


def notice(request: Request, said: Notice, *, status: int, again: str | None = None) -> Response:
    """A page that only says something; `again` is a URL to go on with."""
    return page(request, "notice.html", {"notice": said, "again": again}, status=status)


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields of a submitted form, empty when the body is no such form. What can't be text is replaced in them."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return {}
    try:
        fields = parse_qsl((await request.body()).decode("ascii", "replace"), max_num_fields=_MOST_FIELDS)
    except ValueError:
        return {}
    # As bytes that are no UTF-8 are: Postgres keeps no NUL.
    return {name: value.replace("\0", "\N{REPLACEMENT CHARACTER}") for name, value in fields}


@cache
def _style(names: tuple[str, ...]) -> _Style:
    text = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)
    hashed = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return _Style(Markup(text), hashed)  # noqa: S704 -- our own file; escaped, it would not match its hash


def _policy(style: _Style, form_target: str, pictures: Iterable[str], *, own: bool) -> str:
    origins = sorted({source(url) for url in pictures} - {""})
    if own:
        origins.append("'self'")
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src 'sha256-{style.hash}'",
            *(["script-src 'self'", "connect-src 'self'"] if own else []),
            *([f"img-src {' '.join(origins)}"] if origins else []),
            # Browsers hold the redirect that answers a form to this as well.
            f"form-action 'self' {source(form_target)}".rstrip(),
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
    )


def picture_of(url: str | None, base: str) -> str | None:
    """The URL of a product's picture, where a page may show it: our own, or one over https.

    Its origin is one that a policy can name. `base` is the URL of the API.
    """
    found = "" if url is None else located(url, base)
    return found if found.startswith(("https://", located("/", base))) and source(found) else None


def pictured(request: Request, pictures: Iterable[str | None]) -> bool:
    """Whether a page may show at least one of the pictures at these URLs: all products then have a place for theirs."""
    return any(picture_of(url, urls.api(request)) for url in pictures)


def source(url: str) -> str:
    """The origin of a URL as a source expression of a policy; empty when it can't be written as one."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode()
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    plain = host.replace("-", "").replace(".", "").isalnum()
    return f"{parts.scheme}://{host}{port}" if plain and parts.scheme in ("http", "https") else ""
