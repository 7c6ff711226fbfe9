-- What a customer can choose for a subscription.

-- name: addresses
-- The latest addresses in a customer's book, at most `:most`, and which of them a subscription is sent to.
select
    addresses.id,
    addresses.first_name,
    addresses.last_name,
    addresses.company,
    addresses.line_1,
    addresses.zip_code,
    coalesce(order_subscriptions.shipping_address_id = addresses.id, false) as chosen
from addresses
inner join order_subscriptions
    on addresses.store_id = order_subscriptions.store_id and addresses.customer_id = order_subscriptions.customer_id
where
    addresses.store_id = :store
    and addresses.customer_id = :customer
    and not addresses.snapshot
    and order_subscriptions.store_id = :store
    and order_subscriptions.id = :subscription
order by addresses.id desc
limit :most;

-- name: cards
-- The latest sources in a customer's wallet, at most `:most`, and which of them a subscription is paid with. Others that are
-- refused for good are left out.
select
    customer_payment_sources.id,
    customer_payment_sources.name,
    payment_methods.name as method,
    coalesce(order_subscriptions.customer_payment_source_id = customer_payment_sources.id, false) as chosen
from customer_payment_sources
inner join order_subscriptions
    on
        customer_payment_sources.store_id = order_subscriptions.store_id
        and customer_payment_sources.customer_id = order_subscriptions.customer_id
left join payment_methods
    on
        customer_payment_sources.store_id = payment_methods.store_id
        and customer_payment_sources.payment_method_id = payment_methods.id
where
    customer_payment_sources.store_id = :store
    and customer_payment_sources.customer_id = :customer
    and order_subscriptions.store_id = :store
    and order_subscriptions.id = :subscription
    and (
        customer_payment_sources.refused_at is null
        or customer_payment_sources.id = order_subscriptions.customer_payment_source_id
    )
order by customer_payment_sources.id desc
limit :most;

-- name: frequencies
-- The frequencies that the model of a customer's subscription offers; null where it has no model.
select subscription_models.frequencies
from order_subscriptions
left join subscription_models
    on
        order_subscriptions.store_id = subscription_models.store_id
        and order_subscriptions.subscription_model_id = subscription_models.id
where
    order_subscriptions.store_id = :store
    and order_subscriptions.customer_id = :customer
    and order_subscriptions.id = :subscription;
