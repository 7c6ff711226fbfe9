-- The calendars of subscriptions, as calendar programs subscribe to them.

-- name: subscription
-- A subscription with the facts of its store.
select
    order_subscriptions.id,
    order_subscriptions.version,
    order_subscriptions.updated_at,
    stores.store_id,
    stores.name,
    stores.slug,
    stores.mode,
    stores.currency_code,
    stores.locale,
    stores.timezone,
    stores.repeat_order_url,
    test_clocks.frozen_at
from order_subscriptions
inner join stores
    on order_subscriptions.store_id = stores.store_id
left join test_clocks
    on stores.store_id = test_clocks.store_id and stores.test_clock_id = test_clocks.id
where order_subscriptions.store_id = $1 and order_subscriptions.id = $2;

-- name: past
-- The occurrences of a subscription before its next one, that came up after $3, the latest first; at most $4. That of the
-- source order is not among them.
select
    occurrences.occurrence_index,
    occurrences.scheduled_at,
    occurrences.status
from occurrences
inner join order_subscriptions
    on
        occurrences.store_id = order_subscriptions.store_id
        and occurrences.order_subscription_id = order_subscriptions.id
where
    occurrences.store_id = $1
    and occurrences.order_subscription_id = $2
    and occurrences.occurrence_index > 0
    and occurrences.occurrence_index < order_subscriptions.next_index
    and occurrences.scheduled_at > $3
order by occurrences.occurrence_index desc
limit $4;

-- name: products
-- What a subscription orders each time: names and quantities.
select
    order_subscription_items.name,
    order_subscription_items.quantity
from order_subscription_items
where order_subscription_items.store_id = $1 and order_subscription_items.order_subscription_id = $2
order by order_subscription_items.id;
