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
