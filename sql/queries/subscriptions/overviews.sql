-- A customer's subscriptions, as a storefront shows them.

-- name: of_customer
-- A customer's subscriptions that are not cancelled, with what they order each time, the oldest first; only that of an id where
-- one is given.
select
    order_subscriptions.id,
    order_subscriptions.status,
    order_subscriptions.frequency,
    order_subscriptions.next_run_at,
    order_subscriptions.cancel_at_period_end,
    order_subscriptions.prepaid_occurrences_left,
    order_subscriptions.paused_until,
    coalesce(
        (
            select min(order_subscription_items.currency_code)
            from order_subscription_items
            where
                order_subscription_items.store_id = :store
                and order_subscription_items.order_subscription_id = order_subscriptions.id
        ),
        ''
    ) as currency_code,
    order_subscriptions.min_occurrences,
    order_subscriptions.pricing_phases,
    (
        select
            json_agg(
                json_build_array(
                    order_subscription_items.name, order_subscription_items.quantity, skus.image_url
                )
                order by order_subscription_items.id
            )
        from order_subscription_items
        left join skus
            on order_subscription_items.store_id = skus.store_id and order_subscription_items.sku_id = skus.id
        where
            order_subscription_items.store_id = :store
            and order_subscription_items.order_subscription_id = order_subscriptions.id
    )::text as items
from order_subscriptions
where
    order_subscriptions.store_id = :store
    and order_subscriptions.customer_id = :customer
    and order_subscriptions.status <> 'cancelled'
    and (:subscription::text is null or order_subscriptions.id = :subscription)
order by order_subscriptions.created_at, order_subscriptions.id;

-- name: made
-- The latest orders that a subscription made, at most `:most`.
select
    orders.id,
    orders.code,
    orders.placed_at,
    orders.currency_code,
    orders.total_amount_cents
from occurrences
inner join orders
    on occurrences.store_id = orders.store_id and occurrences.id = orders.occurrence_id
where
    occurrences.store_id = :store
    and occurrences.order_subscription_id = :subscription
    and orders.placed_at is not null
order by orders.placed_at desc, orders.id asc
limit :most;

-- name: occurrence
-- A run as it is kept.
select
    occurrences.id,
    occurrences.status,
    occurrences.scheduled_at
from occurrences
where occurrences.store_id = :store and occurrences.id = :occurrence;
