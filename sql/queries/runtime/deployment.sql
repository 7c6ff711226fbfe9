-- name: here
-- What distinguishes this database from a copy elsewhere: the cluster's identifier and the database's name in it.
select system_identifier::text || '/' || current_database() as id
from pg_control_system();

-- name: owner
-- The installation that the database belongs to.
select id from deployment;

-- name: claim
-- Gives the database to an installation, unless it belongs to one already.
insert into deployment (id, adopted_at)
values (:id, :at)
on conflict do nothing;

-- name: adopt
-- Gives the database to an installation, whichever it belonged to.
insert into deployment (id, adopted_at)
values (:id, :at)
on conflict (singleton) do update set id = excluded.id, adopted_at = excluded.adopted_at;
