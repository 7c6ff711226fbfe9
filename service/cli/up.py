"""`reprise up`: everything in one process, with demo data to try."""

from __future__ import annotations

import os
import shlex
import socket
from contextlib import suppress
from pathlib import Path

import orjson

from service import clock
from service.cli.console import answer, say, told
from service.cli.progress import progress
from service.cli.serving import serve
from service.cli.sockets import url_of
from service.cli.within import new_token, operator
from service.demo import load
from service.demo.documents import CUSTOMER_ID
from service.operations.access import tokens
from service.operations.tenant import tenants
from service.principal import CUSTOMER_SCOPES, SCOPES
from service.settings import Settings
from service.store import migrate
from service.store.pool import Connection, connect
from service.texts import Phrase

_PREVIEW = {
    "data": {
        "type": "reorder_previews",
        "attributes": {"strategy": "new"},
        "relationships": {"source_order": {"data": {"type": "orders", "id": "ABCRtyUpBa"}}},
    }
}


_PAGES = ("/demo", "/docs", "/docs/api")
"""What there is to click."""


async def up(
    settings: Settings, sock: socket.socket, *, apart: socket.socket | None = None, embedded: bool, demo: bool
) -> None:
    """Migrate, seed an empty embedded database (any one with `demo`), then serve and work until told to stop.

    Health and metrics are also told at `apart`, if there is one.
    """
    url = settings.session_url or ""
    await migrate.migrate(url, progress=lambda step: say(Phrase("migrating: {step}", step=step)))
    async with connect(url, settings.keys) as connection:
        await _seed(connection, only_empty=not demo, wanted=embedded or demo)
        known = await _tokens(connection, settings.data_dir) if await load.holds_demo(connection) else None

    def ready() -> None:
        answer(Phrase("Reprise answers at {url} (Ctrl-C stops it).", url=url_of(sock)))
        if known is None:
            answer(Phrase("Make a token with `reprise token create --store N`."))
        else:
            _introduce(url_of(sock), *known)

    await serve(settings, sock, ready, apart=apart, work=True)


async def _seed(connection: Connection, *, only_empty: bool, wanted: bool) -> None:
    """Seed the demo store, if it is wanted here and not there yet."""
    if not wanted or await load.holds_demo(connection) or (only_empty and await load.has_stores(connection)):
        return
    plan = load.Plan()
    with progress(Phrase("making demo data"), plan.orders) as tell:
        await load.seed(connection, plan, clock.now(), tell, actor=operator())


async def _tokens(connection: Connection, data_dir: Path) -> tuple[str, str]:
    """An integration's and a customer's token of the demo store: those in the data folder while they are good."""
    kept = data_dir / "tokens"
    at = clock.now()
    with suppress(FileNotFoundError, ValueError):
        lines = dict(line.split() for line in kept.read_text().splitlines())
        integration, customer = (lines.get(kind, "") for kind in ("integration", "customer"))
        principals = [await tokens.find(connection, token, at) for token in (integration, customer)]
        if [p.customer_id for p in principals if p is not None and p.store.id == load.STORE] == [None, CUSTOMER_ID]:
            return integration, customer
    made = []
    async with connection.transaction():
        store = await tenants.find(connection, load.STORE)
        assert store is not None  # noqa: S101 -- it holds the demo
        for customer_id, scopes in ((None, SCOPES), (CUSTOMER_ID, tuple(CUSTOMER_SCOPES))):
            made.append(
                await new_token(
                    connection, store, customer_id=customer_id, scopes=scopes, name="reprise up", lifetime=None
                )
            )
    _keep(kept, [f"integration {made[0]}", f"customer {made[1]}"])
    return made[0], made[1]


def _keep(path: Path, lines: list[str]) -> None:
    """Write lines into a file that only its owner can read; whoever reads it finds the old ones or the new ones."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(f"{line}\n" for line in lines)
    draft.replace(path)


def _introduce(url: str, integration: str, customer: str) -> None:
    """Print the tokens, what there is to click, and a request that works as it is."""
    body = orjson.dumps(_PREVIEW).decode()
    shop, docs, reference = (f"{url}{path}" for path in _PAGES)
    answer(f"""
  {told(Phrase("demo store")):<17}  {load.STORE}
  {told(Phrase("integration token")):<17}  {integration}
  {told(Phrase("customer token")):<17}  {customer}

{told(Phrase("A request that works as it is: what would it cost to repeat an order today?"))}

{_curl(url, customer, body)}

  {told(Phrase("demo shop")):<17}  {shop}
  {told(Phrase("docs")):<17}  {docs}
  {told(Phrase("API reference")):<17}  {reference}
""")


def _curl(url: str, token: str, body: str) -> str:
    """A command that asks for a preview."""
    media_type = "Content-Type: application/vnd.api+json"
    headers = ["-H", f"Authorization: Bearer {token}", "-H", media_type]
    return shlex.join(["curl", "-s", f"{url}/api/reorder_previews", *headers, "-d", body])
