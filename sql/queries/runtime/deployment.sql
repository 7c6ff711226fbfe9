-- name: here
-- What tells this database from a copy of it elsewhere: the cluster, and the database's name in it.
select system_identifier::text || '/' || current_database() as id
from pg_control_system();

-- name: owner
-- The installation that the database belongs to.
select id from deployment;

-- name: claim
-- The database belongs to $1 from now on, unless it belongs to somebody already.
insert into deployment (id, adopted_at)
values ($1, $2)
on conflict do nothing;

-- name: adopt
-- The database belongs to $1 from now on.
insert into deployment (id, adopted_at)
values ($1, $2)
on conflict (singleton) do update set id = excluded.id, adopted_at = excluded.adopted_at;
