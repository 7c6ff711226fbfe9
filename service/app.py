"""The composition root: settings in, an ASGI application out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from service.errors import ApiError, MethodNotAllowed, NotFound, StartupError
from service.http.auth import TokenCache
from service.http.facades import renderer
from service.http.middleware import BodyLimit, RequestContext
from service.http.routes import routes
from service.operations.orders import Numbers
from service.settings import Settings
from service.store.pool import open_database


def create_app(settings: Settings | None = None) -> Starlette:
    """The application for these settings, by default those of the environment.

    `settings.database_url` must be set by now and have its migrations; the pool opens with the application's lifespan.
    Raises StartupError when the signing keys are missing.
    """
    settings = (settings or Settings()).with_keys()
    if settings.database_url is None:
        raise StartupError(
            "Set DATABASE_URL, or start with `reprise up` or `reprise serve`, which bring their own Postgres."
        )
    url = settings.database_url

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_database(
            url,
            max_size=settings.pool_size,
            command_timeout=settings.command_timeout,
            statement_cache_size=settings.statement_cache_size,
        ) as database:
            app.state.database = database
            app.state.numbers = Numbers(database)
            yield

    app = Starlette(
        routes=routes,
        middleware=[Middleware(RequestContext), Middleware(BodyLimit, most=settings.max_body_bytes)],
        exception_handlers={ApiError: _api_error, HTTPException: _http_exception, Exception: _unexpected},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.settings = settings
    app.state.tokens = TokenCache(settings.token_cache_seconds)
    return app


def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 -- registered for ApiError only
    return renderer(request.scope["path"])(request, error)


def _http_exception(request: Request, error: Exception) -> Response:
    """The framework's own 404 and 405 in the shape of the part of the API that was asked."""
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for HTTPException only
    known: dict[int, ApiError] = {
        404: NotFound("There is nothing at this URL."),
        405: MethodNotAllowed(f"{request.method} is not offered here.", headers=dict(error.headers or {})),
    }
    return _api_error(request, known.get(error.status_code) or ApiError(str(error.detail)))


def _unexpected(request: Request, error: Exception) -> Response:  # noqa: ARG001 -- its text may hold SQL or values, and goes to the log only
    return _api_error(
        request,
        ApiError(f"Something went wrong on our side. Tell us the request id {request.scope.get('request_id', '')}."),
    )

