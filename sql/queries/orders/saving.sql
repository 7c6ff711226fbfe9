-- What orders were paid with, kept for further payments.

-- name: paid_with
-- What payment :attempt of order :paid is made with, or without one its approved payment was; where that is in the wallet of
-- its customer, where it is to be kept, and what its subscription is paid with. :token is what the
-- gateway calls it by now, sealed, :digests what that may be found by.
select
    payment_attempts.id,
    payment_attempts.gateway,
    coalesce(:token, payment_attempts.source_token) as source_token,
    coalesce(payment_attempts.customer_payment_source_id, (
        select customer_payment_sources.id
        from customer_payment_sources
        where
            customer_payment_sources.store_id = :store
            and customer_payment_sources.customer_id = orders.customer_id
            and customer_payment_sources.payment_source_digest = any(:digests::text[])
        order by customer_payment_sources.id
        limit 1
    )) as source_id,
    orders.payment_method_id,
    orders.customer_id,
    subscription.id as order_subscription_id,
    subscription.status as subscription_status,
    subscription.customer_payment_source_id as subscription_source_id,
    payment_attempts.saved_to_wallet as to_wallet,
    payment_attempts.saved_to_subscription as to_subscription
from payment_attempts
inner join orders
    on payment_attempts.store_id = orders.store_id and payment_attempts.order_id = orders.id
left join lateral (
    select
        order_subscriptions.id,
        order_subscriptions.status,
        order_subscriptions.customer_payment_source_id
    from order_subscriptions
    where order_subscriptions.store_id = :store and order_subscriptions.id = orders.order_subscription_id
    order by order_subscriptions.id
    limit 1
) as subscription
    on true
where
    payment_attempts.store_id = :store and payment_attempts.order_id = :paid
    and case
        when :attempt::text is null then payment_attempts.status in ('authorized', 'paid')
        else payment_attempts.id = :attempt
    end
order by payment_attempts.id desc
limit 1;
