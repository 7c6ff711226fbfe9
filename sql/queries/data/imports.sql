-- Importing a shop's history.

-- name: unfinished
-- The import of the same files, by the same rules, that has begun and not ended: how far it came.
select
    imports.id,
    imports.created_count,
    imports.updated_count,
    imports.unchanged_count,
    imports.skipped_count,
    imports.errors_count,
    imports.counts_by_type,
    imports.errors_log
from imports
where imports.store_id = :store and imports.fingerprint = :fingerprint and imports.status = 'in_progress'
order by imports.id
limit 1;

-- name: completed
-- When the same files were imported to their end by the same rules, if they were.
select imports.completed_at
from imports
where imports.store_id = :store and imports.fingerprint = :fingerprint and imports.status = 'completed'
order by imports.completed_at desc
limit 1;

-- name: begin
-- Notes that an import of files begins.
with counted as (
    insert into collection_changes (store_id, collection, delta)
    values (:store, 'imports', 1)
)

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
    counts_by_type = :by_type::jsonb,
    errors_log = :log::jsonb,
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
    inputs = null,
    updated_at = :at,
    version = imports.version + 1
where imports.store_id = :store and imports.id = :id and imports.status = 'in_progress';

-- name: untaxed
-- How many skus have no tax rate, of those with some codes.
select count(*)
from skus
where skus.store_id = :store and skus.code = any(:codes::text[]) and skus.tax_rate = 0;

-- name: take_up
-- Takes up an import that a client sent, and returns what is left to do; no row for one that is over.
with held as (
    select imports.started_at
    from imports
    where
        imports.store_id = :store and imports.id = :id
        and imports.status in ('pending', 'in_progress') and imports.inputs is not null
    for update
)

update imports
set
    status = 'in_progress',
    started_at = coalesce(imports.started_at, :at),
    updated_at = :at,
    version = imports.version + 1
from held
where imports.store_id = :store and imports.id = :id
returning
    imports.resource_type,
    imports.format,
    imports.on_conflict,
    imports.inputs,
    imports.inputs_size,
    imports.created_count,
    imports.updated_count,
    imports.unchanged_count,
    imports.skipped_count,
    imports.errors_count,
    imports.counts_by_type,
    imports.errors_log,
    held.started_at is null as is_new;

-- name: interrupt
-- Notes that an import can't be read to its end, and why.
update imports
set
    status = 'interrupted',
    interrupted_at = :at,
    inputs = null,
    errors_log = :log::jsonb,
    updated_at = :at,
    version = imports.version + 1
where imports.store_id = :store and imports.id = :id and imports.status = 'in_progress';

-- name: abandoned
-- Imports that clients sent and that are to go on; most of them have a job in the queue. A global read.
select
    imports.store_id,
    imports.id
from imports
where imports.inputs is not null
order by imports.created_at, imports.id
limit :most;

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
