-- name: payer
-- Whose wallet a payment source is in.
select customer_payment_sources.customer_id
from customer_payment_sources
where customer_payment_sources.store_id = :store and customer_payment_sources.id = :source;

-- name: holder
-- In whose wallet a gateway's token of one of these digests is: that of :customer where it is there too. No row for a token that nobody has.
select customer_payment_sources.customer_id
from customer_payment_sources
where customer_payment_sources.store_id = :store and customer_payment_sources.payment_source_digest = any(:digests::text[])
order by customer_payment_sources.customer_id = :customer::text desc nulls last, customer_payment_sources.id
limit 1;

-- name: kept
-- The source in a customer's wallet whose token has one of these digests.
select customer_payment_sources.id
from customer_payment_sources
where
    customer_payment_sources.store_id = :store and customer_payment_sources.customer_id = :customer
    and customer_payment_sources.payment_source_digest = any(:digests::text[])
order by customer_payment_sources.id
limit 1;

-- name: gateway
-- The gateway through which a payment method is charged.
select payment_methods.gateway
from payment_methods
where payment_methods.store_id = :store and payment_methods.id = :payment_method;

-- name: has_gateway
-- Whether a store has told where its own gateway is.
select stores.gateway_url is not null and stores.gateway_secret is not null as has_gateway
from stores
where stores.store_id = :store;

-- name: add
-- Puts something that a payment was made with into a customer's wallet.
with made as (
    insert into customer_payment_sources (
        store_id, id, customer_id, payment_method_id, gateway, payment_source_token, payment_source_digest, created_at,
        updated_at
    )
    values (:store, :id, :customer, :payment_method, :gateway, :token, :digest, :at, :at)
    returning customer_payment_sources.customer_id
)

insert into collection_changes (store_id, collection, delta, customers)
select
    :store as store_id,
    'customer_payment_sources' as collection,
    1 as delta,
    array[made.customer_id] as customers
from made;
