-- Tags by their names.

-- name: make
-- Makes tags of these ids (:ids) and names (:names), but for names that there are already; gives those made.
with made as (
    insert into tags (store_id, id, name, created_at, updated_at)
    select
        :store as store_id,
        given.id,
        given.name,
        :at as created_at,
        :at as updated_at
    from unnest(:ids::text[], :names::text[]) as given (id, name)
    on conflict (store_id, name) do nothing
    returning id
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select include('runtime/counts.more', collection => 'tags', delta => select count(*) from made)
)

select id from made;

-- name: by_name
-- The tags of these names.
select tags.id
from tags
where tags.store_id = :store and tags.name = any(:names::text[]);
