-- Exporting a shop's history.

-- name: led_to
-- The orders that these subscriptions led to, each with its occurrence, if it is of one.
select
    orders.id,
    orders.order_subscription_id,
    orders.occurrence_id
from orders
where orders.store_id = :store and orders.order_subscription_id = any(:subscriptions::text[])
order by orders.number;

-- name: waiting
-- How many exports of a store are to be written, counted up to a number.
select count(*) as number
from (
    select exports.id
    from exports
    where exports.store_id = :store and exports.status in ('pending', 'in_progress')
    order by exports.id
    limit :most
) as counted;

-- name: take_up
-- Takes up an export, from its beginning; no row for one that is over, or that was interrupted. What an earlier worker may
-- still write of it is refused from now on.
with held as (
    select exports.started_at
    from exports
    where exports.store_id = :store and exports.id = :id and exports.status in ('pending', 'in_progress')
    for update
)

update exports
set
    status = 'in_progress',
    attempt = exports.attempt + 1,
    started_at = coalesce(exports.started_at, :at),
    records_count = 0,
    processed_count = 0,
    attachment_size = 0,
    updated_at = :at,
    version = exports.version + 1
from held
where exports.store_id = :store and exports.id = :id
returning
    exports.resource_type,
    exports.format,
    exports.includes,
    exports.fields,
    exports.filters,
    exports.dry_data,
    exports.customer_id,
    exports.attempt,
    held.started_at is null as is_new;

-- name: empty
-- Deletes what there is of an export's file.
delete from export_chunks
where export_chunks.store_id = :store and export_chunks.export_id = :id;

-- name: count_on
-- Notes how far an export has come; returns nothing where it was interrupted, deleted or taken up by somebody else.
update exports
set
    records_count = :records,
    processed_count = :processed,
    attachment_size = :size,
    updated_at = :at,
    version = exports.version + 1
where
    exports.store_id = :store and exports.id = :id
    and exports.attempt = :attempt and exports.status = 'in_progress'
returning exports.id;

-- name: append
-- Adds a piece to the file of an export.
insert into export_chunks (store_id, id, export_id, attempt, first_byte, size, data)
values (:store, :id, :export, :attempt, :first_byte, :size, :data);

-- name: finish
-- Notes that an export is complete, and until when its file can be fetched; returns nothing as `count_on`.
update exports
set
    status = 'completed',
    completed_at = :at,
    attachment_expires_at = :expires_at,
    errors_log = :log::jsonb,
    updated_at = :at,
    version = exports.version + 1
where
    exports.store_id = :store and exports.id = :id
    and exports.attempt = :attempt and exports.status = 'in_progress'
returning exports.id;

-- name: fail
-- Notes that an export can't be written, and why; returns nothing as `count_on`.
update exports
set
    status = 'failed',
    interrupted_at = :at,
    attachment_size = 0,
    errors_log = :log::jsonb,
    updated_at = :at,
    version = exports.version + 1
where
    exports.store_id = :store and exports.id = :id
    and exports.attempt = :attempt and exports.status = 'in_progress'
returning exports.id;

-- name: abandoned
-- Exports that are to be written; most of them have a job in the queue. A global read.
select
    exports.store_id,
    exports.id
from exports
where exports.status in ('pending', 'in_progress')
order by exports.created_at, exports.id
limit :most;

-- name: file
-- The file of an export that is complete, as long as it can be fetched.
select
    exports.resource_type,
    exports.format,
    exports.attempt,
    exports.attachment_size
from exports
where
    exports.store_id = :store and exports.id = :id
    and exports.status = 'completed' and exports.attachment_size > 0 and exports.attachment_expires_at > :at;

-- name: chunk
-- The piece of a file that a byte is in.
select
    export_chunks.id,
    export_chunks.first_byte,
    export_chunks.data
from export_chunks
where
    export_chunks.store_id = :store
    and export_chunks.export_id = :export
    and export_chunks.attempt = :attempt
    and export_chunks.first_byte <= :byte
order by export_chunks.first_byte desc
limit 1;

-- name: stores_with_expired_files
-- Of all stores: those with files of exports whose time is over at an instant. A global read.
select distinct exports.store_id
from exports
where exports.attachment_size > 0 and exports.attachment_expires_at <= :at;

-- name: let_go
-- Deletes a store's files of exports whose time is over at an instant.
with over as (
    update exports
    set
        attachment_size = 0,
        updated_at = :at,
        version = exports.version + 1
    where exports.store_id = :store and exports.attachment_size > 0 and exports.attachment_expires_at <= :at
    returning exports.id
)

delete from export_chunks
where export_chunks.store_id = :store and export_chunks.export_id in (select over.id from over);

-- name: begin_anew
-- Has a store's exports that are on their way begin anew, and ends the time of all files: somebody was taken out of the
-- store, and nothing that was written before may show them.
with held as (
    update exports
    set
        status = case when exports.status = 'in_progress' then 'pending' else exports.status end,
        attempt = exports.attempt + 1,
        attachment_size = 0,
        attachment_expires_at = least(exports.attachment_expires_at, :at),
        updated_at = :at,
        version = exports.version + 1
    where exports.store_id = :store and (exports.status = 'in_progress' or exports.attachment_size > 0)
    returning exports.id
)

delete from export_chunks
where export_chunks.store_id = :store and export_chunks.export_id in (select held.id from held);
