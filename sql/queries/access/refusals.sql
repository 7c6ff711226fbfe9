-- name: record
-- Adds to how often somebody was refused, a row for each minute, reason and address; nothing for a store that isn't there,
-- but for 0, which stands for none. Returns how many rows there are.
with recorded as (
    insert into refused_authentications (
        store_id, id, kind, address, started_at, refusals_count, created_at, updated_at
    )
    select
        :store as store_id,
        refused.id,
        refused.kind,
        refused.address,
        refused.started_at,
        refused.number as refusals_count,
        :at as created_at,
        :at as updated_at
    from
        unnest(:ids::text[], :kinds::text[], :addresses::text[], :minutes::timestamptz[], :numbers::bigint[])
        as refused (id, kind, address, started_at, number)
    where
        :store = 0::bigint
        or exists(
            select 1 from stores
            where stores.store_id = :store
        )
    order by refused.id
    on conflict (store_id, id) do update
        set
            refusals_count = refused_authentications.refusals_count + excluded.refusals_count,
            updated_at = excluded.updated_at,
            version = refused_authentications.version + 1
    returning refused_authentications.version
),

counted as (
    insert into collection_changes (store_id, collection, delta, customers)
    select
        include(
            'runtime/counts.more',
            collection => 'refused_authentications',
            delta => select count(*) from recorded
            where recorded.version = 1
        )
)

select count(*) as number from recorded;

-- name: stores_with_past_refusals
-- Of all stores, and of 0 for none: those that keep refusals of before an instant. A global read.
select distinct store_id from refused_authentications
where started_at < :before;

-- name: delete_past
-- Deletes a store's refusals of before an instant, at most `:most` of them.
with gone as (
    delete from refused_authentications
    where
        store_id = :store
        and id in (
            select id
            from refused_authentications
            where store_id = :store and started_at < :before
            order by started_at
            limit :most
        )
    returning id
)

insert into collection_changes (store_id, collection, delta)
select
    :store as store_id,
    'refused_authentications' as collection,
    -1 as delta
from gone;

-- name: listed
-- The refusals of a store, or of 0 for none, since an instant, the newest minute first.
select
    started_at,
    kind,
    address,
    refusals_count
from refused_authentications
where store_id = :store and started_at >= :since
order by started_at desc, id desc
limit :most;
