-- Tags by their names.

-- name: make
-- Makes tags of these ids ($2) and names ($3), but for names that there are already; gives those made.
insert into tags (store_id, id, name, created_at, updated_at)
select
    $1 as store_id,
    given.id,
    given.name,
    $4 as created_at,
    $4 as updated_at
from unnest($2::text[], $3::text[]) as given (id, name)
on conflict (store_id, name) do nothing
returning id;

-- name: by_name
-- The tags of these names.
select tags.id
from tags
where tags.store_id = $1 and tags.name = any($2::text[]);
