"""What somebody sees who opens a URL in a browser at which there is nothing: where they are, and ways on."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from service.errors import ApiError
from service.http.api import answers
from service.http.pages import pages
from service.jsonapi.negotiation import MEDIA_TYPE, media_ranges

STYLES = ("base.css", "frame.css", "home.css")


def render(request: Request, error: ApiError) -> Response:
    """The page for a URL without anything, of one part of the service's front; for other problems, any page's."""
    if error.http_status != 404:
        return pages.render(request, error)
    # Relative, as on all pages of the front: it may stand below a path of a proxy.
    up = "../" * (request.scope.get("raw_path", request.scope["path"].encode()).count(b"/") - 1)
    values = {"up": up or "./", "here": "", "shop": False}
    return pages.page(request, "nowhere.html", values, status=404, styles=STYLES, own=True)


def render_to_browsers(request: Request, error: ApiError) -> Response:
    """The same for whoever asks for HTML before JSON:API's media type, as browsers do; a document for all others."""
    if error.http_status != 404 or not _is_browser(request):
        return answers.errors(request, error)
    answer = render(request, error)
    answer.headers["Vary"] = "Accept, Accept-Language"
    return answer


def _is_browser(request: Request) -> bool:
    ranges = media_ranges(*request.headers.getlist("accept"))
    weights = {one.type: one.quality for one in sorted(ranges, key=lambda one: one.quality)}
    return weights.get("text/html", 0.0) > weights.get(MEDIA_TYPE, 0.0)
