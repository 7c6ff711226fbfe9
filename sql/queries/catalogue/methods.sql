-- name: methods
-- A way to ship (:shipping_method) and a way to pay (:payment_method), each by the name of its relationship.
select
    'shipping_method' as name,
    shipping_methods.id,
    shipping_methods.currency_code,
    not is_offered(null, shipping_methods.disabled_at, :at) as disabled,
    shipping_methods.price_amount_cents as price
from shipping_methods
where shipping_methods.store_id = :store and shipping_methods.id = :shipping_method
union all
select
    'payment_method' as name,
    payment_methods.id,
    payment_methods.currency_code,
    not is_offered(null, payment_methods.disabled_at, :at) as disabled,
    payment_methods.price_amount_cents as price
from payment_methods
where payment_methods.store_id = :store and payment_methods.id = :payment_method;
