-- The calendars of subscriptions, as calendar programs subscribe to them.

-- name: subscription
-- A subscription with the facts of its store.
select
    order_subscriptions.id,
    order_subscriptions.version,
    order_subscriptions.updated_at,
    store_facts.*
from order_subscriptions
inner join store_facts
    on order_subscriptions.store_id = store_facts.id
where order_subscriptions.store_id = :store and order_subscriptions.id = :subscription;

-- name: past
-- The occurrences of a subscription before its next one and after an instant, the latest first, at most `:most`, without
-- that of the source order.
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
    occurrences.store_id = :store
    and occurrences.order_subscription_id = :subscription
    and occurrences.occurrence_index > 0
    and occurrences.occurrence_index < order_subscriptions.next_index
    and occurrences.scheduled_at > :after
order by occurrences.occurrence_index desc
limit :most;
