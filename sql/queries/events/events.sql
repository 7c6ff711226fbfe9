-- name: write
-- Writes :events (a JSON array), by their positions, each with the next number of its resource; returns their ids. An event
-- whose number another transaction took meanwhile is left out, for the caller to try again. Who includes it counts them.
with happened as (
    select
        event.id,
        event.name,
        event.resource_id,
        event.payload,
        event.changes,
        split_part(event.name, '.', 1) as resource_type,
        row_number() over (partition by split_part(event.name, '.', 1), event.resource_id order by event.position) as turn
    from
        jsonb_to_recordset((select :events::jsonb)) as event (
            position bigint, id text, name text, resource_id text, payload jsonb, changes jsonb
        )
)

insert into events (
    store_id, id, name, resource_type, resource_id, sequence, payload, changes, actor_type, actor_id, created_at, updated_at,
    request_id, token_id, api_client_id, address
)
select
    :store as store_id,
    happened.id,
    happened.name,
    happened.resource_type,
    happened.resource_id,
    happened.turn + greatest(
        (
            select max(earlier.sequence) from events as earlier
            where
                earlier.store_id = :store
                and earlier.resource_type = happened.resource_type
                and earlier.resource_id = happened.resource_id
        ),
        (
            select event_numbers.sequence from event_numbers
            where
                event_numbers.store_id = :store
                and event_numbers.resource_type = happened.resource_type
                and event_numbers.resource_id = happened.resource_id
        ),
        0
    ) as sequence,
    happened.payload,
    happened.changes,
    :actor_type as actor_type,
    :actor_id as actor_id,
    :at as created_at,
    :at as updated_at,
    :request_id as request_id,
    :token_id as token_id,
    :api_client_id as api_client_id,
    :address as address
from happened
on conflict (store_id, resource_type, resource_id, sequence) do nothing
returning id;

-- name: record
-- Writes events and counts them; returns their ids.
with recorded as (
    select include('events/events.write')
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select include('runtime/counts.more', collection => 'events', delta => select count(*) from recorded)
)

select id from recorded;

-- name: record_first
-- Writes :events (a JSON array) of resources that the same transaction has made, and counts them: they are the first of
-- these, whose numbers nobody else can take.
with recorded as (
    insert into events (
        store_id, id, name, resource_type, resource_id, sequence, payload, changes, actor_type, actor_id, created_at,
        updated_at, request_id, token_id, api_client_id, address
    )
    select
        :store as store_id,
        event.id,
        event.name,
        event.resource_type,
        event.resource_id,
        event.sequence,
        event.payload,
        event.changes,
        :actor_type as actor_type,
        :actor_id as actor_id,
        :at as created_at,
        :at as updated_at,
        :request_id as request_id,
        :token_id as token_id,
        :api_client_id as api_client_id,
        :address as address
    from
        jsonb_to_recordset((select :events::jsonb)) as event (
            id text, name text, resource_type text, resource_id text, sequence bigint, payload jsonb, changes jsonb
        )
    returning id
)

insert into collection_changes (store_id, collection, delta, customers)
select include('runtime/counts.more', collection => 'events', delta => select count(*) from recorded);

-- name: horizon
-- The oldest transaction that may still commit: events of those before it are all there that will ever be.
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as horizon;

-- name: ahead
-- The first transaction that is still to begin: no event of this server is of it, or of a later one.
select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as ahead;

-- name: happened
-- The events of a store, as others are told of them.
select
    events.id,
    events.name as topic,
    events.resource_type,
    events.resource_id,
    events.sequence,
    events.payload::text as said,
    events.changes::text as changed,
    events.actor_type,
    events.actor_id,
    events.created_at,
    events.transaction_id
from events
where events.store_id = :store;

-- name: after
-- The next events of a store after the place of (:transaction, :event), at most :most, without those of transactions from
-- :horizon on, which may still commit.
select happened.*
from (select include('events/events.happened')) as happened
where
    (happened.transaction_id, happened.id) > (:transaction::bigint, :event::text)
    and happened.transaction_id < :horizon
order by happened.transaction_id, happened.id
limit :most;

-- name: transaction_of
-- The transaction that wrote an event.
select events.transaction_id
from events
where events.store_id = :store and events.id = :event;
