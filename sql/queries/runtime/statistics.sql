-- name: outgrown
-- The tables that are more than twice as large as when Postgres last looked at them, of those that are ours. A global read.
select tables.oid::regclass::text as name
from pg_class as tables
where
    tables.relkind = 'r'
    and tables.relnamespace in ('public'::regnamespace, 'pgqueuer'::regnamespace)
    and pg_has_role(tables.relowner, 'usage')
    and pg_relation_size(tables.oid) > 2 * current_setting('block_size')::bigint * greatest(tables.relpages, 4);
