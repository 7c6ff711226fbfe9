"""Commands that serve the API and work on the queue."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated

import typer

from service.cli import logs
from service.cli.commands.options import DatabaseUrl, Host, MetricsHost, MetricsPort, Port
from service.cli.console import answer
from service.cli.loops import run
from service.cli.servers import migrated, read_settings, require_session, server
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
    metrics_host: MetricsHost = None,
    metrics_port: MetricsPort = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Serve and work in one process, with an embedded Postgres and demo data unless a database is given."""
    settings = _serving(database_url, host)
    with ExitStack() as held:
        sock = held.enter_context(listen(host, port))
        apart = held.enter_context(_apart(settings, metrics_host, metrics_port))
        url = held.enter_context(server(settings, make=True))
        run(require_session(settings))
        embedded = settings.database_url is None
        if embedded and "allow_local_receivers" not in settings.model_fields_set:
            # It is for trying things out, and what is tried out with webhooks is a receiver beside it.
            settings = settings.model_copy(update={"allow_local_receivers": True})
        settings = _over(settings, url)
        run(bring_up(settings, sock, apart=apart, embedded=embedded, demo=demo))


@app.command(name="serve")
def serve_api(
    *,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, help="How many processes share the work.")] = 1,
    metrics_host: MetricsHost = None,
    metrics_port: MetricsPort = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Serve the API alone."""
    settings = _serving(database_url, host)
    with ExitStack() as held:
        sock = held.enter_context(listen(host, port))
        apart = held.enter_context(_apart(settings, metrics_host, metrics_port))
        url = held.enter_context(server(settings))
        run(_check_schema(url))
        settings = _over(settings, url)

        def ready() -> None:
            if apart is None:
                answer(Phrase("Reprise answers at {url}.", url=url_of(sock)))
            else:
                told = Phrase(
                    "Reprise answers at {url}; its metrics are at {apart}/metrics.",
                    url=url_of(sock),
                    apart=url_of(apart),
                )
                answer(told)

        if workers == 1:
            run(serve(settings, sock, ready, apart=apart))
        else:
            serve_processes(settings, sock, ready, workers, apart=apart)


@app.command(name="work")
def work_jobs(
    *,
    concurrency: Annotated[int, typer.Option(min=2, help="How many jobs run at a time.")] = 16,
    metrics_host: MetricsHost = None,
    metrics_port: MetricsPort = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Work on the queue alone."""
    settings = _serving(database_url)
    with ExitStack() as held:
        sock = held.enter_context(_apart(settings, metrics_host, metrics_port))
        url = held.enter_context(server(settings))
        run(_check_schema(url))
        settings = _over(settings, url)

        def ready() -> None:
            if sock is None:
                answer(Phrase("Reprise works."))
            else:
                answer(Phrase("Reprise works; its metrics are at {url}/metrics.", url=url_of(sock)))

        run(work(settings, concurrency, ready, sock=sock))


@contextmanager
def _apart(settings: Settings, host: str | None, port: int | None) -> Iterator[socket.socket | None]:
    """The socket for health and metrics alone, of the command line, else of the settings; None where neither says."""
    chosen = settings.metrics_port if port is None else port
    if chosen is None:
        yield None
        return
    with listen(host or settings.metrics_host, chosen) as sock:
        yield sock


def _serving(database_url: str | None, host: str | None = None) -> Settings:
    """The settings of a process that serves or works, with its keys and its host name; logging is set up."""
    settings = read_settings(database_url)
    logs.configure(settings.log_level)
    if host is not None:
        settings = settings.model_copy(update={"allowed_hosts": f"{settings.allowed_hosts},{host}"})
    return settings.with_keys()


def _over(settings: Settings, url: str) -> Settings:
    """Settings that name their database: the embedded one at this URL where none was given."""
    return settings.model_copy(update={"database_url": settings.database_url or url})


async def _check_schema(url: str) -> None:
    async with migrated(url):
        """It has every migration, or this raises."""
