"""The composition root: settings in, an ASGI application out."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.types import ASGIApp, Lifespan, Message, Receive, Scope, Send

from service.errors import StartupError
from service.gateways import Gateways, configured
from service.http import state
from service.http.line import NOSNIFF, Line
from service.http.proxies import Proxies
from service.http.replicas import Remembering
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
    proxies = Proxies(settings)
    serving = state.serving(settings, configured(settings) if gateways is None else gateways, proxies)
    return _Application(settings, serving, proxies)


class _Application(Starlette):
    """Starlette behind our line, which does what Starlette's own layers do for errors."""

    def __init__(self, settings: Settings, lifespan: Lifespan[Starlette], proxies: Proxies) -> None:
        super().__init__(routes=routes, lifespan=lifespan)
        self.router.redirect_slashes = False
        line = Line(self.router, resources, settings, proxies)
        self.middleware_stack = Remembering(line) if settings.replica_url else line


def create_lookout(settings: Settings) -> Starlette:
    """What a process answers at a port of its own to whoever watches it: `/healthz`, `/readyz` and `/metrics`.

    `settings.database_url` must be set by now; a pool of its own opens with the application's lifespan.
    """
    app = Starlette(routes=[*health.routes, *metrics.routes_apart], lifespan=state.watching(settings))
    app.middleware_stack = _shielded(app.build_middleware_stack())
    return app


def _shielded(app: ASGIApp) -> ASGIApp:
    """An application whose answers say what all of ours do."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], NOSNIFF]
            await send(message)

        await app(scope, receive, tell)

    return answer
