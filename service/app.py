"""The composition root: settings in, an ASGI application out."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp
from starlette_compress import CompressMiddleware

from service.errors import StartupError
from service.gateways import Gateways, configured
from service.http import state
from service.http.api.conditions import NotModified
from service.http.middleware import BodyLimit, CodedTags, RequestContext, RequestLimits
from service.http.problems import Problems
from service.http.proxies import Forwarded
from service.http.routes import routes
from service.http.watch import health, metrics
from service.settings import Settings

METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
"""What pages of other origins may ask."""
ASKED = (
    "Accept", "Authorization", "baggage", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Prefer",
    "traceparent", "tracestate", "X-Cart-Session", "X-HTTP-Method-Override", "X-Request-Id",
)  # fmt: skip
"""The headers that such pages may send."""
TOLD = (
    "Accept-Patch", "Accept-Post", "Allow", "ETag", "Idempotency-Replayed", "Link", "Location", "Preference-Applied",
    "RateLimit", "RateLimit-Policy", "Retry-After", "Server-Timing", "traceparent", "Vary", "X-RateLimit-Limit",
    "X-RateLimit-Remaining", "X-Request-Id",
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
    app = _Application(
        routes=routes,
        middleware=_middleware(settings),
        lifespan=state.serving(settings, configured(settings) if gateways is None else gateways),
    )
    app.router.redirect_slashes = False
    return app


class _Application(Starlette):
    """Starlette without its own two layers for errors, since `Problems` answers every one."""

    def build_middleware_stack(self) -> ASGIApp:
        """The router in the middleware that the application was made with."""
        app: ASGIApp = self.router
        for wrap, args, options in reversed(self.user_middleware):
            app = wrap(app, *args, **options)
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
        # Low levels: large answers are compressed between two other requests, and these cost a tenth for a tenth more.
        Middleware(CompressMiddleware, zstd_level=1, brotli_quality=1, gzip_level=1),
        Middleware(NotModified),
        Middleware(BodyLimit, most=settings.max_body_bytes),
        Middleware(Problems),
        Middleware(RequestLimits),
    ]
