-- Importing a shop's history.

-- name: unfinished
-- The import of the same files, by the same rules, that has begun and not ended: how far it came.
select
    imports.id,
    imports.processed_count,
    imports.created_count,
    imports.updated_count,
    imports.unchanged_count,
    imports.skipped_count,
    imports.errors_count
from imports
where imports.store_id = :store and imports.fingerprint = :fingerprint and imports.status = 'in_progress'
order by imports.id
limit 1;

-- name: begin
-- Notes that an import of files begins.
insert into imports (
    store_id, id, format, status, on_conflict, fingerprint, inputs_size, started_at, created_at, updated_at
)
values (:store, :id, :format, 'in_progress', :on_conflict, :fingerprint, :size, :at, :at, :at);

-- name: go_on
-- Notes how far an import came, counted in records; returns nothing where another process has gone on with it.
update imports
set
    processed_count = :processed,
    created_count = :created,
    updated_count = :updated,
    unchanged_count = :unchanged,
    skipped_count = :skipped,
    errors_count = :errors,
    updated_at = :at,
    version = imports.version + 1
where
    imports.store_id = :store and imports.id = :id
    and imports.status = 'in_progress' and imports.processed_count = :before
returning imports.id;

-- name: finish
-- Notes that an import has come to its end.
update imports
set
    status = 'completed',
    completed_at = :at,
    updated_at = :at,
    version = imports.version + 1
where imports.store_id = :store and imports.id = :id and imports.status = 'in_progress';

-- name: link_orders
-- Notes on orders which subscription they came of, and which of its occurrences, if any; those of another subscription are
-- left alone. Returns the ids of the orders.
update orders
set
    order_subscription_id = given.subscription_id,
    occurrence_id = coalesce(given.occurrence_id, orders.occurrence_id)
from unnest(:orders::text[], :subscriptions::text[], :occurrences::text[])
    as given (id, subscription_id, occurrence_id)
where
    orders.store_id = :store
    and orders.id = given.id
    and (orders.order_subscription_id is null or orders.order_subscription_id = given.subscription_id)
returning orders.id;
