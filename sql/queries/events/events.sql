-- name: record
-- Writes events, each with the next number of its resource: one row per position of the lists. An event whose
-- number another transaction took meanwhile is left out, so the caller sees from the ids which ones to try again.
with happened as (
    select
        event.id,
        event.name,
        event.resource_id,
        event.payload,
        split_part(event.name, '.', 1) as resource_type,
        row_number() over (partition by split_part(event.name, '.', 1), event.resource_id order by event.position) as turn
    from
        unnest($2::text[], $3::text[], $4::text[], $5::jsonb[])
        with ordinality as event (id, name, resource_id, payload, position)
)

insert into events (
    store_id, id, name, resource_type, resource_id, sequence, payload, actor_type, actor_id, created_at, updated_at,
    request_id
)
select
    $1 as store_id,
    happened.id,
    happened.name,
    happened.resource_type,
    happened.resource_id,
    happened.turn + coalesce(
        (
            select max(earlier.sequence) from events as earlier
            where
                earlier.store_id = $1
                and earlier.resource_type = happened.resource_type
                and earlier.resource_id = happened.resource_id
        ),
        0
    ) as sequence,
    happened.payload,
    $6 as actor_type,
    $7 as actor_id,
    $8 as created_at,
    $8 as updated_at,
    $9 as request_id
from happened
on conflict (store_id, resource_type, resource_id, sequence) do nothing
returning id;
