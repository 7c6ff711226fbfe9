-- Events as the audit trail: who did what, by which token and from where.

-- name: stores_with_addresses
-- Of all stores: those that have events of before :before, an id, whose addresses nobody has let go of yet. A global read.
select markets.store_id
from markets
left join address_horizons
    on markets.store_id = address_horizons.store_id
where exists(
    select 1 from events
    where
        events.store_id = markets.store_id
        and events.id > coalesce(address_horizons.event_id, '')
        and events.id < :before
);

-- name: forget_addresses
-- Lets go of the addresses of a store's next events of before :before, an id, at most `:most` of them, and remembers how far
-- that is; nothing when there are no more. Ids follow real time, whatever clock the store keeps.
with passed as (
    select events.id
    from events
    where
        events.store_id = :store
        and events.id < :before
        and events.id > coalesce(
            (
                select address_horizons.event_id from address_horizons
                where address_horizons.store_id = :store
            ),
            ''
        )
    order by events.id
    limit :most
),

emptied as (
    update events
    set address = null
    from passed
    where events.store_id = :store and events.id = passed.id and events.address is not null
)

insert into address_horizons (store_id, event_id)
select
    :store as store_id,
    max(passed.id) as event_id
from passed
having count(*) > 0
on conflict (store_id) do update set event_id = excluded.event_id
returning event_id;

-- name: listed
-- What was done in a store since an instant, as an operator reads it, the newest first.
select
    created_at,
    name,
    resource_id,
    actor_type,
    actor_id,
    token_id,
    address,
    request_id
from events
where store_id = :store and created_at >= :since
order by created_at desc, id desc
limit :most;
