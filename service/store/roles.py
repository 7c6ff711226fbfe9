"""Database roles: one that owns the schema, one for the API, one for workers, each with the rights that it needs.

They are groups: nobody logs in as one, and they have no passwords. What the API and workers may do is sql/grants.sql,
which follows from their statements; whatever else they were granted on a table is taken away.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import NamedTuple

import asyncpg

import sql
from schemas.tables import Place, places
from service.errors import StartupError
from service.store.pool import Connection
from service.store.schema import QUEUE, is_distributed
from sql import Granted, Rights

PREFIX = "reprise"
"""What the names of the roles begin with, unless somebody says otherwise."""

_WRITES = frozenset({"insert", "update", "delete"})

OWNER, WORKER = "owner", "worker"
"""The role that owns the schema, and the one of workers; the third is the API's."""

_MAINTAIN_SINCE = 17
"""The first Postgres in which somebody else than its owner may gather statistics of a table."""


class _Named(NamedTuple):
    """An object of the schema, as `alter ... owner to` names it, and who owns it."""

    name: str
    owner: str
    owner_is_superuser: bool


_OBJECTS = """
    with schemas as (
        select oid, nspname, case nspname when 'public' then '' else quote_ident(nspname) || '.' end as place
        from pg_namespace where nspname in ('public', $1)
    ),
    objects as (
        select
            'pg_class'::regclass as catalogue, c.oid, c.relowner as owner,
            case c.relkind when 'v' then 'view ' when 'S' then 'sequence ' else 'table ' end
            || s.place || quote_ident(c.relname) as name
        from pg_class c join schemas s on s.oid = c.relnamespace
        where c.relkind in ('r', 'p', 'v') or (c.relkind = 'S' and not exists (
            select from pg_depend d
            where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i')
        ))
        union all
        select 'pg_proc'::regclass, p.oid, p.proowner, 'function ' || p.oid::regprocedure
        from pg_proc p join schemas s on s.oid = p.pronamespace
        union all
        select 'pg_type'::regclass, t.oid, t.typowner, 'type ' || s.place || quote_ident(t.typname)
        from pg_type t join schemas s on s.oid = t.typnamespace
        where t.typtype = 'e'
        union all
        select 'pg_namespace'::regclass, s.oid, n.nspowner, 'schema ' || quote_ident(s.nspname)
        from schemas s join pg_namespace n on n.oid = s.oid
        where s.nspname = $1
    )
    select o.name, r.rolname, r.rolsuper
    from objects o join pg_roles r on r.oid = o.owner
    where
        r.rolname <> $2
        and o.owner in (select relowner from pg_class where oid = to_regclass('schema_migrations'))
        and not exists (
            select from pg_depend d where d.classid = o.catalogue and d.objid = o.oid and d.deptype = 'e'
        )
    order by o.catalogue = 'pg_namespace'::regclass desc, o.name
"""
"""What the owner of the migrations owns, of our two schemas and of no extension."""

_HELD = """
    select
        case n.nspname when 'public' then '' else n.nspname || '.' end || c.relname as table,
        lower(granted.privilege_type) as verb, granted.column
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    cross join lateral (
        select g.grantee, g.privilege_type, null::text as column from aclexplode(c.relacl) g
        union all
        select g.grantee, g.privilege_type, a.attname::text
        from pg_attribute a cross join lateral aclexplode(a.attacl) g
        where a.attrelid = c.oid
    ) granted
    where n.nspname in ('public', $1) and c.relkind in ('r', 'p', 'v') and granted.grantee = $2::regrole
"""

_PARTITIONS = """
    select c.relname::text from pg_class c
    where c.relispartition and c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
    order by 1
"""

_SEQUENCES = """
    select s.oid, n.nspname || '.' || s.relname as sequence, n.nspname || '.' || c.relname as table
    from pg_depend d
    join pg_class s on s.oid = d.objid and s.relkind = 'S'
    join pg_class c on c.oid = d.refobjid
    join pg_namespace n on n.oid = c.relnamespace
    where d.deptype = 'a' and n.nspname = $1
"""
"""The sequences that number rows of the queue."""


def names(prefix: str) -> Mapping[str, str]:
    """The names of the roles by what they are for. Raises StartupError for one that Postgres would cut short."""
    if not prefix or len(prefix) > 50:
        raise StartupError("A prefix of roles has 1 to 50 characters.")
    return {kind: f"{prefix}_{kind}" for kind in (OWNER, *sql.grants())}


async def plan(connection: Connection, prefix: str = PREFIX) -> list[str]:
    """What is to be done so that the roles are there and have their rights, no more and no less: in SQL, in order.

    Each entry can be run by itself. Empty when all is as it should be. The database must have every migration.
    """
    roles = names(prefix)
    there = {row[0] for row in await connection.fetch("select rolname from pg_roles")}
    plan_ = [f"create role {_quoted(name)} nologin" for name in roles.values() if name not in there]
    plan_ += [statement async for statement in _owning(connection, roles[OWNER], is_there=roles[OWNER] in there)]
    spread = await is_distributed(connection)
    # Workers empty those whose time is over. Their rows are reached by the whole table, whose rights count then.
    parts: Rights = {table: {"truncate": None} for (table,) in await connection.fetch(_PARTITIONS)}
    if spread and not await connection.fetchval("select rolcanlogin from pg_roles where rolname = $1", roles[OWNER]):
        # Nodes that move a store log in at each other as who owns its tables.
        plan_.append(f"alter role {_quoted(roles[OWNER])} login")
    for kind, granted in sql.grants().items():
        role, rights = roles[kind], _of_whole_tables(granted) if spread else granted
        plan_ += [s async for s in _using(connection, role, rights, is_there=role in there)]
        wanted = _maintaining(connection, kind, {**rights, **(parts if kind == WORKER else {})})
        held = await _held(connection, role) if role in there else {}
        for table in sorted({*wanted, *held}):
            plan_ += _changes(role, table, wanted.get(table, {}), held.get(table, {}))
    return plan_


async def apply(connection: Connection, prefix: str = PREFIX, progress: Callable[[str], None] = lambda _: None) -> int:
    """Do what `plan` says. Returns how many statements that were; `progress` is told each before it is run.

    Raises StartupError when somebody else has to do it.
    """
    planned = await plan(connection, prefix)
    for statement in planned:
        progress(f"{statement};")
        try:
            await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError as error:
            raise StartupError(
                "Not permitted: {reason}. Run it as a superuser, or as the tables' owner with the right to make roles;"
                " or hand over what `reprise migrate --roles --dry-run` prints.",
                reason=error.message,
            ) from None
    return len(planned)


async def become_owner(connection: Connection) -> None:
    """Make what follows on a connection the work of the role that owns the migrations, if we may speak for it."""
    owner = await connection.fetchval(
        "select pg_get_userbyid(relowner) from pg_class where oid = to_regclass('schema_migrations')"
        " and relowner <> current_user::regrole and pg_has_role(relowner, 'member')"
    )
    if owner is not None:
        await connection.execute(f"set role {_quoted(owner)}")


async def _owning(connection: Connection, owner: str, *, is_there: bool) -> AsyncIterator[str]:
    """How the owner comes to own the schema. Who owned it so far goes on to have its rights."""
    objects = [_Named(*row) for row in await connection.fetch(_OBJECTS, QUEUE, owner)]
    if not is_there or not await connection.fetchval("select has_schema_privilege($1, 'public', 'create')", owner):
        yield f"grant usage, create on schema public to {_quoted(owner)}"
    for former in sorted({one.owner for one in objects if not one.owner_is_superuser}):
        yield f"grant {_quoted(owner)} to {_quoted(former)}"
    for one in objects:
        yield f"alter {one.name} owner to {_quoted(owner)}"


async def _using(connection: Connection, role: str, rights: Rights, *, is_there: bool) -> AsyncIterator[str]:
    """How a role comes to see the database, its schemas, and the sequences of the rows that it adds."""
    # Who isn't there yet has what everybody has.
    who = role if is_there else "public"
    if not await connection.fetchval("select has_database_privilege($1, current_database(), 'connect')", who):
        database = await connection.fetchval("select quote_ident(current_database())")
        yield f"grant connect on database {database} to {_quoted(role)}"
    for schema in ("public", QUEUE):
        if not await connection.fetchval("select has_schema_privilege($1, $2, 'usage')", who, schema):
            yield f"grant usage on schema {schema} to {_quoted(role)}"
    for oid, sequence, table in await connection.fetch(_SEQUENCES, QUEUE):
        needed = "insert" in rights.get(table, {})
        if needed and not await connection.fetchval("select has_sequence_privilege($1, $2::oid, 'usage')", who, oid):
            yield f"grant usage on sequence {sequence} to {_quoted(role)}"


def _maintaining(connection: Connection, kind: str, rights: Rights) -> Mapping[str, Granted]:
    """What a role is to be granted. Workers gather statistics of what they may write, where Postgres lets them."""
    if kind != WORKER or connection.get_server_version().major < _MAINTAIN_SINCE:
        return rights
    return {
        table: {**verbs, "maintain": None} if verbs.keys() & {"insert", "update", "delete", "truncate"} else verbs
        for table, verbs in rights.items()
    }


def _of_whole_tables(rights: Rights) -> Rights:
    """Rights as they can be granted where Citus has tables on several nodes: it doesn't know those of columns."""
    placed = {table for table, place in places().items() if place is not Place.COORDINATOR}
    found = {table: dict.fromkeys(verbs) if table in placed else verbs for table, verbs in rights.items()}
    everywhere = {table for table, place in places().items() if place is Place.EVERYWHERE} & found.keys()
    if any(found[table].keys() & _WRITES for table in everywhere):
        # Who writes a table that each node has locks what it refers to, and only who may write that may lock it.
        found |= {table: {**found[table], "update": None} for table in everywhere}
    return found


async def _held(connection: Connection, role: str) -> Mapping[str, Granted]:
    """What a role was granted."""
    found: dict[str, dict[str, frozenset[str] | None]] = {}
    for table, verb, column in await connection.fetch(_HELD, QUEUE, _quoted(role)):
        columns = found.setdefault(table, {}).setdefault(verb, frozenset())
        found[table][verb] = None if column is None or columns is None else columns | {column}
    return found


def _changes(role: str, table: str, wanted: Granted, held: Granted) -> Iterator[str]:
    """What makes the rights on a table those that are wanted."""
    if wanted == held:
        return
    taken = [f"revoke all on {table} from {_quoted(role)}"] if held else []
    verbs = ", ".join(
        verb if columns is None else f"{verb} ({', '.join(sorted(columns))})" for verb, columns in wanted.items()
    )
    given = [f"grant {verbs} on {table} to {_quoted(role)}"] if wanted else []
    yield "; ".join([*taken, *given])


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'
