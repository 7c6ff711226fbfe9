"""The command line, `reprise`: its commands are in service/cli/commands, what they do beside them in service/cli.

Exit codes: 0 done, 1 failed, with one sentence on standard error, 2 wrong usage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup
from typer.main import get_group

from service.cli.console import answer, say, told
from service.errors import ApiError, StartupError

COMMANDS = {
    "up": "serving",
    "serve": "serving",
    "work": "serving",
    "migrate": "databases",
    "adopt": "databases",
    "seed": "databases",
    "import": "data",
    "export": "data",
    "audit": "trail",
    "check-db": "databases",
    "doctor": "databases",
    "listen": "listening",
    "openapi": "contract",
    "asyncapi": "contract",
}
"""Commands, and the module that declares each."""
GROUPS = {"store": "stores", "token": "tokens", "client": "clients", "keys": "keys"}
"""Groups of commands, and the module that declares each."""


class _Commands(Mapping[str, Any]):
    """Commands whose modules are loaded when they are asked for: most need a small part of the service only."""

    def __getitem__(self, name: str) -> Any:
        if name in GROUPS:
            group = _declared(GROUPS[name])
            group.name = name
            return group
        return _declared(COMMANDS[name]).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*COMMANDS, *GROUPS))

    def __len__(self) -> int:
        return len(COMMANDS) + len(GROUPS)


def _declared(module: str) -> TyperGroup:
    """The commands that a module declares."""
    return get_group(import_module(f"service.cli.commands.{module}").app)


class _Lazy(TyperGroup):
    """The group of all commands."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = cast("MutableMapping[str, Any]", _Commands())


app = typer.Typer(
    cls=_Lazy,
    help="Reprise repeats orders: reorders, repeat links and recurring copies over JSON:API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _tell_version(*, asked: bool) -> None:
    if asked:
        answer(f"reprise {version('reprise')}")
        raise typer.Exit


@app.callback()
def reprise(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    """Reprise repeats orders: reorders, repeat links and recurring copies over JSON:API."""


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


if __name__ == "__main__":
    main()
