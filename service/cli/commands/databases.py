"""Commands about the database as a whole."""

from __future__ import annotations

from typing import Annotated

import typer

from service import clock
from service.cli.commands.options import DatabaseUrl, Host, Port, StoreNumber
from service.cli.console import answer, say, told
from service.cli.doctor import described, examine
from service.cli.loops import run
from service.cli.progress import progress
from service.cli.servers import keys_of, migrated, read_settings, require_session, server
from service.cli.within import operator
from service.demo import load
from service.errors import StartupError
from service.operations.tenant import tenants
from service.store import counts, deployment, distributing, roles
from service.store import migrate as migrations
from service.store.checks import violations
from service.texts import Phrase

app = typer.Typer()

_PLAN = load.Plan()


@app.command()
def migrate(
    *,
    citus: Annotated[
        bool, typer.Option("--citus", help="Then spread the stores over the nodes of Citus, each on one of them.")
    ] = False,
    with_roles: Annotated[
        bool, typer.Option("--roles", help="Then give the roles of the API and of workers the rights that they need.")
    ] = False,
    prefix: Annotated[
        str, typer.Option("--role-prefix", help="What the names of the roles begin with.")
    ] = roles.PREFIX,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --roles: print the statements and change nothing.")
    ] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Bring the database to the schema of this release; safe to run several times at once."""
    if dry_run and not with_roles:
        raise StartupError("--dry-run goes with --roles.")

    async def planned(url: str) -> list[str]:
        async with migrated(url) as connection:
            return await roles.plan(connection, prefix)

    async def granted(url: str) -> int:
        async with migrated(url) as connection:
            return await roles.apply(connection, prefix, say)

    settings = read_settings(database_url)
    with server(settings, make=not dry_run) as url:
        if dry_run:
            for statement in run(planned(url)):
                answer(f"{statement};")
            return
        run(require_session(settings))
        applied = run(migrations.migrate(url, progress=say))
        placed = run(distributing.distribute(url, progress=say)) if citus else []
        changed = run(granted(url)) if with_roles else 0
    done = Phrase("Applied {count} migration.", plural="Applied {count} migrations.", count=len(applied))
    answer(done if applied else Phrase("The database is up to date."))
    if citus:
        moved = Phrase("Distributed {count} table.", plural="Distributed {count} tables.", count=len(placed))
        answer(moved if placed else Phrase("Every table is in its place."))
    if with_roles:
        changes = Phrase(
            "Changed rights by {count} statement.", plural="Changed rights by {count} statements.", count=changed
        )
        answer(changes if changed else Phrase("The roles have the rights that they need."))


@app.command()
def adopt(*, database_url: DatabaseUrl = None) -> None:
    """Let workers run the subscriptions of a database that was restored or copied from another installation's."""
    settings = read_settings(database_url)

    async def take_over(url: str) -> str:
        async with migrated(url) as connection, connection.transaction():
            here = await deployment.here(connection, settings.deployment_id)
            await deployment.adopt(connection, here, at=clock.now())
            await tenants.tell_all(connection, "adopt", actor=operator())
            return here

    with server(settings) as url:
        here = run(take_over(url))
    answer(Phrase("The database belongs to this installation now ({name}): workers run what is due.", name=here))
    say(Phrase("Whoever reads events by a cursor begins at `start` again; webhooks and streams go on by themselves."))


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

    settings = read_settings(database_url)

    async def make(url: str) -> bool:
        async with migrated(url, keys_of(settings)) as connection:
            with progress(Phrase("orders"), orders) as tell:
                return await load.seed(connection, plan, clock.now(), tell, actor=operator())

    with server(settings) as url:
        made = run(make(url))
    unchanged = Phrase("Store {store} holds exactly this already: nothing was changed.", store=store)
    answer(Phrase("Made store {store}.", store=store) if made else unchanged)


@app.command()
def check_db(
    *,
    recount: Annotated[bool, typer.Option("--recount", help="Have collections counted anew.")] = False,
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
