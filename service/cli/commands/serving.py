"""Commands that serve the API and work on the queue."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from service.cli import logs
from service.cli.commands.options import DatabaseUrl, Host, Port
from service.cli.console import answer
from service.cli.loops import run
from service.cli.servers import migrated, read_settings, server
from service.cli.serving import serve, serve_processes, work
from service.cli.sockets import listen, url_of
from service.cli.up import up as bring_up
from service.settings import Settings
from service.texts import Phrase

app = typer.Typer()


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
    with listen(host, port) as sock, server(settings, make=True) as url:
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
