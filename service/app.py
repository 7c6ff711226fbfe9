"""The composition root: settings in, an ASGI application out."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette_compress import CompressMiddleware

from service.errors import ApiError, MethodNotAllowed, NotFound, StartupError, Unavailable
from service.gateways import Gateways, configured
from service.http import state
from service.http.api.conditions import NotModified
from service.http.exchange import exchange_of
from service.http.facades import renderer
from service.http.middleware import BodyLimit, CodedTags, Problems, RequestContext, RequestLimits
from service.http.proxies import Forwarded
from service.http.routes import routes
from service.http.watch import health, metrics
from service.settings import Settings
from service.store.pool import is_away

METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
"""What pages of other origins may ask."""
ASKED = (
    "Accept", "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Prefer", "traceparent",
    "X-Cart-Session", "X-HTTP-Method-Override", "X-Request-Id",
)  # fmt: skip
"""The headers that such pages may send."""
TOLD = (
    "Allow", "ETag", "Idempotency-Replayed", "Link", "Location", "Preference-Applied", "RateLimit", "RateLimit-Policy",
    "Retry-After", "Server-Timing", "traceparent", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-Request-Id",
)  # fmt: skip
"""The headers of an answer that such pages may read."""


def create_app(settings: Settings | None = None, gateways: Gateways | None = None) -> Starlette:
    """The application for these settings, by default those of the environment, and gateways, by default the settings'.

    `settings.database_url` must be set by now and have its migrations; the pool opens with the application's lifespan.
    Raises StartupError when the signing keys are missing.
    """
    settings = (settings or Settings()).with_keys()
    if settings.database_url is None:
        raise StartupError(
            "Set DATABASE_URL, or start with `reprise up` or `reprise serve`, which bring their own Postgres."
        )

    app = Starlette(
        routes=routes,
        middleware=_middleware(settings),
        exception_handlers={ApiError: _api_error, HTTPException: _http_exception},
        lifespan=state.serving(settings, configured(settings) if gateways is None else gateways),
    )
    app.router.redirect_slashes = False
    return app


def create_lookout(settings: Settings) -> Starlette:
    """What a worker answers to whoever watches it: `/healthz`, `/readyz` and `/metrics`, of its process and database.

    `settings.database_url` must be set by now; a pool of its own opens with the application's lifespan.
    """
    return Starlette(routes=[*health.routes, *metrics.routes], lifespan=state.watching(settings))


def _middleware(settings: Settings) -> list[Middleware]:
    """What every request passes on its way in, and its answer on the way out, the outermost first."""
    return [
        Middleware(Forwarded, trusted=settings.proxies),
        Middleware(RequestContext),
        Middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=METHODS,
            allow_headers=ASKED,
            expose_headers=TOLD,
        ),
        Middleware(CodedTags),
        Middleware(CompressMiddleware),
        Middleware(NotModified),
        Middleware(Problems, render=_problem),
        Middleware(RequestLimits),
        Middleware(BodyLimit, most=settings.max_body_bytes),
    ]


def _problem(request: Request, error: Exception) -> Response:
    if is_away(error):
        error = Unavailable("The database does not answer; ask again in a moment.", headers={"Retry-After": "5"})
    return _api_error(request, error) if isinstance(error, ApiError) else _unexpected(request)


def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 -- registered for ApiError only
    return renderer(request.scope["path"])(request, error)


def _http_exception(request: Request, error: Exception) -> Response:
    """The framework's own 404 and 405 in the shape of the part of the API that was asked."""
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for HTTPException only
    known: dict[int, ApiError] = {
        404: NotFound("There is nothing at this URL."),
        405: MethodNotAllowed(
            "{method} is not offered here.", method=request.method, headers=dict(error.headers or {})
        ),
    }
    problem = known.get(error.status_code)
    return _unexpected(request) if problem is None else _api_error(request, problem)


def _unexpected(request: Request) -> Response:
    """The answer to an accident, of which nothing is told: its text may hold SQL or values."""
    return _api_error(
        request,
        ApiError("Something went wrong on our side. Tell us the request id {id}.", id=exchange_of(request).request_id),
    )
