-- Sources in wallets that expire before the next run of a subscription that is paid from them.

-- name: due_ids
-- At most `:most` sources of a store that are to be looked at by `:at`, since they expire soon.
select customer_payment_sources.id
from customer_payment_sources
where customer_payment_sources.store_id = :store and customer_payment_sources.expiry_due_at <= :at
order by customer_payment_sources.expiry_due_at, customer_payment_sources.id
limit :most;

-- name: due
-- The same, or `:only` this one, locked; those that somebody else holds are left to them. Each with the subscriptions
-- whose next run it doesn't live to see, when the first of those is, and when the next run is that it is to pay. A
-- subscription without a source of its own is paid from that of the order that it repeats.
with due as materialized (
    select
        customer_payment_sources.id,
        customer_payment_sources.customer_id,
        customer_payment_sources.expires_at,
        customer_payment_sources.expiry_due_at
    from customer_payment_sources
    where
        customer_payment_sources.store_id = :store
        and customer_payment_sources.expiry_due_at <= :at
        and (:only::text is null or customer_payment_sources.id = :only)
    order by customer_payment_sources.expiry_due_at, customer_payment_sources.id
    limit :most
    for no key update skip locked
)

select
    due.id,
    due.expires_at,
    paid.subscription_ids,
    paid.next_run_at,
    paid.pays_at
from due
cross join lateral (
    select
        array_agg(order_subscriptions.id order by order_subscriptions.id)
            filter (where order_subscriptions.next_run_at >= due.expires_at) as subscription_ids,
        min(order_subscriptions.next_run_at)
            filter (where order_subscriptions.next_run_at >= due.expires_at) as next_run_at,
        min(order_subscriptions.next_run_at)
            filter (where order_subscriptions.next_run_at < due.expires_at) as pays_at
    from order_subscriptions
    inner join orders
        on order_subscriptions.store_id = orders.store_id and order_subscriptions.source_order_id = orders.id
    where
        order_subscriptions.store_id = :store
        and order_subscriptions.customer_id = due.customer_id
        and order_subscriptions.status = 'active'
        and coalesce(order_subscriptions.customer_payment_source_id, orders.customer_payment_source_id) = due.id
) as paid
order by due.expiry_due_at, due.id;

-- name: note
-- What the look at each source came to: with which end it is done, null for not yet, and when to look again.
update customer_payment_sources
set
    expiry_done_at = coalesce(looked.done_at, customer_payment_sources.expiry_done_at),
    expiry_again_at = looked.again_at
from unnest(:sources::text[], :done::timestamptz[], :again::timestamptz[]) as looked (id, done_at, again_at)
where customer_payment_sources.store_id = :store and customer_payment_sources.id = looked.id;
