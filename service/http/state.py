"""What a process that answers over HTTP stands on, from its start to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

from starlette.applications import Starlette
from starlette.requests import Request

from service.gateways import Gateways
from service.gateways import limits as gateway_limits
from service.gateways.issuers import IssuerKeys
from service.http.agents.assistants import Assistants
from service.http.exchange import exchange_of
from service.http.leases import Leases
from service.http.proxies import Proxies
from service.http.refusals import Refusals
from service.http.streams import Streams
from service.http.token_cache import TokenCache
from service.http.token_uses import TokenUses
from service.http.turns import Turns
from service.http.watch.lookout import Lookout
from service.operations.access.issuers import Outside
from service.operations.access.keyring import SIGNING_KEYS, Keyring
from service.operations.generic import phases
from service.operations.generic.numbers import Numbers
from service.operations.generic.phases import Work
from service.operations.webhooks.publishing import published_to
from service.rules.named_tokens import NamedKeys
from service.rules.repeat_links import LinkKeys
from service.rules.sealing import Seals
from service.settings import Settings
from service.store import notices
from service.store.pool import Database, open_configured
from service.store.replica import Replica
from service.store.vault import Vault

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Process:
    """What the API's processes and the workers have in common: all that `/readyz` and `/metrics` need.

    `proxies` are those that the API looks behind; a worker's port has none.
    """

    settings: Settings
    database: Database
    lookout: Lookout
    proxies: Proxies | None


class UrlKeys(NamedTuple):
    """What signs the tokens in the URLs of repeat links, calendars, exported files and action links."""

    links: LinkKeys
    calendars: NamedKeys
    exports: NamedKeys
    actions: NamedKeys

    @classmethod
    def of(cls, secrets: Sequence[str]) -> UrlKeys:
        """Made of the service's secrets, the newest first."""
        named = (NamedKeys(secrets, purpose) for purpose in ("calendar", "export", "action link"))
        return cls(LinkKeys(secrets), *named)


@dataclass(frozen=True, slots=True)
class Service(Process):
    """What the API stands on."""

    reads: Database | Replica
    numbers: Numbers
    tokens: TokenCache
    uses: TokenUses
    refusals: Refusals
    outside: Outside
    keyring: Keyring
    url_keys: UrlKeys
    vault: Vault
    gateways: Gateways
    turns: Turns
    assistants: Assistants
    leases: Leases
    streams: Streams

    async def run(self, work: Work[T]) -> T:
        """Run work to its result, in as many transactions as it takes. Raises what `phases.run` raises."""
        return await phases.run(self.database, self.gateways, work)


def process_of(request: Request) -> Process:
    """What the process that answers a request stands on, be it the API's or a worker's."""
    process: Process = request.app.state.service
    return process


def service_of(request: Request) -> Service:
    """What the API stands on that answers a request."""
    exchange = exchange_of(request)
    if exchange.service is None:
        exchange.service = cast("Service", request.scope["app"].state.service)
    return exchange.service


def serving(
    settings: Settings, gateways: Gateways, proxies: Proxies
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    """The lifespan of the API: a `Service` by these settings that asks these gateways, with its pool open."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        # What watches has a connection of its own: it answers also while all others are held.
        async with (
            open_configured(settings, max_size=settings.pool_size) as database,
            open_configured(settings, max_size=1) as watched,
        ):
            replica = _replica(settings, database)
            assistants = Assistants()
            tokens, uses = TokenCache(settings.token_cache_seconds), TokenUses(database)
            refusals = Refusals(database)
            outside = Outside(IssuerKeys(gateway_limits(settings)))
            keyring = Keyring(Seals(settings.keys, SIGNING_KEYS))

            def forgets(store_id: int | None) -> None:
                tokens.forget(store_id)
                outside.forget()
                if store_id is None:
                    keyring.forget()

            app.state.service = Service(
                settings,
                database,
                Lookout(watched, settings.deployment_id, published_to(settings)),
                proxies,
                reads=replica or database,
                numbers=Numbers(database),
                tokens=tokens,
                uses=uses,
                refusals=refusals,
                outside=outside,
                keyring=keyring,
                url_keys=UrlKeys.of(settings.keys),
                vault=Vault(settings.keys),
                gateways=gateways,
                turns=Turns(max(settings.pool_size // 2, 1)),
                assistants=assistants,
                leases=Leases(database),
                streams=Streams(database, max(settings.max_connections // 2, 1)),
            )
            listening = notices.listen(settings, forgets=forgets)
            follow = () if replica is None else (replica.follow(),)
            work = (*follow, uses.keep_writing(), refusals.keep_writing(), assistants.serve())
            async with _meanwhile(listening, *work):
                yield
            await uses.write()
            await refusals.write()
            outside.keys.close()

    return lifespan


def _replica(settings: Settings, database: Database) -> Replica | None:
    """Who answers reads, by the settings, beside the database; None where it answers all."""
    url = settings.replica_url
    if not url:
        return None
    at_replica = settings.model_copy(update={"database_url": url})
    return Replica(database, lambda: open_configured(at_replica, max_size=settings.pool_size), settings.replica_max_lag)


@asynccontextmanager
async def _meanwhile(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Work that goes on beside what is inside, and ends with it."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


def watching(settings: Settings) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    """The lifespan of what a worker answers: a `Process` by these settings, with one connection of its own."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_configured(settings, max_size=1) as database:
            app.state.service = Process(
                settings, database, Lookout(database, settings.deployment_id, published_to(settings)), proxies=None
            )
            yield

    return lifespan
