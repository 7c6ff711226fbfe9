-- What is deleted once a store has kept it for as long as the settings say.

-- name: stores_with_past_events
-- Of all stores: those with events from before an instant. A global read.
select markets.store_id
from markets
where exists(
    select 1 from events
    where events.store_id = markets.store_id and events.created_at < :before
);

-- name: delete_past_events
-- Deletes a store's events from before an instant, at most `:most` of them; returns how many. Those stay that a webhook's
-- delivery tells of, or that webhooks or a stream are still to be told. The last number of each resource is kept, which
-- later events of it are numbered after.
with gone as (
    delete from events
    where
        events.store_id = :store
        and events.id = any(array(
            select past.id
            from events as past
            where
                past.store_id = :store
                and past.created_at < :before
                and not exists(
                    select 1 from event_callbacks
                    where event_callbacks.store_id = :store and event_callbacks.event_id = past.id
                )
                and not exists(
                    select 1 from event_cursors
                    where
                        event_cursors.store_id = :store
                        and (event_cursors.transaction_id, event_cursors.event_id) < (past.transaction_id, past.id)
                )
                and not exists(
                    select 1 from destination_cursors
                    where
                        destination_cursors.store_id = :store
                        and (destination_cursors.transaction_id, destination_cursors.event_id)
                        < (past.transaction_id, past.id)
                )
            order by past.created_at
            limit :most
        ))
    returning events.resource_type, events.resource_id, events.sequence
),

numbered as (
    insert into event_numbers (store_id, resource_type, resource_id, sequence)
    select
        :store as store_id,
        gone.resource_type,
        gone.resource_id,
        max(gone.sequence) as sequence
    from gone
    group by gone.resource_type, gone.resource_id
    on conflict (store_id, resource_type, resource_id) do update
    set sequence = greatest(event_numbers.sequence, excluded.sequence)
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select include('runtime/counts.more', collection => 'events', delta => select -count(*) from gone)
)

select count(*) as number from gone;

-- name: past_transfers
-- The imports and exports of a store that came to their end before an instant.
select
    transfers.collection,
    transfers.id
from (
    select
        'imports' as collection,
        imports.id,
        imports.created_at,
        coalesce(imports.completed_at, imports.interrupted_at) as ended_at
    from imports
    where imports.store_id = :store
    union all
    select
        'exports' as collection,
        exports.id,
        exports.created_at,
        coalesce(exports.completed_at, exports.interrupted_at) as ended_at
    from exports
    where exports.store_id = :store
) as transfers
where transfers.created_at < :before and transfers.ended_at < :before;

-- name: stores_with_past_transfers
-- Of all stores: those with imports or exports that came to their end before an instant. A global read.
select markets.store_id
from markets
where exists(select include('runtime/retaining.past_transfers', store => markets.store_id));

-- name: delete_past_transfers
-- Deletes a store's imports and exports that came to their end before an instant.
with past as (
    select include('runtime/retaining.past_transfers')
),

past_imports as (
    delete from imports
    where imports.store_id = :store and imports.id in (select past.id from past
where past.collection = 'imports')
),

past_exports as (
    delete from exports
    where exports.store_id = :store and exports.id in (select past.id from past
where past.collection = 'exports')
)

insert into collection_changes (store_id, collection, delta, customers)
select
    :store::bigint as store_id,
    past.collection,
    -count(*) as delta,
    '{}'::text[] as customers
from past
group by past.collection;
