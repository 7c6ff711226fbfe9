-- name: outgrown
-- The tables that are more than twice as large as when Postgres last looked at them, of those that
-- are ours, or ours to maintain. A global read.
select tables.oid::regclass::text as name
from pg_class as tables
where
    tables.relkind = 'r'
    and tables.relnamespace in ('public'::regnamespace, 'pgqueuer'::regnamespace)
    and (
        pg_has_role(tables.relowner, 'usage')
        or exists(
            select 1 from aclexplode(tables.relacl) as granted
            where granted.privilege_type = 'MAINTAIN' and pg_has_role(granted.grantee, 'usage')
        )
    )
    and pg_relation_size(tables.oid) > 2 * current_setting('block_size')::bigint * greatest(tables.relpages, 4);

-- name: never_gathered
-- The tables of a megabyte or more that Postgres has never looked at, as after a restore. A global read.
select tables.oid::regclass::text as name
from pg_class as tables
where
    tables.relkind = 'r'
    and tables.relnamespace in ('public'::regnamespace, 'pgqueuer'::regnamespace)
    and tables.reltuples < 0
    and pg_relation_size(tables.oid) > 1000000
order by name;
