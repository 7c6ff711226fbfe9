-- What orders were paid with, kept for further payments.

-- name: paid_with
-- What an order's approved payment was made with, where that is in the wallet of its customer, and where it is to be kept.
select
    payment_attempts.id,
    payment_attempts.gateway,
    payment_attempts.source_token,
    payment_attempts.customer_payment_source_id as source_id,
    orders.payment_method_id,
    orders.customer_id,
    orders.order_subscription_id,
    payment_attempts.saved_to_wallet as to_wallet,
    payment_attempts.saved_to_subscription as to_subscription
from payment_attempts
inner join orders
    on payment_attempts.store_id = orders.store_id and payment_attempts.order_id = orders.id
where
    payment_attempts.store_id = :store and payment_attempts.order_id = :order
    and payment_attempts.status in ('authorized', 'paid')
order by payment_attempts.id desc
limit 1;

-- name: note
-- Notes what in the wallet an order was paid with, in the transaction that raises its version.
update orders
set customer_payment_source_id = :source
where orders.store_id = :store and orders.id = :order;

-- name: hand_on
-- Has a subscription paid with something else in the wallet; its id. No row when it is already, or is cancelled.
update order_subscriptions
set
    customer_payment_source_id = :source,
    updated_at = :at,
    version = order_subscriptions.version + 1
where
    order_subscriptions.store_id = :store and order_subscriptions.id = :subscription
    and order_subscriptions.status <> 'cancelled'
    and order_subscriptions.customer_payment_source_id is distinct from :source
returning order_subscriptions.id;
