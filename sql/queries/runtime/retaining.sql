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
-- Deletes a store's events from before an instant, at most `:most` of them; returns how many. The last event of a resource
-- stays, which later ones are numbered after, and so do those that a webhook's delivery tells of, or that webhooks or a
-- stream are still to be told.
with gone as (
    delete from events
    where
        events.store_id = :store
        and events.id in (
            select past.id
            from events as past
            where
                past.store_id = :store
                and past.created_at < :before
                and exists(
                    select 1 from events as later
                    where
                        later.store_id = :store
                        and later.resource_type = past.resource_type
                        and later.resource_id = past.resource_id
                        and later.sequence > past.sequence
                )
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
        )
    returning events.id
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select include('runtime/counts.more', collection => 'events', delta => select -count(*) from gone)
)

select count(*) as number from gone;

-- name: stores_with_past_imports
-- Of all stores: those with imports that came to their end before an instant. A global read.
select markets.store_id
from markets
where exists(
    select 1 from imports
    where
        imports.store_id = markets.store_id
        and imports.created_at < :before
        and coalesce(imports.completed_at, imports.interrupted_at) < :before
);

-- name: delete_past_imports
-- Deletes a store's imports that came to their end before an instant; returns how many.
with gone as (
    delete from imports
    where
        imports.store_id = :store
        and imports.created_at < :before
        and coalesce(imports.completed_at, imports.interrupted_at) < :before
    returning imports.id
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select include('runtime/counts.more', collection => 'imports', delta => select -count(*) from gone)
)

select count(*) as number from gone;

-- name: stores_with_past_exports
-- Of all stores: those with exports that came to their end before an instant. A global read.
select markets.store_id
from markets
where exists(
    select 1 from exports
    where
        exports.store_id = markets.store_id
        and exports.created_at < :before
        and coalesce(exports.completed_at, exports.interrupted_at) < :before
);

-- name: delete_past_exports
-- Deletes a store's exports that came to their end before an instant; returns how many.
with gone as (
    delete from exports
    where
        exports.store_id = :store
        and exports.created_at < :before
        and coalesce(exports.completed_at, exports.interrupted_at) < :before
    returning exports.id
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select include('runtime/counts.more', collection => 'exports', delta => select -count(*) from gone)
)

select count(*) as number from gone;
