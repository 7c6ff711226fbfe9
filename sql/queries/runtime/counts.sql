-- How many rows large collections have: what is kept of each, and the changes since.

-- name: hold
-- Locks the counts of a store until the end of the transaction, unless another one holds them; returns whether it did.
select pg_try_advisory_xact_lock(:lock);

-- name: changed
-- Stores in which collections have changed. A global read.
select distinct store_id from collection_changes;

-- name: more
-- What collection_changes is told of so many more of a collection, whoever's they are; nothing where there are none.
select
    :store::bigint as store_id,
    :collection::text as collection,
    more.delta,
    '{}'::text[] as owners
from (select :delta::bigint as delta) as more
where more.delta <> 0;

-- name: sum_up
-- Takes the changes of a store's collections into the counts that are kept of them.
with gone as (
    delete from collection_changes
    where collection_changes.store_id = :store
    returning collection_changes.collection, collection_changes.delta, collection_changes.customers
),

changed as (
    select
        gone.collection,
        '' as customer_id,
        sum(gone.delta) as delta
    from gone
    group by gone.collection
    union all
    select
        gone.collection,
        owned.customer_id,
        sum(sign(gone.delta)) as delta
    from gone
    cross join unnest(gone.customers) as owned (customer_id)
    group by gone.collection, owned.customer_id
)

update collection_counts
set number = collection_counts.number + changed.delta
from changed
where
    collection_counts.store_id = :store
    and collection_counts.collection = changed.collection
    and collection_counts.customer_id = changed.customer_id;

-- name: forget
-- Forgets what is kept of the collections of all stores: each is counted row by row again, the next time that it is counted.
delete from collection_counts;
