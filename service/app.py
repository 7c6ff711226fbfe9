"""The composition root: settings in, an ASGI application out."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.types import Lifespan

from service.errors import StartupError
from service.gateways import Gateways, configured
from service.http import state
from service.http.line import Line
from service.http.routes import resources, routes
from service.http.watch import health, metrics
from service.settings import Settings


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
    return _Application(settings, state.serving(settings, configured(settings) if gateways is None else gateways))


class _Application(Starlette):
    """Starlette behind our line, which does what Starlette's own layers do for errors."""

    def __init__(self, settings: Settings, lifespan: Lifespan[Starlette]) -> None:
        super().__init__(routes=routes, lifespan=lifespan)
        self.router.redirect_slashes = False
        self.middleware_stack = Line(self.router, resources, settings)


def create_lookout(settings: Settings) -> Starlette:
    """What a worker answers to whoever watches it: `/healthz`, `/readyz` and `/metrics`, of its process and database.

    `settings.database_url` must be set by now; a pool of its own opens with the application's lifespan.
    """
    return Starlette(routes=[*health.routes, *metrics.routes], lifespan=state.watching(settings))
