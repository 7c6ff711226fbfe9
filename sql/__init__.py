"""The database's schema and statements, as files: `migrations/*.sql`, `queries/<context>/<topic>.sql`, `checks.sql`.

A file of statements is a list of

    -- name: order_by_code
    -- An order by the code that customers see on their papers.
    select ... ;

with one statement under each name and at least a line of prose. Comments above the first name are the file's own.
A statement names its parameters (`:store`, `:source_order`): Postgres gets them as $1, $2 in the order in which they
first appear. A colon that follows a word or a bracket (`tags[1:last]`) belongs to a slice. One statement may hold
others, of another file or from above in its own, whose parameters become its own, unless it says what stands for
them:

    with snapshots as (
        select include('parties/addresses.copy')
    )

    select (select include('catalogue/pricing.promotions', coupon => orders.coupon_code)) as promotions
    from orders

`grants.sql` says what each process may do, a statement for each table.

A migration is a file `<version>_<name>.sql` as dbmate writes it: `-- migrate:up`, with `transaction:false` behind it
where its statements refuse to run in a transaction, then statements; what follows `-- migrate:down` is not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from service.errors import StartupError

FOLDER = Path(__file__).parent
MIGRATIONS = FOLDER / "migrations"
QUERIES = FOLDER / "queries"

Granted: TypeAlias = Mapping[str, frozenset[str] | None]
"""What may be done with a table: `select`, `insert` and so on -> the columns, None for all of them."""
Rights: TypeAlias = Mapping[str, Granted]
"""Table -> what may be done with it."""


class Statement(NamedTuple):
    """A named statement: its prose is one line, its text is numbered and has no closing semicolon.

    `topic` is its file below `queries/` (`orders/checkout`), empty for a check; `parameters` names $1, $2 and so on.
    `source` is the text with those names.
    """

    name: str
    topic: str
    prose: str
    source: str
    text: str
    parameters: tuple[str, ...]

    @property
    def path(self) -> str:
        """What code calls the statement: `orders/checkout.factor`."""
        return f"{self.topic}.{self.name}"


class Migration(NamedTuple):
    """One step of the schema: `version` is what the database remembers, `name` the file's, `text` what is run."""

    version: str
    name: str
    text: str
    transaction: bool


@cache
def topics() -> tuple[str, ...]:
    """The files below `queries/`, without their suffix: `orders/checkout`, in alphabetical order."""
    return tuple(sorted(str(path.relative_to(QUERIES).with_suffix("")) for path in QUERIES.rglob("*.sql")))


@cache
def statements(topic: str) -> Mapping[str, Statement]:
    """The statements of `queries/<topic>.sql` by name. Raises StartupError for a missing or malformed file."""
    found = read_statements(QUERIES / f"{topic}.sql", topic)
    return MappingProxyType({statement.name: statement for statement in found})


def statement(path: str) -> Statement:
    """The statement of a path (`orders/checkout.factor`). Raises StartupError where its file doesn't have it."""
    topic, _, name = path.rpartition(".")
    if name not in statements(topic):
        raise StartupError("{path}.sql has no statement named {name}.", path=QUERIES / topic, name=name)
    return statements(topic)[name]


@cache
def checks() -> tuple[Statement, ...]:
    """The invariants of `checks.sql`: each a select that returns no row when all is well."""
    return read_statements(FOLDER / "checks.sql")


@cache
def grants() -> Mapping[str, Rights]:
    """What each process may do, by `grants.sql`. Raises StartupError for a missing or malformed file."""
    path, found = FOLDER / "grants.sql", dict[str, dict[str, Granted]]()
    for statement in split(_read(path)):
        granted = re.search(r"(?ms)^grant (?P<verbs>.+)\s+on\s+(?P<table>\S+)\s+to\s+(?P<process>\w+)$", statement)
        if granted is None:
            raise StartupError("{path}: {statement!r} is no grant.", path=path, statement=statement)
        found.setdefault(granted["process"], {})[granted["table"]] = {
            verb: frozenset(re.findall(r"\w+", columns)) if columns else None
            for verb, columns in re.findall(r"(\w+)(?:\s+\(([^)]*)\))?", granted["verbs"])
        }
    return MappingProxyType(found)


def read_statements(path: Path, topic: str = "") -> tuple[Statement, ...]:
    """The statements of one file, in its order. Raises StartupError, naming file and statement, if malformed."""
    head, *parts = re.split(r"(?m)^-- name:", _read(path))
    if _without_comments(head):
        raise StartupError("{path}: there is SQL above the first `-- name:`.", path=path)
    found: dict[str, Statement] = {}
    for part in parts:
        title, _, rest = part.partition("\n")
        name = title.strip()
        prose = re.match(r"(?:--.*\n)*", rest)[0]  # type: ignore[index]  # zero lines match too
        text = rest[len(prose) :].strip()
        words = " ".join(line.removeprefix("--").strip() for line in prose.splitlines()).strip()
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise StartupError(
                "{path}: {name!r} is no name for a statement (lower case, digits, underscores).", path=path, name=name
            )
        if name in found:
            raise StartupError("{path}: there are two statements named {name}.", path=path, name=name)
        if not words:
            raise StartupError("{path}: {name} needs a line of prose under its name.", path=path, name=name)
        if len(list(split(text))) != 1:
            raise StartupError("{path}: {name} must be exactly one statement.", path=path, name=name)
        source = _whole(text.rstrip("; \n"), topic, found)
        numbered, parameters = _numbered(source)
        if _numbers_itself(text):
            raise StartupError("{path}: {name} has numbered parameters: name them all.", path=path, name=name)
        found[name] = Statement(name, topic, words, source, numbered, parameters)
    return tuple(found.values())


def migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The migrations of a folder by version. Raises StartupError, naming the file, for one that can't be run."""
    found: dict[str, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        version = re.match(r"\d+(?=_)", path.name)
        if version is None:
            raise StartupError("{path}: the name of a migration is a number, an underscore and words.", path=path)
        up = re.search(r"(?m)^-- migrate:up(?P<options>.*)$", text := _read(path))
        if up is None:
            raise StartupError("{path}: a migration needs a line `-- migrate:up`.", path=path)
        if _without_comments(text[: up.start()]):
            raise StartupError("{path}: there is SQL above `-- migrate:up`.", path=path)
        options = up["options"].split()
        if options not in ([], ["transaction:true"], ["transaction:false"]):
            raise StartupError("{path}: `-- migrate:up` knows one option, `transaction:false`.", path=path)
        if version[0] in found:
            raise StartupError("{path}: {other} has the same version.", path=path, other=found[version[0]].name)
        statements = re.split(r"(?m)^-- migrate:down\b", text[up.end() :])[0]
        found[version[0]] = Migration(version[0], path.stem, statements, options != ["transaction:false"])
    return list(found.values())


INCLUDED = re.compile(r"select\s+include\(\s*'(?P<path>[a-z_/]+\.[a-z0-9_]+)'")
"""How a statement begins to include another."""

_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<quoted>  [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | (?P<dollar>\$\w*\$).*?(?P=dollar) )
    | (?P<end>     ; )
    | (?P<number>  \$\d+ )
    # Not a cast (::text), and no slice: in that, the colon follows a number, a name, a bracket, or opens the subscript.
    | (?P<named>   (?<![\w\])":]) (?<!(?<!\barray)\[) :(?P<name>[a-z_]\w*) )
    | (?P<other>   \w+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)


def split(text: str) -> Iterator[str]:
    """The single statements of a text, without what is only comment; semicolons in strings and comments don't count."""
    begin, anything = 0, False
    for token in _TOKEN.finditer(text):
        if token.lastgroup == "end":
            if anything:
                yield text[begin : token.start()].strip()
            begin, anything = token.end(), False
        elif token.lastgroup != "comment" and not token[0].isspace():
            anything = True
    if anything:
        yield text[begin:].strip()


def _whole(text: str, topic: str, above: Mapping[str, Statement]) -> str:
    """A text with the statements that it includes in their places; those of its own file stand above it."""
    parts, end = [], 0
    for match in INCLUDED.finditer(text):
        given, after = _given(text, match.end())
        of, _, name = match["path"].rpartition(".")
        included = (above[name] if of == topic and name in above else statement(match["path"])).source
        filled = (given.get(token["name"], token[0]) for token in _TOKEN.finditer(included))
        parts += [text[end : match.start()], *filled]
        end = after
    return "".join([*parts, text[end:]])


def _given(text: str, begin: int) -> tuple[dict[str | None, str], int]:
    """What an include says for parameters, by their names, from here on; and where it ends."""
    given: dict[str | None, str] = {}
    depth, start = 1, begin
    for token in _TOKEN.finditer(text, begin):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token[0], 0)
        if depth == 0 or (depth == 1 and token[0] == ","):
            name, arrow, said = text[start : token.start()].partition("=>")
            if arrow:
                given[name.strip()] = f"({said.strip()})"
            start = token.end()
        if depth == 0:
            return given, token.end()
    raise StartupError("An include has no end: {text}", text=text[begin:])


def _numbered(text: str) -> tuple[str, tuple[str, ...]]:
    """A text with $1, $2 ... in the place of its named parameters, and their names in that order."""
    numbers: dict[str, int] = {}
    parts: list[str] = []
    for token in _TOKEN.finditer(text):
        name = token["name"]
        parts.append(token[0] if name is None else f"${numbers.setdefault(name, len(numbers) + 1)}")
    return "".join(parts), tuple(numbers)


def _numbers_itself(text: str) -> bool:
    return any(token.lastgroup == "number" for token in _TOKEN.finditer(text))


def _without_comments(text: str) -> str:
    return "\n".join(split(text))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StartupError("{path} is missing.", path=path) from None
