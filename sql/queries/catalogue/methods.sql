-- name: methods
-- A way to ship ($2) and a way to pay ($3), each by the name of its relationship.
select
    'shipping_method' as name,
    shipping_methods.currency_code,
    coalesce(shipping_methods.disabled_at <= $4, false) as disabled
from shipping_methods
where shipping_methods.store_id = $1 and shipping_methods.id = $2
union all
select
    'payment_method' as name,
    payment_methods.currency_code,
    coalesce(payment_methods.disabled_at <= $4, false) as disabled
from payment_methods
where payment_methods.store_id = $1 and payment_methods.id = $3;
