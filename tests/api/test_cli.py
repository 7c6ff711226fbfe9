"""The command line, by real processes: what it prints, how it ends, and `reprise up` from start to stop."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from service import clock
from service.operations.access import tokens
from service.principal import CUSTOMER_SCOPES
from service.store import embedded, migrate
from tests.processes import ROOT, finish, reprise, serving, start
from tests.support import with_database


@pytest.fixture(scope="module")
def folder(run_folder: Path, worker_id: str) -> Iterator[Path]:
    """A data folder whose Postgres runs for as long as these tests do, with a small demo store."""
    path = run_folder / f"cli-{worker_id}"
    with embedded.start(path):
        assert reprise("migrate", REPRISE_DATA_DIR=str(path)).code == 0
        small = ("--customers", "30", "--skus", "40", "--orders", "50", "--subscriptions", "5")
        seeded = reprise("seed", *small, REPRISE_DATA_DIR=str(path))
        assert (seeded.code, seeded.out) == (0, "Made store 1003.\n"), seeded.err
        assert re.search(r"^orders: 50 of 50$", seeded.err, re.MULTILINE)
        yield path


@pytest.fixture
async def empty_url(server_url: str) -> AsyncIterator[str]:
    """The URL of a database with nothing in it."""
    name = f"empty_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(server_url)
    try:
        await admin.execute(f"create database {name}")
        yield with_database(server_url, name)
        await admin.execute(f"drop database {name} with (force)")
    finally:
        await admin.close()


@contextmanager
def database_of(folder: Path) -> Iterator[str]:
    with embedded.start(folder) as running:
        yield running.url


def test_the_version_is_that_of_the_package() -> None:
    told = reprise("--version")
    assert (told.code, told.out) == (0, f"reprise {version('reprise')}\n"), told.err


def test_a_command_loads_what_it_needs() -> None:
    """Processor time can't be asserted; modules can: none of these is needed, and no more than this many."""
    outside = {"rich", "databases", "httpx2", "icalendar", "joserfc", "pgqueuer", "sqlalchemy", "starlette", "uvicorn"}
    for module, heavy, most in (
        ("service.__main__", outside | {"asyncpg", "marshmallow", "pydantic"}, 300),
        ("service.cli.commands.tokens", outside | {"service.operations.generic.writing"}, 600),
    ):
        code = f"import sys, {module}; print(*sys.modules)"
        loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        names = loaded.stdout.split()
        assert heavy.isdisjoint(names), (module, heavy & set(names))
        assert len(names) <= most, (module, len(names))


def test_what_prints_loads_what_it_prints_with(tmp_path: Path) -> None:
    """A token and a version are plain lines, also where the database has to be found first."""
    told = "import sys, service.__main__ as it\ntry: it.main()\nexcept SystemExit: pass\nprint(*sys.modules)"
    with database_of(tmp_path / "postgres") as url:
        assert reprise("migrate", "--database-url", url).code == 0
        assert reprise("store", "create", "--id", "5", "--name", "S", "--database-url", url).code == 0
        for arguments in (["--version"], ["token", "create", "--store", "5", "--database-url", url]):
            command = [sys.executable, "-c", told, *arguments]
            ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            first, modules = ran.stdout.splitlines()
            assert first.startswith(("reprise ", "secret_")), ran.stderr
            assert {"rich", "structlog"}.isdisjoint(modules.split())


def test_a_setting_with_a_typo_is_refused_with_the_name_that_was_meant(tmp_path: Path) -> None:
    none = {"REPRISE_DATA_DIR": str(tmp_path / "none")}
    for name, sentence in (
        ("REPRISE_RATE_LIMITS", "There is no setting REPRISE_RATE_LIMITS; did you mean REPRISE_RATE_LIMIT?\n"),
        ("REPRISE_PUBLIC_URl", "There is no setting REPRISE_PUBLIC_URl; did you mean REPRISE_PUBLIC_URL?\n"),
        ("REPRISE_ZZZ", "There is no setting REPRISE_ZZZ.\n"),
    ):
        refused = reprise("doctor", **none, **{name: "1"})
        assert (refused.code, refused.out, refused.err) == (1, "", sentence)


def test_a_command_makes_no_database_by_surprise(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    for arguments in (("token", "create", "--store", "5"), ("serve", "--port", "0"), ("work",), ("check-db",)):
        refused = reprise(*arguments, REPRISE_DATA_DIR=str(folder))
        assert refused.code == 1, arguments
        assert f"There is no database in {folder}: run `reprise up` here" in refused.err
    assert not (folder / "postgres").exists()


def test_wrong_usage_is_told_and_ends_with_2(tmp_path: Path) -> None:
    wrong = [
        ("nope",),
        ("up", "--port", "70000"),
        ("store", "create", "--id", "5", "--name", "A", "--currency", "XXY"),
        ("token", "create", "--store", "5", "--expires-in", "soon"),
    ]
    running = [start(arguments, REPRISE_DATA_DIR=str(tmp_path / "none")) for arguments in wrong]
    for arguments, outcome in zip(wrong, [finish(process) for process in running], strict=True):
        assert outcome.code == 2, arguments
        assert outcome.out == ""
        assert "Usage: reprise" in outcome.err
        assert "Traceback" not in outcome.err
    assert not (tmp_path / "none").exists()


def test_what_cannot_start_says_so_in_one_sentence_and_ends_with_1(tmp_path: Path, empty_url: str) -> None:
    no_folder = tmp_path / "a file"
    no_folder.touch()
    nowhere = "postgresql://someone:swordfish@127.0.0.1:1/shop"
    keys, short = {"REPRISE_SECRET_KEYS": "a-key-of-the-tests"}, {"REPRISE_SECRET_KEYS": "guess-me"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        cases: list[tuple[tuple[str, ...], dict[str, str], str]] = [
            (("up", "--port", port), {}, f"Port {port} on 127.0.0.1 is in use"),
            (("up", "--port", "0"), {"DATABASE_URL": nowhere}, "Set REPRISE_SECRET_KEYS"),
            (("up", "--port", "0"), {"DATABASE_URL": nowhere, **short}, "fewer than 16 characters"),
            (("serve", "--port", "0"), {"DATABASE_URL": nowhere, **keys}, "can't be reached"),
            (("migrate", "--database-url", "shop"), {}, "The database URL is not of the form"),
            (("work",), {"DATABASE_URL": empty_url, **keys}, "run `reprise migrate`"),
            (("up", "--port", "0"), {"REPRISE_DATA_DIR": str(no_folder)}, "can't be used"),
            (("up", "--port", "0"), {"REPRISE_POOL_SIZE": "many"}, "REPRISE_POOL_SIZE"),
        ]
        defaults = {"REPRISE_DATA_DIR": str(tmp_path / "none")}
        outcomes = []
        for begin in range(0, len(cases), 4):
            some = [start(arguments, **(defaults | given)) for arguments, given, _ in cases[begin : begin + 4]]
            outcomes += [finish(process) for process in some]
    for (arguments, _, words), outcome in zip(cases, outcomes, strict=True):
        assert outcome.code == 1, (arguments, outcome.err)
        assert outcome.out == ""
        assert words in outcome.err
        assert len(outcome.err.strip().splitlines()) == 1, outcome.err
        assert "swordfish" not in outcome.err
    assert not (tmp_path / "none" / "postgres").exists(), "the port is looked at before Postgres starts"


def test_seeding_twice_changes_nothing_and_checks_find_what_is_wrong(folder: Path) -> None:
    data = {"REPRISE_DATA_DIR": str(folder)}
    small = ("--customers", "30", "--skus", "40", "--orders", "50", "--subscriptions", "5")
    again, other, clean, doctor = [
        finish(process)
        for process in [
            start(("seed", *small), **data),
            start(("seed", "--seed", "2"), **data),
            start(("check-db",), **data),
            start(("doctor", "--port", "0"), **data),
        ]
    ]
    assert (again.code, again.out) == (0, "Store 1003 holds exactly this already: nothing was changed.\n")
    assert (other.code, other.out) == (1, "")
    assert "choose another --store" in other.err
    assert (clean.code, clean.out) == (0, "Every invariant holds.\n")
    assert doctor.code == 0, doctor.out
    assert all(line.startswith("ok") for line in doctor.out.splitlines())
    for what in ("python", "keys", "port", "postgres", "data folder", "database", "clock", "schema", "data"):
        assert re.search(rf"^ok  {what} +\S", doctor.out, re.MULTILINE), what


async def test_a_broken_invariant_is_named(folder: Path) -> None:
    with database_of(folder) as url:
        connection = await asyncpg.connect(url)
        change = "update carts set total_amount_cents = total_amount_cents + $1 where store_id = 1003"
        try:
            await connection.execute(change, 1)
            running = [start((name,), REPRISE_DATA_DIR=str(folder)) for name in ("check-db", "doctor")]
            check, doctor = [finish(process) for process in running]
        finally:
            await connection.execute(change, -1)
            await connection.close()
    assert check.code == doctor.code == 1
    assert "carts_add_up" in check.out
    assert "of store 1003" in check.out
    assert "carts_add_up" in doctor.out


def test_doctor_says_what_to_do(tmp_path: Path, empty_url: str) -> None:
    nothing = {"REPRISE_DATA_DIR": str(tmp_path / "none")}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        running = [
            start(("doctor", "--port", port), **nothing),
            start(("doctor", "--port", "0", "--database-url", empty_url), **nothing),
        ]
        fresh, old = [finish(process) for process in running]
    assert fresh.code == 1
    assert "choose another with --port" in fresh.out
    assert "`reprise up` makes it" in fresh.out
    assert not (tmp_path / "none").exists()
    assert old.code == 1
    assert "set REPRISE_SECRET_KEYS" in old.out
    assert "run `reprise migrate`" in old.out


def test_doctor_knows_a_reprise_that_runs(folder: Path) -> None:
    data = {"REPRISE_DATA_DIR": str(folder)}
    with serving("serve", "--port", "0", until="answers at", **data) as service:
        port = service.url.rpartition(":")[2]
        doctor = reprise("doctor", "--port", port, **data)
    assert doctor.code == 0, doctor.out
    assert f"Reprise answers at {port} on 127.0.0.1" in doctor.out


class _Stranger(BaseHTTPRequestHandler):
    """A service of somebody else's, whose `/readyz` looks like ours."""

    server_version, sys_version = "Example/2.0", ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_doctor_takes_nobody_elses_service_for_a_reprise(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Stranger) as stranger:
        answering = threading.Thread(target=stranger.serve_forever)
        answering.start()
        port = stranger.server_address[1]
        doctor = reprise("doctor", "--port", str(port), REPRISE_DATA_DIR=str(tmp_path / "none"))
        stranger.shutdown()
        answering.join()
    assert doctor.code == 1
    found = (
        f"Another service uses port {port} on 127.0.0.1: Example/2.0, which answers /readyz with 200 application/json"
    )
    assert found in " ".join(doctor.out.split())


@pytest.mark.rule("FM-146")
def test_doctor_tells_of_proxies(tmp_path: Path) -> None:
    nothing = {"REPRISE_DATA_DIR": str(tmp_path / "none")}
    public = {"REPRISE_PUBLIC_URL": "https://shop.example"}
    cases: list[tuple[dict[str, str], str]] = [
        ({}, "ok  proxy +none is trusted"),
        (public, "!!  proxy +what ends TLS for https://shop.example isn't trusted"),
        (public | {"REPRISE_TRUSTED_PROXIES": "10.0.0.0/8"}, "ok  proxy +10.0.0.0/8 are trusted, by x-forwarded-for"),
        ({"REPRISE_TRUSTED_PROXIES": "10.0.0.1"}, "!!  proxy +links begin with http://"),
        (public | {"REPRISE_TRUSTED_PROXIES": "0.0.0.0/0"}, "!!  proxy +REPRISE_TRUSTED_PROXIES trusts everybody"),
        (public | {"REPRISE_FORWARDED_HEADERS": "X-Real-IP"}, "!!  proxy +REPRISE_FORWARDED_HEADERS takes"),
    ]
    running = [start(("doctor", "--port", "0"), **nothing, **given) for given, _ in cases]
    for process, (_, expected) in zip(running, cases, strict=True):
        said = finish(process).out
        assert re.search(f"^{expected}", said, re.MULTILINE), said


async def test_stores_and_tokens_are_made_while_the_service_may_run(folder: Path) -> None:
    data = {"REPRISE_DATA_DIR": str(folder)}
    made = reprise("store", "create", "--id", "7", "--name", "Blue Shop", "--currency", "USD", **data)
    assert made.code == 0, made.err
    assert "blue-shop" in made.out
    commands = [
        ("token", "create", "--store", "7", "--scopes", "read_orders read_carts", "--expires-in", "2h"),
        ("token", "create", "--store", "1003", "--customer", "sam-sample", "--name", "phone"),
        ("store", "create", "--id", "7", "--name", "Other Shop"),
        ("token", "create", "--store", "8"),
        ("token", "create", "--store", "7", "--customer", "nobody"),
        ("token", "create", "--store", "7", "--scopes", "read_minds"),
    ]
    running = [start(arguments, **data) for arguments in commands]
    scoped, customer, taken, no_store, nobody, no_scope = [finish(process) for process in running]
    assert (scoped.code, customer.code) == (0, 0), scoped.err + customer.err
    assert re.fullmatch(r"secret_7_[\w-]{43}\n", scoped.out)
    assert re.fullmatch(r"customer_1003_[\w-]{43}\n", customer.out)
    with database_of(folder) as url:
        connection = await asyncpg.connect(url)
        try:
            found = await tokens.find(connection, scoped.out.strip(), clock.now())
            assert found is not None
            assert found.store.currency_code == "USD"
            assert found.scopes == {"read_orders", "read_carts"}
            kept = "select expires_at - created_at from access_tokens where store_id = 7"
            assert (await connection.fetchval(kept)).total_seconds() == 7200
            found = await tokens.find(connection, customer.out.strip(), clock.now())
            assert found is not None
            assert (found.customer_id, found.scopes) == ("sam-sample", CUSTOMER_SCOPES)
        finally:
            await connection.close()
    assert (taken.code, no_store.code, nobody.code, no_scope.code) == (1, 1, 1, 2)
    assert "There is already a store 7" in taken.err
    assert no_store.err == "There is no store 8: make it with `reprise store create --id 8`.\n"
    assert nobody.err == "There is no customer of this id.\n"
    assert "read_minds" in no_scope.err


def test_what_is_printed_while_a_command_runs_is_in_the_language_of_the_environment(
    folder: Path, tmp_path: Path
) -> None:
    dutch = {"LC_ALL": "nl_NL.UTF-8"}
    data = dutch | {"REPRISE_DATA_DIR": str(folder)}
    commands = [
        (("token", "create", "--store", "8"), data),
        (("seed", "--subscriptions", "2", "--orders", "1"), data),
        (("check-db",), data),
        (("doctor", "--port", "0"), data),
        (("migrate", "--database-url", "shop"), dutch),
        (("doctor", "--host", "nowhere.invalid"), dutch | {"REPRISE_DATA_DIR": str(tmp_path / "none")}),
    ]
    outcomes = []
    for begin in range(0, len(commands), 3):
        some = [start(arguments, **given) for arguments, given in commands[begin : begin + 3]]
        outcomes += [finish(process) for process in some]
    no_store, seed, clean, well, url, ill = outcomes
    assert (no_store.code, no_store.err) == (1, "Er is geen winkel 8: maak die met `reprise store create --id 8`.\n")
    assert seed.err.startswith("Een winkel kan niet meer abonnementen dan bestellingen hebben")
    assert (clean.code, clean.out) == (0, "Elke invariant klopt.\n")
    assert url.err.startswith("De URL van de database heeft niet de vorm")
    assert (well.code, ill.code) == (0, 1)
    for line in well.out.splitlines():
        assert line.startswith("ok")
    for what in ("python", "sleutels", "poort", "postgres", "gegevensmap", "database", "klok", "schema", "gegevens"):
        assert re.search(rf"^ok  {what} +\S", well.out, re.MULTILINE), what
    assert "geen adres om op te luisteren" in ill.out
    assert "-> stop wat hem gebruikt" in ill.out
    for outcome in outcomes:
        assert not re.search(r"\b(the|there|is not|database is|must|can't|and|with)\b", outcome.out + outcome.err)


def test_the_contract_is_printed_without_a_database(tmp_path: Path) -> None:
    outcome = reprise("openapi", REPRISE_DATA_DIR=str(tmp_path / "none"))
    assert outcome.code == 0, outcome.err
    assert outcome.out == (ROOT / "openapi.yaml").read_text()
    assert not (tmp_path / "none").exists()


LAST_LINE = r"/docs/api\n"


def send(command: str) -> Any:
    """Do what a printed curl command does; the JSON of a good answer."""
    words = shlex.split(command)
    options = list(zip(words[3::2], words[4::2], strict=True))
    headers = dict(value.split(": ", 1) for name, value in options if name == "-H")
    body = dict(options).get("-d")
    answer = httpx2.request("GET" if body is None else "POST", words[2], headers=headers, content=body)
    assert answer.is_success, answer.text
    return answer.json()


def test_up_brings_everything_from_nothing_and_stops_when_told(run_folder: Path, worker_id: str) -> None:
    folder = run_folder / f"up-{worker_id}"
    data = {"REPRISE_DATA_DIR": str(folder)}
    with ExitStack() as stack:
        first = stack.enter_context(serving("up", "--port", "0", until=LAST_LINE, **data))
        assert httpx2.get(f"{first.url}/healthz").json() == {"status": "ok"}
        assert httpx2.get(f"{first.url}/readyz").json() == {"status": "ok"}
        kept = folder / "tokens"
        assert kept.stat().st_mode & 0o777 == 0o600
        assert all(token in first.said for token in kept.read_text().split())

        # The request that it prints, as it is, and the pages to click.
        (preview,) = re.findall(r"^curl .*$", first.said, re.MULTILINE)
        counts = [send(preview)["data"]["attributes"][f"{status}_count"] for status in ("added", "skipped")]
        assert counts == [2, 0]
        pages = re.findall(rf"{re.escape(first.url)}(/demo|/docs|/docs/api)$", first.said, re.MULTILINE)
        assert pages == ["/demo", "/docs", "/docs/api"]
        for path in ("/", *pages):
            assert httpx2.get(f"{first.url}{path}").status_code == 200

        # A second one shares the database and prints the same tokens.
        second = stack.enter_context(serving("up", "--port", "0", until=LAST_LINE, **data))
        assert second.url != first.url
        assert second.said.replace(second.url, first.url) == first.said

        outcome = first.stop(signal.SIGTERM)
        assert outcome.code == 0, outcome.err
        assert "Traceback" not in outcome.err
        assert httpx2.get(f"{second.url}/readyz").status_code == 200
        outcome = second.stop(signal.SIGINT)
        assert outcome.code == 0, outcome.err
        assert "Traceback" not in outcome.err


def test_the_api_in_several_processes_and_a_worker_of_its_own(folder: Path) -> None:
    data = {"REPRISE_DATA_DIR": str(folder), "REPRISE_LOG_LEVEL": "warning", "REPRISE_METRICS_TOKEN": "a-secret"}
    with (
        serving("serve", "--port", "0", "--workers", "2", until="answers at", **data) as api,
        serving("work", until="works", **data) as worker,
    ):
        assert httpx2.get(f"{api.url}/readyz").json() == {"status": "ok"}
        asked = [httpx2.get(f"{api.url}/healthz").status_code for _ in range(20)]
        counted = re.search(
            r'^reprise_http_request_seconds_count{method="GET",route="/healthz",status="200"} (\d+)',
            httpx2.get(f"{api.url}/metrics", headers={"Authorization": "Bearer a-secret"}).text,
            re.MULTILINE,
        )
        # One more is asked when they start. Whichever process answers, it knows what the other has counted.
        assert counted is not None
        assert int(counted[1]) > len(asked)
        for service in (api, worker):
            outcome = service.stop(signal.SIGTERM)
            assert (outcome.code, outcome.err) == (0, "")


def test_the_apis_processes_end_with_the_one_that_started_them(folder: Path) -> None:
    data = {"REPRISE_DATA_DIR": str(folder), "REPRISE_LOG_LEVEL": "warning"}
    with serving("serve", "--port", "0", "--workers", "2", until="answers at", **data) as api:
        # They hold its standard error: reading that comes to an end once all of them are gone.
        api.stop(signal.SIGKILL)
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{api.url}/healthz")


async def test_a_given_database_is_seeded_only_when_asked(empty_url: str, tmp_path: Path) -> None:
    await migrate.migrate(empty_url)
    given = {
        "DATABASE_URL": empty_url,
        "REPRISE_SECRET_KEYS": "a-key-of-the-tests",
        "REPRISE_DATA_DIR": str(tmp_path / "none"),
    }
    with serving("up", "--port", "0", until="token create", **given) as plain:
        assert "demo store" not in plain.said
    connection = await asyncpg.connect(empty_url)
    try:
        assert await connection.fetchval("select count(*) from stores") == 0
    finally:
        await connection.close()


def test_doctor_refuses_what_a_server_would_and_keys_of_another_database(folder: Path) -> None:
    """What is wrong with the settings is told before a link goes out that leads nowhere."""
    data = {"REPRISE_DATA_DIR": str(folder)}
    foreign = {**data, "REPRISE_SECRET_KEYS": "keys-of-another-installation"}
    running = [
        start(("doctor", "--port", "0"), **data, **wrong)
        for wrong in (
            {"REPRISE_SECRET_KEYS": "short"},
            {"REPRISE_SECRET_KEYS": "replace-me-with-48-random-characters"},
            {"REPRISE_PUBLIC_URL": "api.shop.example"},
            {"REPRISE_SECRET_KEYS": foreign["REPRISE_SECRET_KEYS"]},
        )
    ]
    short, placeholder, bare, other = [finish(process) for process in running]
    assert [one.code for one in (short, placeholder, bare, other)] == [1, 1, 1, 1]
    assert "fewer than 16 characters" in short.out
    assert "the placeholder of the docs" in placeholder.out
    assert "a whole URL, such as https://api.shop.example" in bare.out + bare.err
    assert "other keys sealed some of" in other.out
    for wrong in ("replace-me-with-48-random-characters", "short"):
        assert reprise("serve", "--port", "0", **data, REPRISE_SECRET_KEYS=wrong).code == 1
