"""The command line, `reprise`: each command with its options; what it does is in service/cli.

Exit codes: 0 done, 1 failed, with one sentence on standard error, 2 wrong usage.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Annotated

import typer
from marshmallow import ValidationError

from schemas.kinds import CurrencyCode, Kind, LocaleCode, TimeZone
from service import clock
from service.cli import logs
from service.cli.console import answer, progress, say, told
from service.cli.doctor import described, examine
from service.cli.servers import migrated, read_settings, server
from service.cli.serving import listen, run, serve, serve_processes, url_of, work
from service.cli.up import up as bring_up
from service.contract import openapi as contract
from service.demo import load
from service.errors import ApiError, Invalid, StartupError
from service.operations.access import tokens
from service.operations.tenant import stores
from service.principal import CUSTOMER_SCOPES, SCOPES, Store
from service.resources import RESOURCES
from service.settings import Settings
from service.store import counts, deployment
from service.store import migrate as migrations
from service.store.checks import violations
from service.texts import Phrase

app = typer.Typer(
    help="Reprise repeats orders: reorders, repeat links and recurring copies over JSON:API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
store_app = typer.Typer(help="Stores, the tenants.", no_args_is_help=True)
token_app = typer.Typer(help="Access tokens.", no_args_is_help=True)
app.add_typer(store_app, name="store")
app.add_typer(token_app, name="token")

_PLAN = load.Plan()

DatabaseUrl = Annotated[
    str | None, typer.Option("--database-url", help="Postgres to use instead of DATABASE_URL or the embedded one.")
]
Host = Annotated[str, typer.Option(help="The address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="The port to listen on; 0 for any that is free.")]
StoreNumber = Annotated[int, typer.Option("--store", min=1, max=2**53 - 1, help="The number of the store.")]


def main() -> None:
    """Run the command of the command line."""
    try:
        app(prog_name="reprise")
    except StartupError as error:
        say(error.detail)
        raise SystemExit(1) from None
    except ApiError as error:
        say("; ".join(told(problem.detail) for problem in error.problems))
        raise SystemExit(1) from None


@app.command()
def up(
    *,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    demo: Annotated[bool, typer.Option("--demo", help="Make the demo store on a given database, too.")] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Serve and work in one process, with an embedded Postgres and demo data unless a database is given."""
    settings = _serving(database_url, host)
    with listen(host, port) as sock, server(settings) as url:
        embedded = settings.database_url is None
        run(bring_up(settings.model_copy(update={"database_url": url}), sock, embedded=embedded, demo=demo))


@app.command(name="serve")
def serve_api(
    *,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, help="How many processes share the work.")] = 1,
    database_url: DatabaseUrl = None,
) -> None:
    """Serve the API alone."""
    settings = _serving(database_url, host)
    with listen(host, port) as sock, server(settings) as url:
        run(_check_schema(url))
        settings = settings.model_copy(update={"database_url": url})

        def ready() -> None:
            answer(Phrase("Reprise answers at {url}.", url=url_of(sock)))

        if workers == 1:
            run(serve(settings, sock, ready))
        else:
            serve_processes(settings, sock, ready, workers)


@app.command(name="work")
def work_jobs(
    *,
    concurrency: Annotated[int, typer.Option(min=2, help="How many jobs run at a time.")] = 16,
    metrics_host: Annotated[str, typer.Option(help="The address to tell health and metrics at.")] = "127.0.0.1",
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="The port for that, 0 for any that is free; none by default.")
    ] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Work on the queue alone."""
    settings = _serving(database_url)
    with ExitStack() as held:
        sock = None if metrics_port is None else held.enter_context(listen(metrics_host, metrics_port))
        url = held.enter_context(server(settings))
        run(_check_schema(url))
        settings = settings.model_copy(update={"database_url": url})

        def ready() -> None:
            if sock is None:
                answer(Phrase("Reprise works."))
            else:
                answer(Phrase("Reprise works; its metrics are at {url}/metrics.", url=url_of(sock)))

        run(work(settings, concurrency, ready, sock=sock))


@app.command()
def migrate(*, database_url: DatabaseUrl = None) -> None:
    """Bring the database to the schema of this release; safe to run several times at once."""
    with server(read_settings(database_url)) as url:
        applied = run(migrations.migrate(url, progress=say))
    done = Phrase("Applied {count} migration.", plural="Applied {count} migrations.", count=len(applied))
    answer(done if applied else Phrase("The database is up to date."))


@app.command()
def adopt(*, database_url: DatabaseUrl = None) -> None:
    """Let workers run the subscriptions of a database that was restored or copied from another installation's."""
    settings = read_settings(database_url)

    async def take_over(url: str) -> str:
        async with migrated(url) as connection:
            here = await deployment.here(connection, settings.deployment_id)
            await deployment.adopt(connection, here, at=clock.now())
            return here

    with server(settings) as url:
        here = run(take_over(url))
    answer(Phrase("The database belongs to this installation now ({name}): workers run what is due.", name=here))


@app.command()
def seed(
    *,
    store: StoreNumber = load.STORE,
    seed: Annotated[int, typer.Option(min=0, max=2**53 - 1, help="Another number gives other data.")] = _PLAN.seed,
    customers: Annotated[int, typer.Option(min=0)] = _PLAN.customers,
    skus: Annotated[int, typer.Option(min=0)] = _PLAN.skus,
    orders: Annotated[int, typer.Option(min=0)] = _PLAN.orders,
    subscriptions: Annotated[int, typer.Option(min=0)] = _PLAN.subscriptions,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a demo store: the samples of the three contracts' documents, and as much data around them as you like."""
    plan = load.Plan(store, seed, customers, skus, orders, subscriptions)

    async def make(url: str) -> bool:
        async with migrated(url) as connection:
            with progress(Phrase("orders"), orders) as tell:
                return await load.seed(connection, plan, clock.now(), tell)

    with server(read_settings(database_url)) as url:
        made = run(make(url))
    unchanged = Phrase("Store {store} holds exactly this already: nothing was changed.", store=store)
    answer(Phrase("Made store {store}.", store=store) if made else unchanged)


@app.command()
def check_db(
    *,
    recount: Annotated[bool, typer.Option(help="Have collections counted anew.")] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Look for rows that break an invariant; exit code 1 when there are any."""

    async def check(url: str) -> int:
        async with migrated(url) as connection:
            if recount:
                await counts.forget(connection)
            found = await violations(connection)
        for violation in found:
            answer(described(violation))
        return len(found)

    with server(read_settings(database_url)) as url:
        broken = run(check(url))
    if broken:
        raise typer.Exit(1)
    answer(Phrase("Every invariant holds."))


@app.command()
def openapi(*, database_url: DatabaseUrl = None) -> None:  # noqa: ARG001 -- every command takes it; this one needs no database
    """Print the contract, openapi.yaml."""
    answer(contract.dump(contract.build(RESOURCES)).rstrip("\n"))


@app.command()
def doctor(*, host: Host = "127.0.0.1", port: Port = 8000, database_url: DatabaseUrl = None) -> None:
    """Say what is wrong and what to do; exit code 1 when anything is."""

    async def look() -> int:
        wrong = 0
        async for finding in examine(read_settings(database_url), host, port):
            answer(f"{'!!' if finding.advice else 'ok'}  {told(finding.what):<12} {told(finding.found)}")
            if finding.advice:
                wrong += 1
                answer(f"    {'':<12} -> {told(finding.advice)}")
        return wrong

    if run(look()):
        raise typer.Exit(1)


def _checked(kind: Kind) -> Callable[[str], str]:
    """A typer callback that takes what the kind of attribute takes."""

    def check(value: str) -> str:
        try:
            return str(kind.deserialize(value))
        except ValidationError as error:
            raise typer.BadParameter("; ".join(told(Phrase(message)) for message in error.messages)) from None

    return check


def _slug(value: str | None) -> str | None:
    if value is not None and stores.slugify(value) != value:
        raise typer.BadParameter(told(Phrase("must be up to 63 lower-case letters, digits and hyphens")))
    return value


@store_app.command(name="create")
def create_store(
    *,
    id: Annotated[int, typer.Option(min=1, max=2**53 - 1, help="The store's number, which is in its URLs and tokens.")],
    name: Annotated[str, typer.Option(help="The name that customers see.")],
    slug: Annotated[
        str | None, typer.Option(callback=_slug, help="Its name in URLs; made of the name by default.")
    ] = None,
    currency: Annotated[str, typer.Option(callback=_checked(CurrencyCode()), help="An ISO 4217 code.")] = "EUR",
    timezone: Annotated[str, typer.Option(callback=_checked(TimeZone()), help="An IANA name.")] = "UTC",
    locale: Annotated[str, typer.Option(callback=_checked(LocaleCode()), help="How amounts are written.")] = "en_US",
    live: Annotated[bool, typer.Option("--live", help="In live mode, instead of test mode.")] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a store."""

    async def create(url: str) -> Store:
        async with migrated(url) as connection, connection.transaction():
            return await stores.create(
                connection,
                store_id=id,
                name=name,
                slug=slug,
                currency_code=currency,
                timezone=timezone,
                locale=locale,
                mode="live" if live else "test",
                at=clock.now(),
            )

    with server(read_settings(database_url)) as url:
        store = run(create(url))
    answer(
        Phrase(
            "Made store {store} ({slug}). Its first token: `reprise token create --store {store}`.",
            store=store.id,
            slug=store.slug,
        )
    )


def _duration(text: str | None) -> timedelta | None:
    """A time from now: a number of seconds, or of minutes (m), hours (h) or days (d)."""
    if text is None:
        return None
    parts = re.fullmatch(r"([1-9][0-9]{0,8})([smhd]?)", text)
    if parts is None:
        raise typer.BadParameter(told(Phrase("must be a number followed by s, m, h or d, such as 90d")))
    unit = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[parts[2]]
    return min(timedelta(**{unit: int(parts[1])}), timedelta(days=36_500))


@token_app.command(name="create")
def create_token(
    *,
    store: StoreNumber,
    customer: Annotated[str | None, typer.Option(help="The id of a customer, for a customer's token.")] = None,
    scopes: Annotated[str | None, typer.Option(help="What it allows, in one text; all by default.")] = None,
    name: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    expires_in: Annotated[str | None, typer.Option(help="When it ends: 3600, 12h or 90d; never by default.")] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make an access token and print it alone; only its hash is kept."""
    lifetime = _duration(expires_in)
    wanted = (SCOPES if customer is None else CUSTOMER_SCOPES) if scopes is None else scopes.replace(",", " ").split()

    async def create(url: str) -> str:
        at = clock.now()
        async with migrated(url) as connection, connection.transaction():
            if await stores.find(connection, store) is None:
                raise StartupError("There is no store {store}.", store=store)
            _, token = await tokens.issue(
                connection,
                store,
                customer_id=customer,
                scopes=wanted,
                name=name,
                expires_at=None if lifetime is None else at + lifetime,
                at=at,
            )
        return token

    with server(read_settings(database_url)) as url:
        try:
            token = run(create(url))
        except Invalid as error:
            raise typer.BadParameter(told(error.detail), param_hint="--scopes") from None
    answer(token)


def _serving(database_url: str | None, host: str | None = None) -> Settings:
    """The settings of a process that serves or works, with its keys and its host name; logging is set up."""
    settings = read_settings(database_url)
    logs.configure(settings.log_level)
    if host is not None:
        settings = settings.model_copy(update={"allowed_hosts": f"{settings.allowed_hosts},{host}"})
    return settings.with_keys()


async def _check_schema(url: str) -> None:
    async with migrated(url):
        """It has every migration, or this raises."""


if __name__ == "__main__":
    main()
